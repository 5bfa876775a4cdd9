/**
 * Objects as clients see them: create, call, destroy.
 *
 * An object is named by its COID, one number that means the same on every processor: post it, store it, put it in
 * shared memory. To call it, make a handle, or use the paper's `DREF` inside a thread.
 */
import { ObjectGoneError } from './errors.ts';
import type { Implementation } from './implementations.ts';
import { objects, table } from './internal/objects.ts';

declare const INTERFACE: unique symbol;

/** Clustered Object identifier: a plain number at run time, branded with the interface it can be called through. */
export type Coid<T extends object> = number & { readonly [INTERFACE]: T };

/** A COID together with its sequence number, in one number (below 2^53): safe to keep beyond the object's life. */
export type StoredCoid<T extends object> = number & { readonly [INTERFACE]: readonly [T] };

const COID_RANGE = 2 ** 24;

/**
 * Makes an object on the calling processor, from its own region of COIDs. Cost: two small allocations in machine
 * memory and a few atomic stores; Reps are made later, where the object is called.
 * @throws RegionExhaustedError, OutOfMachineMemoryError, NotAttachedError, or what `initialise` throws; nothing is
 *   left behind then.
 */
export function create<T extends object>(implementation: Implementation<T, void>): Coid<T>;
export function create<T extends object, A>(implementation: Implementation<T, A>, argument: A): Coid<T>;
export function create<T extends object, A>(implementation: Implementation<T, A>, argument?: A): Coid<T> {
  return objects().create(implementation, argument as A) as Coid<T>;
}

/**
 * The handle of an object on the calling processor: has the interface's methods and may be kept for as long as one
 * likes. A call is two dereferences. Synchronous calls need no thread; asynchronous ones count themselves as threads.
 * After `destroy` every call throws `ObjectGoneError`, also when the number has been given to another object.
 * @throws ObjectGoneError, NotLoadedError, NotAttachedError
 */
export function handle<T extends object>(coid: Coid<T>): T {
  return objects().slot(coid) as unknown as T;
}

/**
 * The calling processor's Rep of an object (the paper's form): `DREF(coid).method()`. Legal only inside a thread
 * (`spawn`), and what it returns only until that thread ends; nothing checks this. Cost: one table look-up less than
 * nothing to a handle call; before the first miss, what it returns is the default object.
 * @throws ObjectGoneError, NotLoadedError, NotAttachedError on first use of the COID here.
 */
export function DREF<T extends object>(coid: Coid<T>): T {
  const slot = table[coid];
  return (slot === undefined ? objects().slot(coid) : slot).$rep as T;
}

/** The form of a COID to keep where the object may not outlive it. */
export function storeCoid<T extends object>(coid: Coid<T>): StoredCoid<T> {
  const { gtt } = objects();
  if (!gtt.inRange(coid)) throw new ObjectGoneError(coid);
  return (gtt.sequence(coid) * COID_RANGE + coid) as StoredCoid<T>;
}

/** The COID of a stored one. @throws ObjectGoneError if that object is gone, even if its number is in use again. */
export function reviveCoid<T extends object>(stored: StoredCoid<T>): Coid<T> {
  const { gtt } = objects();
  const coid = stored % COID_RANGE;
  if (!gtt.inRange(coid) || gtt.sequence(coid) !== Math.floor(stored / COID_RANGE))
    throw new ObjectGoneError(coid);
  return coid as Coid<T>;
}

/**
 * Destroys an object. It becomes unreachable in a later turn; it is reclaimed when all threads that may be using it,
 * on all processors that ever touched it, have ended: that is when the promise settles. Calls in flight end normally.
 * @throws ObjectGoneError (by rejection) if it is destroyed already.
 */
export function destroy(coid: Coid<object>): Promise<void> {
  return objects().destroy(coid);
}
