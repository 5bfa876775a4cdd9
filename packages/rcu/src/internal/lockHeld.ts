/**
 * A lock that is held, as a value: for `using`, and for asynchronous holders, which no function call brackets.
 */
import { LockMisuseError } from '../errors.ts';

/**
 * Proof that its maker holds a lock. Release it by `release()` or by leaving the scope of a `using` declaration.
 *
 * Not promised: that it is released when it is collected as garbage. A `Held` that is lost is a lock that stays held
 * until its processor ends.
 */
export class Held implements Disposable {
  /** Whether the first try to take the lock failed: what contention triggers count. */
  readonly contended: boolean;
  #release: (() => void) | undefined;

  constructor(contended: boolean, release: () => void) {
    this.contended = contended;
    this.#release = release;
  }

  /** Releases the lock. @throws LockMisuseError if that has been done already. */
  release(): void {
    const release = this.#release;
    if (release === undefined) throw new LockMisuseError('This lock was released already.');
    this.#release = undefined;
    release();
  }

  /** Releases the lock unless `release()` has been called. */
  [Symbol.dispose](): void {
    if (this.#release !== undefined) this.release();
  }
}
