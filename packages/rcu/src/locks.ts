/**
 * The shared-memory mutex.
 *
 * One 32-bit word of machine memory: 0 when free, else the holder's processor number plus one, with the WAITERS bit
 * set once somebody sleeps on it. Taking a free lock is one compare-and-swap, releasing an uncontended one is one
 * exchange; only a lock that was waited for costs a notify. The shape is Drepper's second futex mutex ("Futexes Are
 * Tricky", 2004) with the holder's number in place of the constant.
 *
 * Fairness: none. A release wakes one sleeper, which competes with whoever comes by. A sleeper never starves for good
 * in practice because holders are short, but no order is promised.
 */
import { InvalidArgumentError, LockDeadlineError, LockMisuseError } from './errors.ts';

const FREE = 0;
const WAITERS = 1 << 30;
/** Tries before sleeping. A critical section here is a few hundred nanoseconds; a futex sleep costs some 5 µs. */
const SPINS = 200;
/** Cap on one sleep, against a notification that was missed; the loop re-checks and sleeps again. */
const SLEEP_CAP_MS = 50;
/** Unless told otherwise a lock that is not had in this time is taken for lost. */
export const LOCK_DEADLINE_MS = 10_000;

const pause: () => void =
  'pause' in Atomics ? (Atomics as { pause: () => void }).pause.bind(Atomics) : () => {};

/**
 * A mutex over one word of machine memory. Every processor makes its own `Mutex` on the same word.
 *
 * Never hold it across an `await`: a synchronous `lock()` on the same processor would then wait for a turn that
 * cannot come, and is refused as misuse. Not recursive.
 */
export class Mutex {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #me: number;
  readonly #name: string;

  /**
   * @param words a view on machine memory; @param index the word; @param processor the calling processor's number.
   * @param name what the lock protects, for error messages.
   */
  constructor(words: Int32Array, index: number, processor: number, name = 'a mutex') {
    if (!(words.buffer instanceof SharedArrayBuffer)) {
      throw new InvalidArgumentError('A Mutex needs a word of shared memory.');
    }
    if (!Number.isInteger(index) || index < 0 || index >= words.length) {
      throw new InvalidArgumentError(`No word ${index} in a view of ${words.length} words.`);
    }
    this.#words = words;
    this.#index = index;
    this.#me = processor + 1;
    this.#name = name;
  }

  /** Takes the lock if it is free. Cost: one compare-and-swap (about 10 ns). */
  tryLock(): boolean {
    // Acquire: pairs with the exchange in unlock(); what the last holder wrote is visible from here on.
    return Atomics.compareExchange(this.#words, this.#index, FREE, this.#me) === FREE;
  }

  /**
   * Takes the lock; spins briefly, then sleeps. Returns whether the first try failed, which is what contention
   * triggers count.
   * @throws LockDeadlineError, LockMisuseError if this processor already holds it.
   */
  lock(deadlineMs: number = LOCK_DEADLINE_MS): boolean {
    if (this.tryLock()) return false;
    this.#lockSlowly(deadlineMs);
    return true;
  }

  #lockSlowly(deadlineMs: number): void {
    const words = this.#words;
    const index = this.#index;
    if (this.holder() === this.#me - 1)
      throw new LockMisuseError(`Processor ${this.#me - 1} already holds ${this.#name}.`);
    for (let spin = 0; spin < SPINS; spin++) {
      if (Atomics.load(words, index) === FREE && this.tryLock()) return;
      pause();
    }
    const giveUpAt = performance.now() + deadlineMs;
    for (;;) {
      const seen = Atomics.load(words, index);
      if (seen === FREE) {
        // With the WAITERS bit, because others may be asleep and this holder's release must wake one of them.
        if (Atomics.compareExchange(words, index, FREE, this.#me | WAITERS) === FREE) return;
        continue;
      }
      const contended = seen | WAITERS;
      // The bit goes in before the sleep: pairs with the exchange in unlock(), which notifies only if it saw the bit.
      if (seen !== contended && Atomics.compareExchange(words, index, seen, contended) !== seen) continue;
      const remaining = giveUpAt - performance.now();
      if (remaining <= 0) throw new LockDeadlineError(this.#name, this.holder(), deadlineMs);
      Atomics.wait(words, index, contended, Math.min(remaining, SLEEP_CAP_MS));
    }
  }

  /** Releases the lock. @throws LockMisuseError if this processor does not hold it; the lock is left as it was. */
  unlock(): void {
    const words = this.#words;
    const index = this.#index;
    // Release: pairs with the compare-and-swap of the next holder. The plain case needs no second look at the word.
    if (Atomics.compareExchange(words, index, this.#me, FREE) === this.#me) return;
    if (this.holder() !== this.#me - 1) {
      throw new LockMisuseError(`Processor ${this.#me - 1} released ${this.#name}, which it does not hold.`);
    }
    Atomics.store(words, index, FREE);
    Atomics.notify(words, index, 1);
  }

  /** Number of the processor that holds the lock, -1 if it is free. May be stale by the time it is looked at. */
  holder(): number {
    return (Atomics.load(this.#words, this.#index) & ~WAITERS) - 1;
  }

  /** Runs a synchronous function under the lock. */
  withLock<R>(critical: () => R): R {
    this.lock();
    try {
      return critical();
    } finally {
      this.unlock();
    }
  }
}
