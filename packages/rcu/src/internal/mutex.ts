/**
 * The robust mutex over one word of machine memory.
 *
 * *The word.* 0 when free, else the token of the holder (a processor number with its incarnation, `owners.ts`). The
 * WAITERS bit is set once somebody sleeps on it. Taking a free lock is one compare-and-swap, releasing an uncontended
 * one is another; only a lock that was waited for costs a notify. The shape is Drepper's second futex mutex ("Futexes
 * Are Tricky", 2004) with the holder's token in place of the constant. Whoever takes the lock after having waited sets
 * WAITERS, since it cannot know whether others sleep; so each release by one who waited wakes the next sleeper.
 *
 * *Death.* After a sleep that ran into its cap a waiter asks whether the holder of the word is alive. If not, it takes
 * the lock over by compare-and-swap from exactly the word it asked about: a dead owner changes nothing any more and its
 * token never comes back (a processor number that is given out again has another incarnation), so success means the
 * lock was still the dead one's and one waiter only gets it. Then, under the lock, it repairs. Without a repair function,
 * or if it throws, the lock goes into a third state, DIED: not held, with the dead token kept, so that whoever takes it
 * next gets the report, or the chance to repair, again. A repairer that dies is itself a dead holder.
 *
 * *Killed at any instruction.* A worker may stop anywhere for good. The steps of a life with the lock, and what a stop
 * right after each leaves behind:
 * - a look, a spin: nothing.
 * - WAITERS set, not yet asleep: the release notifies nobody, or somebody else who finds a free lock. Harmless.
 * - asleep: V8 takes a dead thread off the queue. If the notification had reached it before, or it was awake and had not
 *   taken the lock yet, that notification is lost, while the lock is free: the others look at it when their sleep has
 *   run into its cap.
 * - the swap that takes the lock, from free, from dead or from DIED: a dead holder, found out as above, one cap later.
 * - the swap that frees the lock, before the notify: the lock is free, and as before the others look at the cap.
 * - the store of DIED, before the notify: the same.
 * In no case does anybody sleep for longer than the cap without looking, and every state that a look can find is one
 * that it can act on. The length of a death is that of a cap and of how long the system takes to end the thread.
 */
import { InvalidArgumentError, LockDeadlineError, LockMisuseError } from '../errors.ts';
import { OwnerDiedError } from './lockErrors.ts';
import { Held } from './lockHeld.ts';
import {
  type AsyncLockOptions,
  assertDeadline,
  LOCK_DEADLINE_MS,
  LockWait,
  pause,
  SPINS,
  sleepAsync,
} from './lockWait.ts';
import { type LockOwner, OWNER_TOKEN_MASK, type Owner, ownerOf } from './owners.ts';

const FREE = 0;
const WAITERS = 1 << 30;
const DIED = 1 << 29;

export interface MutexOptions {
  /** What the lock protects, for error messages. */
  readonly name?: string;
  /**
   * Makes whole what the lock protects after its holder died, told who that was. Runs under the lock, on the processor
   * that found out, inside the call that takes the lock; must be synchronous. It must stand being run on a state that is
   * whole, or half repaired (the one before may have died repairing). If it throws, the lock is released unrepaired.
   */
  readonly repair?: (dead: Owner) => void;
}

/** For locks built on this one. */
export interface MutexInternals {
  /** Asked under the lock after a holder's death: true if it cannot have left anything half done. Then no repair. */
  readonly isWhole?: () => boolean;
}

/**
 * A mutex over one word of machine memory (0 at first). Every processor makes its own `Mutex` on the same word.
 *
 * It is held by a processor, not by a function or a promise chain. A synchronous holder must not `await` before the
 * release; an asynchronous one (`lockAsync`) may. Asynchronous holders of one processor exclude each other, and while
 * one holds it a synchronous `lock()` there is refused as misuse, because the turn it would wait for cannot come. Not
 * recursive.
 *
 * *Fairness:* none. A release wakes one sleeper, which competes with whoever comes by; a sleeper may lose any number of
 * times. In practice holders are short and nobody starves, but no order is promised.
 *
 * *Death:* a holder that dies is found out by a waiter, not before. On Linux that takes one sleep of the waiter (5 ms
 * at first, then 50 ms), and works while the waiter's event loop stands still. Where the system does not show its
 * threads, a waiter learns of it when the machine has noticed, which a host that is blocked itself does not.
 */
export class Mutex {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #owner: LockOwner;
  readonly #me: number;
  readonly #name: string;
  readonly #repair: ((dead: Owner) => void) | undefined;
  readonly #isWhole: (() => boolean) | undefined;

  /**
   * @param words a view on machine memory; @param index the word; @param owner the calling processor, as an owner.
   * @throws InvalidArgumentError
   */
  constructor(
    words: Int32Array,
    index: number,
    owner: LockOwner,
    options: MutexOptions & MutexInternals = {},
  ) {
    if (!(words.buffer instanceof SharedArrayBuffer)) {
      throw new InvalidArgumentError('A Mutex needs a word of shared memory.');
    }
    if (!Number.isInteger(index) || index < 0 || index >= words.length) {
      throw new InvalidArgumentError(`No word ${index} in a view of ${words.length} words.`);
    }
    if (!Number.isInteger(owner.token) || owner.token <= 0 || owner.token > OWNER_TOKEN_MASK) {
      throw new InvalidArgumentError(`${owner.token} is not the token of an owner.`);
    }
    this.#words = words;
    this.#index = index;
    this.#owner = owner;
    this.#me = owner.token;
    this.#name = options.name ?? 'a mutex';
    this.#repair = options.repair;
    this.#isWhole = options.isWhole;
  }

  /**
   * Takes the lock if it is free. Cost: one compare-and-swap (about 10 ns). A lock whose last holder's death has been
   * reported and not repaired is not held either: then this repairs, like `lock()`. It does not find out by itself that
   * the holder is dead, as that would not be cheap: then it returns false until somebody has waited.
   * @throws OwnerDiedError
   */
  tryLock(): boolean {
    // Acquire: pairs with the swap in unlock(); what the last holder wrote is visible from here on.
    const seen = Atomics.compareExchange(this.#words, this.#index, FREE, this.#me);
    return seen === FREE || ((seen & DIED) !== 0 && this.#takeOver(seen));
  }

  /**
   * Takes the lock; spins for some 10 µs, then sleeps. Returns whether the first try failed, which is what contention
   * triggers count. Cost when free: one compare-and-swap.
   * @throws LockDeadlineError after `deadlineMs`; OwnerDiedError; LockMisuseError if this processor already holds it;
   *   InvalidArgumentError for a deadline that is none. The lock is not held then.
   */
  lock(deadlineMs: number = LOCK_DEADLINE_MS): boolean {
    assertDeadline(deadlineMs);
    // Acquire: as in tryLock().
    if (Atomics.compareExchange(this.#words, this.#index, FREE, this.#me) === FREE) return false;
    if (this.isMine()) throw new LockMisuseError(`${this.#describeMe()} already holds ${this.#name}.`);
    if (this.#spin()) return true;
    const wait = new LockWait(deadlineMs);
    for (let ms = this.#look(wait, deadlineMs); ms > 0; ms = this.#look(wait, deadlineMs)) {
      // Pairs with the notify in unlock(): WAITERS is in the word we sleep on, so the release either comes before (the
      // word differs, no sleep) or sees the bit and notifies.
      wait.woke(Atomics.wait(this.#words, this.#index, wait.expected, ms));
    }
    return true;
  }

  /** `lock()` as a guard: `using held = mutex.acquire();`. Cost: two small objects more. Throws what `lock()` throws. */
  acquire(deadlineMs: number = LOCK_DEADLINE_MS): Held {
    const contended = this.lock(deadlineMs);
    return new Held(contended, () => this.unlock());
  }

  /**
   * Takes the lock without blocking the event loop; the holder may `await`. Also waits for other holders on this
   * processor. A wait keeps the thread running. Cost when free: that of `lock()` and a promise.
   *
   * Not promised: that other sleepers are as quick as usual. A notification that goes to a waiter here while this event
   * loop is busy is used late; another sleeper then finds the lock free at the end of its sleep (50 ms at most).
   * @throws (rejects) LockDeadlineError, OwnerDiedError, InvalidArgumentError, and the reason of an aborted signal.
   */
  async lockAsync(options: AsyncLockOptions = {}): Promise<Held> {
    const contended = await this.#whenTaken(options, (contended) => contended);
    return new Held(contended, () => this.unlock());
  }

  /** Releases the lock. @throws LockMisuseError if this processor does not hold it; the lock is left as it was. */
  unlock(): void {
    const words = this.#words;
    const index = this.#index;
    // Release: pairs with the swap of the next holder. The plain case needs no second look at the word.
    if (Atomics.compareExchange(words, index, this.#me, FREE) === this.#me) return;
    // While the holder lives only the WAITERS bit changes under it. A swap again, not a store: a lock that is not ours
    // would be freed under somebody else.
    const contended = this.#me | WAITERS;
    if (Atomics.compareExchange(words, index, contended, FREE) !== contended) {
      throw new LockMisuseError(`${this.#describeMe()} released ${this.#name}, which it does not hold.`);
    }
    // Pairs with the sleeps. After the swap, so that whom it wakes finds the lock free; without it sleepers would wait
    // for their cap. One is enough: it will have WAITERS in the word when it releases the lock itself.
    Atomics.notify(words, index, 1);
  }

  /** Number of the processor that holds the lock, -1 if none does. May be stale by the time it is looked at. */
  holder(): number {
    // Pairs with nothing: a snapshot for messages.
    const seen = Atomics.load(this.#words, this.#index);
    return (seen & DIED) === 0 ? ownerOf(seen & OWNER_TOKEN_MASK).processor : -1;
  }

  /** Whether this processor holds the lock. Never stale: only this thread changes the answer. */
  isMine(): boolean {
    // Pairs with this thread's own swaps.
    return (Atomics.load(this.#words, this.#index) & ~WAITERS) === this.#me;
  }

  /** Runs a synchronous function under the lock. Throws what `lock()` and the function throw. */
  withLock<R>(critical: () => R): R {
    this.lock();
    try {
      return critical();
    } finally {
      this.unlock();
    }
  }

  /**
   * Waits as `lockAsync` does, then runs a synchronous function under the lock, in the turn that takes it: no other
   * task of this processor sees the lock held. Rejects with what `lockAsync` rejects with and what the function throws.
   */
  withLockAsync<R>(critical: (contended: boolean) => R, options: AsyncLockOptions = {}): Promise<R> {
    return this.#whenTaken(options, (contended) => {
      try {
        return critical(contended);
      } finally {
        this.unlock();
      }
    });
  }

  async #whenTaken<R>(options: AsyncLockOptions, taken: (contended: boolean) => R): Promise<R> {
    const { deadlineMs = LOCK_DEADLINE_MS, signal } = options;
    assertDeadline(deadlineMs);
    signal?.throwIfAborted();
    // Acquire: as in tryLock().
    if (Atomics.compareExchange(this.#words, this.#index, FREE, this.#me) === FREE) return taken(false);
    // Spinning on a lock that another task of this thread holds would keep that task from running.
    if (!this.isMine() && this.#spin()) return taken(true);
    const wait = new LockWait(deadlineMs);
    for (let ms = this.#look(wait, deadlineMs); ms > 0; ms = this.#look(wait, deadlineMs)) {
      wait.woke(await sleepAsync(this.#words, this.#index, wait.expected, ms, signal));
      if (signal?.aborted) {
        // We may have been notified of a release and leave without a look at the word: pass it on, or another sleeper
        // waits for its cap. (Who gives up at the deadline has had its look, and left WAITERS for the holder to see.)
        Atomics.notify(this.#words, this.#index, 1);
        throw signal.reason;
      }
    }
    return taken(true);
  }

  /** Whether the lock was had in the time that is not worth a sleep. */
  #spin(): boolean {
    const words = this.#words;
    const index = this.#index;
    for (let spin = 0; spin < SPINS; spin++) {
      const seen = Atomics.load(words, index);
      // Acquire: as in tryLock(). The load before it spares the holder's cache line.
      if (seen === FREE && Atomics.compareExchange(words, index, FREE, this.#me) === FREE) return true;
      if ((seen & DIED) !== 0) return false;
      pause();
    }
    return false;
  }

  /**
   * One look of a waiter: takes the lock and returns 0, or sees to it that the release will notify and returns for how
   * many milliseconds to sleep on `wait.expected`. @throws LockDeadlineError, OwnerDiedError
   */
  #look(wait: LockWait, deadlineMs: number): number {
    const words = this.#words;
    const index = this.#index;
    for (;;) {
      const seen = Atomics.load(words, index);
      if (seen === FREE) {
        // Acquire: as in tryLock(). With WAITERS, because others may be asleep and our release must wake one of them.
        if (Atomics.compareExchange(words, index, FREE, this.#me | WAITERS) === FREE) return 0;
        continue;
      }
      if ((seen & DIED) !== 0) {
        if (this.#takeOver(seen)) return 0;
        continue;
      }
      const remainingMs = wait.remainingMs();
      if (wait.shouldSuspect(remainingMs) && !this.#isHeldAlive(seen)) {
        if (this.#takeOver(seen)) return 0;
        continue;
      }
      const contended = seen | WAITERS;
      // Before the sleep, and pairs with the swaps in unlock(): the first fails and the second notifies only because of
      // this bit. Before the deadline, too: if a notification woke us, then somebody has overtaken us, who does not know
      // that there are others asleep.
      if (seen !== contended && Atomics.compareExchange(words, index, seen, contended) !== seen) continue;
      if (remainingMs <= 0) throw new LockDeadlineError(this.#name, this.holder(), deadlineMs);
      wait.expected = contended;
      return wait.sleepMs(remainingMs);
    }
  }

  /** Whether the holder in a word may yet release the lock. Another task of this very thread may. */
  #isHeldAlive(seen: number): boolean {
    const token = seen & OWNER_TOKEN_MASK;
    return token === this.#me || this.#owner.isAlive(token);
  }

  /**
   * Takes the lock from a dead holder, or after one, and repairs. False if the word is no longer what was seen.
   * @throws OwnerDiedError if it could not be repaired; the lock is released then.
   */
  #takeOver(seen: number): boolean {
    const words = this.#words;
    const index = this.#index;
    const mine = this.#me | WAITERS;
    // Acquire: pairs with whatever the dead holder last wrote, as far as it got. A swap from exactly what was judged:
    // two waiters may have found the same death. With WAITERS, as after any wait.
    if (Atomics.compareExchange(words, index, seen, mine) !== seen) return false;
    if (this.#isWhole?.()) return true;
    const token = seen & OWNER_TOKEN_MASK;
    let cause: unknown;
    let isRepaired = false;
    if (this.#repair !== undefined) {
      try {
        this.#repair(ownerOf(token));
        isRepaired = true;
      } catch (thrown) {
        cause = thrown;
      }
    }
    if (!this.isMine()) throw new LockMisuseError(`The repair function of ${this.#name} released the lock.`);
    if (isRepaired) return true;
    // Release, as in unlock(), to the state that tells the next one. Nobody changes a word that has WAITERS already and
    // a holder that lives, so a store will do.
    Atomics.store(words, index, DIED | token);
    Atomics.notify(words, index, 1);
    throw new OwnerDiedError(this.#name, ownerOf(token), cause === undefined ? undefined : { cause });
  }

  #describeMe(): string {
    return `Processor ${ownerOf(this.#me).processor}`;
  }
}
