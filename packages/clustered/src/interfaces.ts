/**
 * Interfaces: what a client may call on an object, whatever implements it.
 *
 * An interface is declared once, with the kind of every method, because a method's kind decides how a call is kept
 * safe: a synchronous one ends within its turn; an asynchronous one lasts until its promise settles and is counted as
 * a thread for so long. The type checker refuses a declaration that disagrees with the TypeScript type.
 */

import { NameError } from './errors.ts';
import { makeInterceptorClass, makeSlotClass } from './internal/dispatch.ts';
import type { InterceptorClass, MethodKind, SlotClass } from './internal/slots.ts';

export type { MethodKind } from './internal/slots.ts';

type KindOf<Result> = [Result] extends [PromiseLike<unknown>] ? 'async' : 'sync';

/** The declaration that fits a TypeScript interface: every method, each with its kind, and nothing else. */
export type Methods<T> = {
  readonly [K in keyof T & string]: T[K] extends (...args: never[]) => infer Result ? KindOf<Result> : never;
};

/** A declared interface. Made by `defineInterface`; one per name and JavaScript thread. */
export interface Interface<T extends object> {
  readonly name: string;
  readonly methods: Readonly<Record<string, MethodKind>>;
  /** Class of the slots (handles) of objects of this interface. */
  readonly Slot: SlotClass<T>;
  /** Class of the stand-ins whose every method goes to one interceptor: default objects, mediators. */
  readonly Interceptor: InterceptorClass<T>;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_./@-]{0,63}$/;
/** A handle must not be taken for a promise or a plain property holder. */
const RESERVED = new Set(['constructor', 'then', '__proto__']);

const interfaces = new Map<string, Interface<object>>();

/**
 * Declares an interface: `defineInterface<Counter>('counter', { inc: 'sync', value: 'async' })`.
 *
 * @param name stable across processors and versions, 1 to 64 characters of letters, digits and `_ . / @ -`.
 * @throws NameError for an unusable or already used name, or a method named `then`, `constructor`, or with a `$`.
 */
export function defineInterface<T extends object>(name: string, methods: Methods<T>): Interface<T> {
  checkName('An interface', name);
  if (interfaces.has(name)) throw new NameError(`An interface named ${name} is defined already.`);
  const kinds = methods as Readonly<Record<string, MethodKind>>;
  for (const method of Object.keys(kinds)) {
    if (RESERVED.has(method) || method.includes('$')) {
      throw new NameError(`Interface ${name} cannot have a method named ${JSON.stringify(method)}.`);
    }
  }
  const defined: Interface<T> = {
    name,
    methods: { ...kinds },
    Slot: makeSlotClass<T>(name, kinds),
    Interceptor: makeInterceptorClass<T>(name, kinds),
  };
  interfaces.set(name, defined as unknown as Interface<object>);
  return defined;
}

/** The interface of that name, if this thread has defined it. */
export function interfaceNamed(name: string): Interface<object> | undefined {
  return interfaces.get(name);
}

/** @throws NameError */
export function checkName(what: string, name: string): void {
  if (!NAME.test(name))
    throw new NameError(
      `${what} needs a name of 1 to 64 letters, digits and _ . / @ -, not ${JSON.stringify(name)}.`,
    );
}
