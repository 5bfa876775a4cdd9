/**
 * Locks in machine memory: the mutex and the reader-writer lock.
 *
 * Both spin briefly, then sleep; both can be waited for without blocking the event loop; both survive the death of a
 * processor that holds them. Every wait has a deadline, 10 s unless told otherwise. How they work is told in
 * `internal/mutex.ts` and `internal/rwLock.ts`.
 */
export { LockDeadlineError, LockMisuseError } from './errors.ts';
export { OwnerDiedError } from './internal/lockErrors.ts';
export { Held } from './internal/lockHeld.ts';
export { type AsyncLockOptions, LOCK_DEADLINE_MS } from './internal/lockWait.ts';
export { Mutex, type MutexOptions } from './internal/mutex.ts';
export type { LockOwner, Owner } from './internal/owners.ts';
export { RwLock, type RwLockOptions } from './internal/rwLock.ts';
