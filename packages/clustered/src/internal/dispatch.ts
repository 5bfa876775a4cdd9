/**
 * The call path, generated per interface.
 *
 * A call through a handle is `slot.$rep.method(...)`: two dereferences, no check, nothing shared. Each interface gets
 * classes of its own from source text, because V8 keeps what it learns about a call site per piece of source: methods
 * made by one shared closure would all share one megamorphic site. Default objects and mediators are instances of one
 * class per interface (the interceptor), so that a site sees one hidden class for all of them, besides the Reps. How
 * more implementations than V8 can remember are called is told in `manyImplementations.ts`.
 *
 * An asynchronous method counts itself as a thread from the call to the settling of its promise. The promise it
 * returns is derived from the Rep's: same value or reason, one turn of the microtask queue later, and a rejection
 * nobody handles is still reported. Waiting methods and iterators are counted on the slot instead (`openCalls.ts`).
 *
 * Where the machine proves, slots are of another class: what `DREF` reads from them is a guarded view of the Rep.
 */
import { beginThread, endThread, type Generation, guardInThread, isThenable } from '@k42/rcu/generations';
import { UncountedResultError } from '../errors.ts';
import type { AnyInterface } from '../interfaces.ts';
import { makeInstall, numberedCall } from './manyImplementations.ts';
import { countOpenIterator, countOpenPromise, isIterator, type OpenCalls, openCallsOf } from './openCalls.ts';
import type { AnySlot, InterceptorClass, Method, SlotClass } from './slots.ts';

export type DeclaredMethods = Readonly<Record<string, Method>>;

/** Counts the thread of an asynchronous call out when its result settles. */
function settle(result: unknown, generation: Generation): unknown {
  if (!isThenable(result)) {
    endThread(generation);
    return result;
  }
  // A thenable that is no promise may settle twice, or throw: resolving a promise with it takes its first answer.
  return Promise.resolve(result).then(
    (value) => {
      endThread(generation);
      return value;
    },
    (error: unknown) => {
      endThread(generation);
      throw error;
    },
  );
}

function settleOpen(result: unknown, open: OpenCalls): unknown {
  if (isThenable(result)) return countOpenPromise(result, open);
  open.end();
  return result;
}

/** Whether calls of a method are counted on the slot. */
function isCountedOpen({ kind, waits }: Method): boolean {
  return waits !== false || kind === 'iterator' || kind === 'async-iterator';
}

/** @param call the expression by which the Rep is called */
function slotMethod(name: string, method: Method, call: string): string {
  if (isCountedOpen(method)) {
    const settled =
      method.kind === 'async'
        ? 'settleOpen(result, open)'
        : `countOpenIterator(result, open, ${method.kind === 'async-iterator'})`;
    const transferable = method.waits === 'transferable' ? '.transferable' : '';
    return `${name}(...args) {
    const open = openCallsOf(this)${transferable};
    open.begin();
    let result;
    try { result = ${call}; } catch (error) { open.end(); throw error; }
    return ${settled};
  }`;
  }
  if (method.kind === 'sync') return `${name}(...args) { return ${call}; }`;
  return `${name}(...args) {
    const generation = beginThread();
    let result;
    try { result = ${call}; } catch (error) { endThread(generation); throw error; }
    return settle(result, generation);
  }`;
}

/** A method name is an identifier by the time it gets here, but source is made of it: check again. */
function assertIdentifiers(methods: DeclaredMethods): void {
  for (const name of Object.keys(methods)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw new TypeError(`${JSON.stringify(name)} is no method name.`);
  }
}

const HELPERS = { beginThread, endThread, settle, settleOpen, openCallsOf, countOpenIterator };

function makeClass<C>(source: string, helpers: Readonly<Record<string, unknown>>): C {
  return new Function(...Object.keys(helpers), source)(...Object.values(helpers)) as C;
}

/**
 * Class of an interface's slots. What it makes changes its kind with the Rep: see `manyImplementations.ts`.
 * @param served gives the interface; @param Interceptor the class of that interface
 */
export function makeSlotClass(
  name: string,
  methods: DeclaredMethods,
  served: () => AnyInterface,
  Interceptor: InterceptorClass,
): SlotClass {
  assertIdentifiers(methods);
  const direct = slotMethods(methods, (method) => `this.$rep.${method}(...args)`);
  const source = `return class Slot {
  constructor(coid, sequence) {
    this.$rep = undefined; this.$class = 0; this.$coid = coid; this.$sequence = sequence; this.$open = undefined;
  }
  get $served() { return served(); }
  $install(rep) { install(this, rep); }
  ${direct}
} //# sourceURL=k42-slot-${name}.js`;
  const install = makeInstall(Interceptor, {
    waiting: () => Waiting,
    plain: () => Plain,
    numbered: () =>
      derived(
        'Numbered',
        `${slotMethods(methods, (method) => `this.${method}$call(...args)`)}
  ${Object.keys(methods).map(numberedCall).join('\n  ')}`,
      ),
  });
  const Waiting: SlotClass = makeClass(source, { ...HELPERS, served, install });
  // Other source than that of Waiting, word for word the same or not: V8 learns about the two apart.
  const derived = (kind: string, body: string): SlotClass =>
    makeClass(
      `return class ${kind}Slot extends Slot {
  ${body}
} //# sourceURL=k42-${kind.toLowerCase()}-slot-${name}.js`,
      { ...HELPERS, Slot: Waiting },
    );
  const Plain = derived('Plain', direct);
  return Waiting;
}

/** Class of an interface's slots where the machine proves. */
export function makeProvingSlotClass(
  name: string,
  methods: DeclaredMethods,
  served: () => AnyInterface,
): SlotClass {
  assertIdentifiers(methods);
  const source = `return class ProvingSlot {
  constructor(coid, sequence) {
    this.$actual = undefined; this.$coid = coid; this.$sequence = sequence; this.$open = undefined;
  }
  get $served() { return served(); }
  get $rep() { return guard(this.$actual); }
  $install(rep) { this.$actual = rep; }
  ${slotMethods(methods, (method) =>
    methods[method]?.kind === 'sync'
      ? `counted('${method}', this.$actual.${method}(...args))`
      : `this.$actual.${method}(...args)`,
  )}
} //# sourceURL=k42-proving-slot-${name}.js`;
  const counted = (method: string, result: unknown): unknown => {
    if (isThenable(result) || isIterator(result)) throw new UncountedResultError(name, method);
    return result;
  };
  return makeClass(source, { ...HELPERS, served, guard, counted });
}

function slotMethods(methods: DeclaredMethods, call: (method: string) => string): string {
  return Object.entries(methods)
    .map(([name, method]) => slotMethod(name, method, call(name)))
    .join('\n  ');
}

function guard(rep: AnySlot['$rep']): object {
  return guardInThread(rep, { calls: true });
}

/** Class of an interface's interceptors. A bound function, for V8 would inline what an interceptor does into every caller. */
export function makeInterceptorClass(name: string, methods: DeclaredMethods): InterceptorClass {
  assertIdentifiers(methods);
  const source = `return class Interceptor {
  constructor(interceptor) { this.$intercept = interceptor.intercept.bind(interceptor); }
  ${Object.keys(methods)
    .map((method) => `${method}(...args) { return this.$intercept('${method}', args); }`)
    .join('\n  ')}
} //# sourceURL=k42-interceptor-${name}.js`;
  return makeClass(source, {});
}
