/**
 * The call path, generated per interface.
 *
 * A call through a handle is `slot.$rep.method(...)`: two dereferences, no check, nothing shared. Each interface gets
 * classes of its own from source text, because V8 keeps what it learns about a call site per piece of source: methods
 * made by one shared closure would all share one megamorphic site. Default objects and mediators are instances of one
 * class per interface (the interceptor), so that a site sees one hidden class for all of them, besides the Reps.
 *
 * An asynchronous method counts itself as a thread from the call to the settling of its promise. The promise it
 * returns is derived from the Rep's: same value or reason, one turn of the microtask queue later, and a rejection
 * nobody handles is still reported.
 */
import { beginThread, endThread, type Generation, isThenable } from '@k42/rcu/generations';
import type { InterceptorClass, MethodKind, SlotClass } from './slots.ts';

/** Counts the thread of an asynchronous call out when its result settles. */
function settle(result: unknown, generation: Generation): unknown {
  if (!isThenable(result)) {
    endThread(generation);
    return result;
  }
  return result.then(
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

function slotMethod(method: string, kind: MethodKind): string {
  const call = `this.$rep.${method}(...args)`;
  if (kind === 'sync') return `${method}(...args) { return ${call}; }`;
  return `${method}(...args) {
    const generation = beginThread();
    let result;
    try { result = ${call}; } catch (error) { endThread(generation); throw error; }
    return settle(result, generation);
  }`;
}

/** A method name is an identifier by the time it gets here, but source is made of it: check again. */
function assertIdentifiers(methods: Readonly<Record<string, MethodKind>>): void {
  for (const method of Object.keys(methods)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(method))
      throw new TypeError(`${JSON.stringify(method)} is no method name.`);
  }
}

/** Class of an interface's slots. */
export function makeSlotClass<T extends object>(
  name: string,
  methods: Readonly<Record<string, MethodKind>>,
): SlotClass<T> {
  assertIdentifiers(methods);
  const source = `return class Slot {
  constructor(coid, sequence) { this.$rep = undefined; this.$coid = coid; this.$sequence = sequence; }
  ${Object.entries(methods)
    .map(([method, kind]) => slotMethod(method, kind))
    .join('\n  ')}
} //# sourceURL=k42-slot-${name}.js`;
  return new Function('beginThread', 'endThread', 'settle', source)(
    beginThread,
    endThread,
    settle,
  ) as SlotClass<T>;
}

/** Class of an interface's interceptors. */
export function makeInterceptorClass<T extends object>(
  name: string,
  methods: Readonly<Record<string, MethodKind>>,
): InterceptorClass<T> {
  assertIdentifiers(methods);
  const source = `return class Interceptor {
  constructor(interceptor) { this.$interceptor = interceptor; }
  ${Object.keys(methods)
    .map((method) => `${method}(...args) { return this.$interceptor.intercept('${method}', args); }`)
    .join('\n  ')}
} //# sourceURL=k42-interceptor-${name}.js`;
  return new Function(source)() as InterceptorClass<T>;
}
