/**
 * Slots: the entries of a Local Translation Table, which are also the handles clients hold.
 *
 * The field names carry a `$` so that no interface method can collide with them.
 */
import type { AnyInterface } from '../interfaces.ts';
import type { OpenCalls } from './openCalls.ts';

/** How a method answers: in its turn, by a promise, or by an iterator that is used beyond it. */
export type MethodKind = 'sync' | 'async' | 'iterator' | 'async-iterator';

/** A declared method. */
export interface Method {
  readonly kind: MethodKind;
  /**
   * A call may stay open for long, until some other call lets it go on. It is counted on the slot and is no thread: it
   * holds up the destruction and the exchange of this object, and nothing else. A `transferable` one is taken along by an
   * exchange, which does not wait for it.
   */
  readonly waits: boolean | 'transferable';
  /** Others wait for calls of this method: it must get through whatever is held back. */
  readonly completes: boolean;
}

/** What a slot of any interface has, besides one method per declared method. */
export interface AnySlot {
  /** The object's current Rep on this processor; the default object before the first miss. Set by `$install`. */
  $rep: object;
  /** Number of the Rep's class among those of its interface on this thread (`manyImplementations.ts`). */
  $class?: number;
  /** Puts a Rep into the slot. It is exchanged, never cleared. */
  $install(rep: object): void;
  /** The COID: index in the Global and every Local Translation Table. */
  readonly $coid: number;
  /** The entry's sequence number when the slot was made: a slot never reaches the object that reuses its COID. */
  readonly $sequence: number;
  /** The interface; the same for all slots of a class. */
  readonly $served: AnyInterface;
  /** Calls of waiting methods and iterators that are open; none has been counted while it is undefined. */
  $open: OpenCalls | undefined;
  /** Only where the machine proves: the Rep itself, of which `$rep` gives a guarded view. */
  $actual?: object;
}

/** The Rep that is installed in a slot. */
export function installedRep(slot: AnySlot): object {
  return slot.$actual ?? slot.$rep;
}

export type SlotClass = new (coid: number, sequence: number) => AnySlot;

/** Receives the calls made on an interceptor Rep. */
export interface Interceptor {
  intercept(method: string, args: unknown[]): unknown;
}

/** A Rep whose every method is `interceptor.intercept(name, args)`. */
export type InterceptorClass = new (interceptor: Interceptor) => object;

/** Any object seen as its methods. */
export type Callable = Record<string, (...args: unknown[]) => unknown>;

/** Calls a method of a Rep by name. */
export function callMethod(rep: object, method: string, args: unknown[]): unknown {
  return ((rep as Callable)[method] as (...args: unknown[]) => unknown).apply(rep, args);
}
