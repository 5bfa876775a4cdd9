/**
 * Calls that stay fast however many implementations an interface has.
 *
 * V8 remembers, for each place in the source where a method is called, up to four hidden classes of receivers, and calls
 * these fast or inlines them; a place that has met a fifth one looks every method up again, at ten times the cost. All
 * slots of an interface share one such place per method, so that one client of many implementations would slow down all.
 *
 * So slots are of two kinds. A slot is made *plain*: its methods are `this.$rep.method(...args)`. Plain slots serve the
 * interceptor and the first two classes of Reps that this JavaScript thread installs, which leaves one hidden class to
 * spare. When a slot is given a Rep of a later class it becomes *numbered*, by a change of its prototype, and remains so.
 * Each class of Reps has a number, and a numbered slot's method has a place of its own in the source for each:
 *
 *     switch (this.$class) { case 0: return this.$rep.method(a); case 1: return this.$rep.method(a); ... }
 *
 * so that each place meets one class, is never looked up again, and may be inlined. What comes after the last number,
 * and interceptors, which are slow in any case, share the default. Clients meet two hidden classes of slots at most.
 *
 * A method that large is not always inlined into its caller, and then passing on an unknown number of arguments is what
 * costs most. So arguments are counted first, in a method small enough to be inlined everywhere, and there is one large
 * method for each of the usual numbers.
 */
import type { AnySlot, InterceptorClass, SlotClass } from './slots.ts';

/** Classes of Reps, the first ones installed, that plain slots serve. */
const PLAIN_CLASSES = 2;
/** Classes of Reps that have a place of their own. More places make large methods, which V8 inlines less often. */
const PLACES = 10;
/** What is in `$class` of a slot with a Rep of any other class. */
const NO_PLACE = -1;
/** Numbers of arguments that have a method of their own: 0 to 3. */
const PARAMETERS = ['', 'a', 'a, b', 'a, b, c'];

/** Puts a Rep into a slot of one interface. */
export type Install = (slot: AnySlot, rep: object) => void;

/**
 * Gives each class of Reps its number. Cost of an installation: a look-up by the Rep's prototype (20 ns), and once per slot,
 * if ever, a change of the slot's prototype (200 ns).
 * @param makeNumbered makes the numbered class, a subclass of `Plain`; called when it is first needed
 */
export function makeInstall(Interceptor: InterceptorClass, makeNumbered: () => SlotClass): Install {
  const numbers = new Map<unknown, number>();
  let Numbered: SlotClass | undefined;

  const numberOf = (prototype: unknown): number => {
    const known = numbers.get(prototype);
    if (known !== undefined) return known;
    if (numbers.size === PLACES) return NO_PLACE;
    const number = numbers.size;
    numbers.set(prototype, number);
    return number;
  };

  return (slot, rep) => {
    const prototype: unknown = Object.getPrototypeOf(rep);
    slot.$rep = rep;
    if (prototype === Interceptor.prototype) {
      slot.$class = NO_PLACE;
      return;
    }
    const number = numberOf(prototype);
    slot.$class = number;
    if (number !== NO_PLACE && number < PLAIN_CLASSES) return;
    Numbered ??= makeNumbered();
    if (!(slot instanceof Numbered)) Object.setPrototypeOf(slot, Numbered.prototype);
  };
}

/**
 * Source of what numbered slots have for a method: `<name>$call(...args)` calls the Rep. No interface's method has a `$` in
 * its name.
 */
export function numberedCall(name: string): string {
  return [
    `${name}$call(...args) { switch (args.length) {`,
    ...PARAMETERS.map((_, count) => `  case ${count}: return this.${name}$${count}(${elements(count)});`),
    `  default: return this.${name}$n(...args);`,
    '} }',
    ...PARAMETERS.map((parameters, count) => placesOf(name, String(count), parameters)),
    placesOf(name, 'n', '...args'),
  ].join('\n  ');
}

function elements(count: number): string {
  return Array.from({ length: count }, (_, index) => `args[${index}]`).join(', ');
}

function placesOf(name: string, suffix: string, parameters: string): string {
  const call = `return this.$rep.${name}(${parameters});`;
  const places = Array.from({ length: PLACES }, (_, number) => `case ${number}: ${call}`);
  return `${name}$${suffix}(${parameters}) { switch (this.$class) { ${places.join(' ')} default: ${call} } }`;
}
