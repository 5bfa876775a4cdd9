/**
 * Calls that stay fast however many implementations an interface has.
 *
 * V8 remembers, for each place in the source where a method is called, up to four hidden classes of receivers, and calls
 * these fast or inlines them; a place that has met a fifth one looks every method up again, at ten times the cost. All
 * slots of an interface share one such place per method, so that one client of many implementations would slow down all.
 *
 * So slots are of three kinds, which differ in their prototype, and a slot changes its kind when it is given another Rep:
 *
 * - *Waiting*: it holds an interceptor, as it does when it is made. No other kind ever does, for a reason of its own: where V8
 *   has seen an interceptor at a place, it has a call there that it knows little about, and a caller's loop keeps nothing in
 *   registers across that. It would halve the speed of loops in which nobody has missed for hours.
 * - *Plain*: `this.$rep.method(...args)`, for the first three classes of Reps that this JavaScript thread installs, which
 *   leaves one hidden class to spare.
 * - *Numbered*: for all later classes. Each class has a number, and a method has a place of its own in the source for each:
 *
 *     switch (this.$class) { case 0: return this.$rep.method(a); case 1: return this.$rep.method(a); ... }
 *
 *   so that each place meets one class, is never looked up again, and may be inlined. What comes after the last number shares
 *   the default.
 *
 * Clients meet a hidden class of slots per kind, at most. A numbered method is too large to be inlined everywhere, and then
 * passing on an unknown number of arguments is what costs most. So arguments are counted first, in a method small enough to be
 * inlined everywhere, and there is one large method for each of the usual numbers.
 */
import type { AnySlot, InterceptorClass, SlotClass } from './slots.ts';

/** Classes of Reps, the first ones installed, that plain slots serve. */
const PLAIN_CLASSES = 3;
/** Classes of Reps that have a place of their own. More places make large methods, which V8 inlines less often. */
const PLACES = 10;
/** What is in `$class` of a slot with a Rep of any other class. */
const NO_PLACE = -1;
/** Numbers of arguments that have a method of their own: 0 to 3. */
const PARAMETERS = ['', 'a', 'a, b', 'a, b, c'];

/** Puts a Rep into a slot of one interface. */
export type Install = (slot: AnySlot, rep: object) => void;

/** The classes of one interface's slots, by their kinds. Asked for when they are needed, the numbered one once. */
export interface SlotKinds {
  readonly waiting: () => SlotClass;
  readonly plain: () => SlotClass;
  /** Its source is large and seldom needed. */
  readonly numbered: () => SlotClass;
}

/**
 * Before V8 13 (Node 24), an object whose prototype is changed there and back gets a hidden class that none has had before. Slots
 * that have been exchanged a different number of times would be strangers to each other's callers.
 */
const CHANGES_BACK: boolean = Number.parseInt(process.versions.v8, 10) >= 13;

/**
 * Gives each class of Reps its number, and each slot its kind. Cost of an installation: a look-up by the Rep's prototype
 * (20 ns), and where the kind changes, a change of the slot's prototype (200 ns).
 */
export function makeInstall(Interceptor: InterceptorClass, kinds: SlotKinds): Install {
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

  const kindOf = (number: number): SlotClass => {
    if (number !== NO_PLACE && number < PLAIN_CLASSES) return kinds.plain();
    Numbered ??= kinds.numbered();
    return Numbered;
  };

  return (slot, rep) => {
    const prototype: unknown = Object.getPrototypeOf(rep);
    const intercepts = prototype === Interceptor.prototype;
    slot.$rep = rep;
    slot.$class = intercepts ? NO_PLACE : numberOf(prototype);
    if (intercepts && !CHANGES_BACK) return;
    const kind: object = (intercepts ? kinds.waiting() : kindOf(slot.$class)).prototype;
    if (Object.getPrototypeOf(slot) !== kind) Object.setPrototypeOf(slot, kind);
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
