/**
 * Slots: the entries of a Local Translation Table, which are also the handles clients hold.
 *
 * The field names carry a `$` so that no interface method can collide with them.
 */

/** How a method answers: in its turn, or by a promise. */
export type MethodKind = 'sync' | 'async';

/** What a slot of any interface has, besides one method per declared method. */
export interface SlotFields<T extends object> {
  /** The object's current Rep on this processor; the default object before the first miss. Swapped, never cleared. */
  $rep: T;
  /** The COID: index in the Global and every Local Translation Table. */
  readonly $coid: number;
  /** The entry's sequence number when the slot was made: a slot never reaches the object that reuses its COID. */
  readonly $sequence: number;
}

/** A slot is a handle: it has the interface's methods, each a call on whatever Rep is installed. */
export type Slot<T extends object> = SlotFields<T> & T;

export type SlotClass<T extends object> = new (coid: number, sequence: number) => Slot<T>;

/** Receives the calls made on an interceptor Rep. */
export interface Interceptor {
  intercept(method: string, args: unknown[]): unknown;
}

/** A Rep whose every method is `interceptor.intercept(name, args)`. */
export type InterceptorClass<T extends object> = new (interceptor: Interceptor) => T;
