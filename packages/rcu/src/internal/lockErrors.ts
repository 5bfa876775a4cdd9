/**
 * What a lock reports when its holder has died; the other lock errors are in `errors.ts`.
 *
 * Robust mutexes of POSIX return EOWNERDEAD for this. There the caller then holds the lock and has to declare the state
 * consistent; here it does not hold it, because a `repair` function is where state is made consistent.
 */
import { K42Error } from '../errors.ts';
import type { Owner } from './owners.ts';

/**
 * A processor died holding a lock, and what the lock protects has not been repaired: there is no `repair` function, or
 * it threw (then `cause` is what it threw). The caller does not hold the lock. Whoever takes it next is told again, or
 * repairs.
 */
export class OwnerDiedError extends K42Error {
  /** Who died holding the lock; if several did before anybody repaired, the last. */
  readonly owner: Owner;

  constructor(lock: string, owner: Owner, options?: ErrorOptions) {
    super(
      'K42_OWNER_DIED',
      `Processor ${owner.processor} (incarnation ${owner.incarnation}) died holding ${lock}, ` +
        `and what it left has not been repaired.`,
      options,
    );
    this.owner = owner;
  }
}
