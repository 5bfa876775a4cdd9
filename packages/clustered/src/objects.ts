/**
 * Objects as clients see them: create, call, destroy, find by name.
 *
 * An object is named by its COID, one number that means the same on every processor: post it, store it, put it in
 * shared memory. To call it, make a handle, or use the paper's `DREF` inside a thread.
 */
import { InvalidArgumentError } from '@k42/rcu';
import { NameError, ObjectGoneError } from './errors.ts';
import type { Implementation } from './implementations.ts';
import type { Interface } from './interfaces.ts';
import { dropIdle } from './internal/idle.ts';
import { REGION_ENTRIES } from './internal/layout.ts';
import { nearRep } from './internal/ltt.ts';
import { coidOf, destruction, isLive, objectNames, objects, toStored } from './internal/system.ts';

declare const INTERFACE: unique symbol;
declare const STORED: unique symbol;

/** Clustered Object identifier: a plain number at run time, branded with the interface it can be called through. */
export type Coid<T extends object> = number & { readonly [INTERFACE]: T };

/** A COID together with its sequence number, in one number (below 2^53): safe to keep beyond the object's life. */
export type StoredCoid<T extends object> = number & { readonly [STORED]: T };

/** What an implementation is given: nothing may stand for an argument that may be undefined. */
export type Argument<A> = undefined extends A ? [argument?: A] : [argument: A];

/**
 * Makes an object on the calling processor, from its own region of COIDs and its own arena. Cost: one small block of
 * machine memory and a few atomic stores; Reps are made later, where the object is called.
 * @throws RegionExhaustedError, OutOfMachineMemoryError, NotAttachedError, InvalidArgumentError (sizes), DefinitionMismatchError, or
 *   what `initialise` throws; nothing is left behind then.
 */
export function create<T extends object, A>(
  implementation: Implementation<T, A>,
  ...[argument]: Argument<A>
): Coid<T> {
  return objects().create(implementation, argument as A) as Coid<T>;
}

/**
 * The handle of an object on the calling processor: has the interface's methods and may be kept for as long as one
 * likes. (It is an object whose methods need it as `this`, and good for this thread only: post COIDs.) A call is two dereferences. Synchronous calls need no thread; asynchronous ones count themselves as threads;
 * waiting ones and iterators are counted on the object. After `destroy` every call throws `ObjectGoneError` (a method
 * that gives promises rejects), also when the number has been given to another object; when this thread is no processor any
 * more, `NotAttachedError`.
 * @throws ObjectGoneError, NotLoadedError, DefinitionMismatchError, NotAttachedError
 */
export function handle<T extends object>(coid: Coid<T>): T {
  return objects().slot(coid) as object as T;
}

/**
 * The calling processor's Rep of an object (the paper's form): `DREF(coid).method()`. Legal only inside a thread
 * (`spawn`), and what it returns only until that thread ends: `prove: true` of the machine checks it, nothing else does.
 * Cost: a look into an array, the first time a miss.
 * @throws ObjectGoneError, NotLoadedError, NotAttachedError on first use of the COID here; OutsideThreadError in prove mode
 */
export function DREF<T extends object>(coid: Coid<T>): T {
  const rep = nearRep(coid);
  return (rep === undefined ? firstUse(coid) : rep) as T;
}

function firstUse(coid: number): object {
  const own = objects();
  // Not the default object: it would miss at each call of a Rep that is kept for the length of a thread.
  own.rep(coid);
  return own.slot(coid).$rep;
}

/** The form of a COID to keep where the object may not outlive it. @throws ObjectGoneError, also while it is being destroyed */
export function storeCoid<T extends object>(coid: Coid<T>): StoredCoid<T> {
  return toStored(coid, objects().sequenceOf(coid)) as StoredCoid<T>;
}

/**
 * The COID of a stored one. Outside a thread the object may be gone, and its number another's, when this has returned: use
 * `reviveHandle` there.
 * @throws ObjectGoneError if that object is gone, even if its number is in use again.
 */
export function reviveCoid<T extends object>(stored: StoredCoid<T>): Coid<T> {
  const coid = coidOf(stored);
  if (!isLive(stored)) throw new ObjectGoneError(coid);
  return coid as Coid<T>;
}

/** `handle`, of the very object that was stored. @throws ObjectGoneError if it is gone, and as `handle` */
export function reviveHandle<T extends object>(stored: StoredCoid<T>): T {
  const coid = coidOf(stored);
  if (!isLive(stored)) throw new ObjectGoneError(coid);
  const slot = objects().slot(coid);
  // The slot is of whatever object the number had when it was made.
  if (toStored(coid, slot.$sequence) !== stored) throw new ObjectGoneError(coid);
  return slot as object as T;
}

export interface DestroyOptions {
  /** Milliseconds after which the wait is given up (the destruction goes on by itself). Default: none. */
  readonly deadlineMs?: number;
}

/**
 * Destroys an object. It becomes unreachable in a later turn; it is reclaimed when all threads that may be using it,
 * on all processors that ever touched it, have ended, and all its waiting calls and iterators: that is when the promise
 * settles, and the COID may be given out again. Calls in flight end normally. May be called anywhere, also in a call of
 * the object and in its `handleMiss`; do not await it there.
 * @throws ObjectGoneError (by rejection) if it is destroyed already; DestroyDeadlineError, which says who uses it;
 *   NotLoadedError and DefinitionMismatchError where the implementation is not loaded here (the object lives on);
 *   what the Root's `holdDestroy` throws; InvalidArgumentError, NotAttachedError
 */
export async function destroy(coid: Coid<object>, options: DestroyOptions = {}): Promise<void> {
  const { deadlineMs } = options;
  if (deadlineMs !== undefined && !(deadlineMs > 0 && deadlineMs < 2 ** 31))
    throw new InvalidArgumentError(`deadlineMs must be above 0 and below 2^31, not ${deadlineMs}.`);
  const own = destruction();
  const destroyed = own.destroy(coid);
  if (deadlineMs === undefined) return destroyed;
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(own.late(coid, deadlineMs)), deadlineMs);
  await Promise.race([destroyed, late]).finally(() => clearTimeout(timer));
}

// Names

/**
 * Gives an object a well-known name, by which every processor finds it, also one that joins later. The name lasts as
 * long as the object. An object may have several.
 * @param name 1 to 64 letters, digits and `_ . / @ -`. A machine has 4 096 of them; finding one looks at all.
 * @throws NameError if another object has the name, or it is unusable; ObjectGoneError
 */
export function nameObject(coid: Coid<object>, name: string): void {
  checkObjectName(name);
  objectNames().bind(name, storeCoid(coid));
}

/**
 * The object of a well-known name, or undefined. Keep what it gives: every call takes a lock.
 * @throws NameError if the object has another interface
 */
export function objectNamed<T extends object>(name: string, asInterface: Interface<T>): Coid<T> | undefined {
  checkObjectName(name);
  const stored = objectNames().find(name);
  return stored === undefined ? undefined : asNamed(name, asInterface, stored);
}

/**
 * The object of a well-known name, made now if there is none. Where several ask at once, all get the one that was named
 * first; what the others have made for it is destroyed again.
 * @throws as `create` and `objectNamed`
 */
export function obtain<T extends object, A>(
  name: string,
  implementation: Implementation<T, A>,
  ...[argument]: Argument<A>
): Coid<T> {
  checkObjectName(name);
  const known = objectNames().find(name);
  if (known !== undefined) return asNamed(name, implementation.interface, known);
  const made = objects().create(implementation, argument as A);
  const stored = toStored(made, objects().sequenceOf(made));
  const first = objectNames().bindOrFind(name, stored);
  // Nobody has seen it.
  if (first !== stored) void destruction().destroy(made);
  return asNamed(name, implementation.interface, first);
}

/** Takes a name back; whether an object had it. */
export function unnameObject(name: string): boolean {
  checkObjectName(name);
  return objectNames().unbind(name);
}

function asNamed<T extends object>(name: string, asInterface: Interface<T>, stored: number): Coid<T> {
  const coid = coidOf(stored);
  const { gtt, records } = objects();
  gtt.readLock(coid);
  try {
    if (!isLive(stored)) throw new ObjectGoneError(coid);
    const served = records.nameOf(records.peek(gtt.root(coid)).interface);
    if (served !== asInterface.name)
      throw new NameError(`The object named ${name} has interface ${served}, not ${asInterface.name}.`);
    return coid as Coid<T>;
  } finally {
    gtt.readUnlock(coid);
  }
}

function checkObjectName(name: string): void {
  if (typeof name !== 'string' || !/^[A-Za-z0-9_./@-]{1,64}$/.test(name))
    throw new NameError(
      `An object's name has 1 to 64 letters, digits and _ . / @ -, not ${JSON.stringify(name)}.`,
    );
}

// The whole

export interface ObjectsOptions {
  /** How many objects a processor may have created that still live: 1 to 4 194 303; 1 048 576 unless told otherwise. */
  readonly regionCapacity?: number;
}

/** Changes limits for the whole machine, from now on. A region that has more keeps what it has. @throws InvalidArgumentError */
export function configureObjects({ regionCapacity }: ObjectsOptions): void {
  if (regionCapacity === undefined) return;
  if (!Number.isInteger(regionCapacity) || regionCapacity < 1 || regionCapacity >= REGION_ENTRIES)
    throw new InvalidArgumentError(
      `regionCapacity must be an integer from 1 to ${REGION_ENTRIES - 1}, not ${regionCapacity}.`,
    );
  objects().capacity = regionCapacity;
}

/**
 * Drops, on the calling processor, the Reps that nobody calls for `idleMs`, if their Roots can do without (those of
 * `SharedRoot` and `ClusteredRoot` always can); the number dropped. The next call makes a new one. Costs a miss per object
 * that is called meanwhile.
 * @throws InvalidArgumentError, NotAttachedError
 */
export async function dropIdleReps(options: { readonly idleMs?: number } = {}): Promise<number> {
  const { idleMs = 1000 } = options;
  if (!(idleMs >= 0 && idleMs < 2 ** 31))
    throw new InvalidArgumentError(`idleMs must be from 0 to 2^31, not ${idleMs}.`);
  return dropIdle(objects(), idleMs);
}
