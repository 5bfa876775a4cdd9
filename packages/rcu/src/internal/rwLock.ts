/**
 * The reader-writer lock: many readers who touch nothing but a word of their own, or one writer.
 *
 * *Words.* A mutex that writers hold (`mutex.ts`), then a reader count for each processor. A count word also carries the
 * incarnation of the processor it belongs to, so that what a dead one has left is recognised.
 *
 * *Reading.* A reader raises its own count, then looks at the mutex. Free: it is in. Taken: it steps back, waits for the
 * mutex as a writer would, raises its count under it and gives the mutex back at once.
 *
 * *Writing.* A writer takes the mutex, which stops new readers, then waits for each count to drain to 0.
 *
 * *Why they exclude* (Dekker's pattern; JavaScript atomics have one total order). The reader stores its count, then loads
 * the mutex; the writer swaps the mutex, then loads the count. If the reader's load comes before the writer's swap, its
 * store does so too and the writer sees the count and waits. If it comes after, the reader sees the mutex taken and steps
 * back. Without the order on either side both could be in.
 *
 * *Why the writer wakes.* The writer stores PHASE = DRAINING, loads the DRAIN sequence, loads a count, sleeps on DRAIN if it
 * is not 0. The last reader of a processor stores 0, loads PHASE, and if it is DRAINING raises DRAIN and notifies. If the
 * writer's load missed the 0, then the reader's load of PHASE comes later still and sees DRAINING; and the raise comes
 * after the writer's load of DRAIN, so that the sleep ends, or does not begin.
 *
 * *Death.* A dead writer is a dead holder of the mutex. PHASE says how far it had come: only if it was WRITING can it have
 * left something half done; else (it was still draining, or it was a reader on its way in) the lock is just taken over.
 * A dead reader has left a count: the writer that waits for it asks, one sleep later, whether that incarnation is alive,
 * and clears the word if not. Readers have changed nothing, so nothing is to be repaired. Killed at any instruction: the
 * mutex's own steps are argued there; a reader killed before it raised DRAIN or before its notify costs the writer the
 * cap of one sleep; one killed between count and mutex, or while stepping back, is a dead reader; a writer killed
 * between the stores to PHASE is a dead holder in the phase last stored.
 */
import { InvalidArgumentError, LockDeadlineError, LockMisuseError } from '../errors.ts';
import { PROCESSORS_MAX, WORD_BYTES } from './layout.ts';
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
import { Mutex, type MutexOptions } from './mutex.ts';
import { type LockOwner, type Owner, ownerOf, tokenOf } from './owners.ts';

/** Words of the block. READERS_END is one more than the highest number that has ever made a lock on it. */
const WORD = { WRITER: 0, DRAIN: 1, PHASE: 2, READERS_END: 3, READERS: 4 } as const;
const WORDS: number = WORD.READERS + PROCESSORS_MAX;

/** Written by the holder of the mutex. IDLE: it is a reader on its way in, or nobody. */
const PHASE = { IDLE: 0, DRAINING: 1, WRITING: 2 } as const;

/** A count word: 22 bits of incarnation above 10 bits of count. */
const COUNT_BITS = 10;
const COUNT_MASK: number = (1 << COUNT_BITS) - 1;

/** As for a mutex; `repair` is run after a writer's death only, with no reader and no other writer in. */
export type RwLockOptions = MutexOptions;

/** How far a writer has come with waiting for the readers: those below `next` are out and stay out. */
interface Drain {
  readonly wait: LockWait;
  readonly deadlineMs: number;
  next: number;
}

/**
 * A reader-writer lock over `RwLock.WORDS` words of machine memory (all 0 at first). Every processor makes its own
 * `RwLock` on the same words.
 *
 * It is held by a processor, as a mutex is. Reading is re-entrant: a processor that reads already may begin to read
 * again, even while a writer waits (else it would wait for the writer, who waits for it). That holds for all its tasks
 * alike, which cannot be told apart: asynchronous readers of one processor that overlap without a gap keep writers out
 * until their deadline. Writing is not re-entrant, and there is no upgrade from reading to writing.
 *
 * *Fairness:* writers first. A writer that waits stops new readers; under constant writers readers may starve. Among
 * writers there is no order, as with the mutex.
 *
 * *Cost:* beginning and ending to read takes two atomics each, some 40 ns together, on a word that only this processor
 * writes (sixteen processors share a cache line). Writing takes some eight atomics and one more for each number up to the
 * highest that ever used the lock, 170 ns and 10 ns for each.
 *
 * *Death:* a dead writer is reported and repaired as with the mutex, but only if it died between taking the lock and
 * beginning to release it. A dead reader is forgotten; the writer that waits for it finds out as a mutex waiter does.
 */
export class RwLock {
  static readonly WORDS: number = WORDS;
  static readonly BYTES: number = WORDS * WORD_BYTES;

  readonly #words: Int32Array;
  readonly #base: number;
  readonly #owner: LockOwner;
  readonly #number: number;
  /** Index of our count word, and that word with a count of 0. */
  readonly #slot: number;
  readonly #none: number;
  readonly #name: string;
  readonly #writer: Mutex;

  /**
   * @param words a view on machine memory; @param index the first word; @param owner the calling processor, as an owner.
   * @throws InvalidArgumentError
   */
  constructor(words: Int32Array, index: number, owner: LockOwner, options: RwLockOptions = {}) {
    if (!Number.isInteger(index) || index < 0 || index + WORDS > words.length) {
      throw new InvalidArgumentError(`No ${WORDS} words at ${index} in a view of ${words.length} words.`);
    }
    const { processor, incarnation } = ownerOf(owner.token);
    if (processor < 0 || processor >= PROCESSORS_MAX) {
      throw new InvalidArgumentError(`${owner.token} is not the token of a processor.`);
    }
    const { name = 'a reader-writer lock', repair } = options;
    this.#words = words;
    this.#base = index;
    this.#owner = owner;
    this.#number = processor;
    this.#slot = index + WORD.READERS + processor;
    this.#none = incarnation << COUNT_BITS;
    this.#name = name;
    this.#writer = new Mutex(words, index + WORD.WRITER, owner, {
      name,
      isWhole: () => this.#isWhole(),
      ...(repair === undefined ? {} : { repair: (dead: Owner) => this.#repair(repair, dead) }),
    });
    this.#announce();
  }

  /**
   * Begins to read. Returns whether it had to wait. @throws LockDeadlineError; OwnerDiedError if a writer died and its
   * state has not been repaired; LockMisuseError beyond 1023 nested reads, and if this processor is writing or one of
   * its tasks waits in `writeLockAsync` for readers to leave.
   */
  readLock(deadlineMs: number = LOCK_DEADLINE_MS): boolean {
    assertDeadline(deadlineMs);
    if (this.#tryRead()) return false;
    this.#writer.lock(deadlineMs);
    this.#countUp();
    this.#writer.unlock();
    return true;
  }

  /** Ends one read. @throws LockMisuseError if this processor is not reading. */
  readUnlock(): void {
    const mine = this.#mine();
    if (mine === this.#none) {
      throw new LockMisuseError(`Processor ${this.#number} does not read ${this.#name}.`);
    }
    this.#leave(mine - 1);
  }

  /**
   * Begins to read without blocking the event loop. @throws (rejects) as `readLock`, and with the reason of an aborted
   * signal; but waits for a writer on this processor.
   */
  async readLockAsync(options: AsyncLockOptions = {}): Promise<Held> {
    assertDeadline(options.deadlineMs ?? LOCK_DEADLINE_MS);
    options.signal?.throwIfAborted();
    const contended = !this.#tryRead();
    // The count goes up in the turn that takes the mutex: were it held for longer, another task of this processor that
    // reads synchronously would find it held by its own processor and be refused.
    if (contended) await this.#writer.withLockAsync(() => this.#countUp(), options);
    return new Held(contended, () => this.readUnlock());
  }

  /**
   * Begins to write: waits for the writer before, then for the readers. Returns whether it had to wait.
   * @throws LockDeadlineError naming the writer or reader waited for; OwnerDiedError; LockMisuseError if this processor
   *   is reading or writing, or one of its tasks waits in `writeLockAsync` for readers to leave.
   */
  writeLock(deadlineMs: number = LOCK_DEADLINE_MS): boolean {
    assertDeadline(deadlineMs);
    if (this.#mine() !== this.#none) {
      throw new LockMisuseError(`Processor ${this.#number} reads ${this.#name} and cannot write it.`);
    }
    const drain = { wait: new LockWait(deadlineMs), deadlineMs, next: 0 };
    let contended = this.#writer.lock(deadlineMs);
    this.#beginDrain();
    try {
      contended = this.#spin(drain) || contended;
      for (let ms = this.#look(drain); ms > 0; ms = this.#look(drain)) {
        // Pairs with the raise of DRAIN in #leave().
        drain.wait.woke(Atomics.wait(this.#words, this.#base + WORD.DRAIN, drain.wait.expected, ms));
      }
    } catch (thrown) {
      this.#endWriting();
      throw thrown;
    }
    this.#beginWriting();
    return contended;
  }

  /** Ends writing. @throws LockMisuseError if this processor is not writing. */
  writeUnlock(): void {
    // Pairs with this thread's own stores. PHASE is looked at, too: a task that still drains holds the mutex already.
    if (!this.#writer.isMine() || this.#phase() !== PHASE.WRITING) {
      throw new LockMisuseError(`Processor ${this.#number} does not write ${this.#name}.`);
    }
    this.#endWriting();
  }

  /**
   * Begins to write without blocking the event loop. Waits for other tasks of this processor, too; a task that itself
   * reads waits until its deadline, then. @throws (rejects) as `writeLock` except for misuse, and with the reason of an
   * aborted signal.
   */
  async writeLockAsync(options: AsyncLockOptions = {}): Promise<Held> {
    const { deadlineMs = LOCK_DEADLINE_MS, signal } = options;
    assertDeadline(deadlineMs);
    const drain = { wait: new LockWait(deadlineMs), deadlineMs, next: 0 };
    let { contended } = await this.#writer.lockAsync(options);
    this.#beginDrain();
    try {
      contended = this.#spin(drain) || contended;
      for (let ms = this.#look(drain); ms > 0; ms = this.#look(drain)) {
        const { wait } = drain;
        // Pairs with the raise of DRAIN in #leave().
        wait.woke(await sleepAsync(this.#words, this.#base + WORD.DRAIN, wait.expected, ms, signal));
        signal?.throwIfAborted();
      }
    } catch (thrown) {
      this.#endWriting();
      throw thrown;
    }
    this.#beginWriting();
    return new Held(contended, () => this.writeUnlock());
  }

  /** Runs a synchronous function while reading. Throws what `readLock()` and the function throw. */
  withRead<R>(reader: () => R): R {
    this.readLock();
    try {
      return reader();
    } finally {
      this.readUnlock();
    }
  }

  /** Runs a synchronous function while writing. Throws what `writeLock()` and the function throw. */
  withWrite<R>(writer: () => R): R {
    this.writeLock();
    try {
      return writer();
    } finally {
      this.writeUnlock();
    }
  }

  /** Raises READERS_END above our number. */
  #announce(): void {
    const index = this.#base + WORD.READERS_END;
    for (;;) {
      const end = Atomics.load(this.#words, index);
      if (end > this.#number) return;
      // Pairs with the load in #look(). Before our first count: a writer whose load misses it has taken the mutex before
      // that count, and our look at the mutex finds it taken.
      if (Atomics.compareExchange(this.#words, index, end, this.#number + 1) === end) return;
    }
  }

  /**
   * Our count word; `#none` if it is not ours yet. Not atomic: it changes under this thread's hands only. What a dead
   * predecessor has left, and a writer may be clearing, has another incarnation, which is all that is looked at.
   */
  #mine(): number {
    const word = this.#words[this.#slot] as number;
    return word >>> COUNT_BITS === this.#none >>> COUNT_BITS ? word : this.#none;
  }

  /** One try to read, without waiting. */
  #tryRead(): boolean {
    if (this.#mine() !== this.#none) {
      this.#countUp();
      return true;
    }
    this.#countUp();
    // Pairs with the swap that takes the mutex: see the header. A lock in its DIED state is not free either.
    if (Atomics.load(this.#words, this.#base + WORD.WRITER) === 0) return true;
    this.#leave(this.#none);
    return false;
  }

  #countUp(): void {
    const mine = this.#mine();
    if ((mine & COUNT_MASK) === COUNT_MASK) {
      throw new LockMisuseError(`Processor ${this.#number} reads ${this.#name} ${COUNT_MASK} times already.`);
    }
    // Pairs with the loads in #look(): see the header. A plain store could pass the load of the mutex that follows.
    Atomics.store(this.#words, this.#slot, mine + 1);
  }

  /** Lowers our count; the last to leave tells a writer that waits. */
  #leave(word: number): void {
    // Release: pairs with the load in #look(); what we have read was read before the writer goes on.
    Atomics.store(this.#words, this.#slot, word);
    if (word !== this.#none || this.#phase() !== PHASE.DRAINING) return;
    const drain = this.#base + WORD.DRAIN;
    // Pairs with the load of DRAIN in #look(): the writer must not fall asleep on the count that has just gone.
    Atomics.add(this.#words, drain, 1);
    // All, as stale waiters of a writer that gave up may be among them; there is one writer at a time.
    Atomics.notify(this.#words, drain);
  }

  #phase(): number {
    // Pairs with the store in #beginDrain(): see the header.
    return Atomics.load(this.#words, this.#base + WORD.PHASE);
  }

  #beginDrain(): void {
    // Pairs with the load in #leave(). Before the counts are looked at: see the header.
    Atomics.store(this.#words, this.#base + WORD.PHASE, PHASE.DRAINING);
  }

  #beginWriting(): void {
    // Pairs with the load in #isWhole(). Before the writer's first write: a writer killed after it must be seen WRITING.
    Atomics.store(this.#words, this.#base + WORD.PHASE, PHASE.WRITING);
  }

  #endWriting(): void {
    // After the writer's last write, and before the mutex is released: PHASE belongs to its holder.
    Atomics.store(this.#words, this.#base + WORD.PHASE, PHASE.IDLE);
    this.#writer.unlock();
  }

  /** Gives the readers the time that is not worth a sleep; returns whether there were any. */
  #spin(drain: Drain): boolean {
    let spin = 0;
    while (spin < SPINS && this.#firstReader(drain) !== 0) {
      spin++;
      pause();
    }
    return spin > 0;
  }

  /** The count word of the first processor that reads; 0 if none does. */
  #firstReader(drain: Drain): number {
    const words = this.#words;
    // Pairs with the swap in #announce().
    const end = Atomics.load(words, this.#base + WORD.READERS_END);
    for (; drain.next < end; drain.next++) {
      // Pairs with the store in #countUp(), in the order that the header argues for, and with that in #leave(). Whoever
      // is out stays out: it finds the mutex taken, so its count is not looked at again.
      const word = Atomics.load(words, this.#base + WORD.READERS + drain.next);
      if ((word & COUNT_MASK) !== 0) return word;
    }
    return 0;
  }

  /**
   * One look of a writer: 0 if all readers are out, else for how many milliseconds to sleep on `wait.expected`.
   * @throws LockDeadlineError
   */
  #look(drain: Drain): number {
    const { wait, deadlineMs } = drain;
    for (;;) {
      // Pairs with the raise in #leave(). Before the count: see the header.
      wait.expected = Atomics.load(this.#words, this.#base + WORD.DRAIN);
      const word = this.#firstReader(drain);
      if (word === 0) return 0;
      const remainingMs = wait.remainingMs();
      if (wait.shouldSuspect(remainingMs) && !this.#isReaderAlive(drain.next, word)) {
        // From exactly what was judged: the number may have been given out again, and its new owner be reading.
        Atomics.compareExchange(this.#words, this.#base + WORD.READERS + drain.next, word, 0);
        continue;
      }
      if (remainingMs <= 0) throw new LockDeadlineError(this.#name, drain.next, deadlineMs);
      return wait.sleepMs(remainingMs);
    }
  }

  #isReaderAlive(number: number, word: number): boolean {
    return number === this.#number || this.#owner.isAlive(tokenOf(number, word >>> COUNT_BITS));
  }

  /** Under the mutex, after its holder's death. */
  #isWhole(): boolean {
    // Pairs with the store in #beginWriting(): anything else than WRITING and the dead holder had written nothing.
    if (this.#phase() === PHASE.WRITING) return false;
    Atomics.store(this.#words, this.#base + WORD.PHASE, PHASE.IDLE);
    return true;
  }

  /** Under the mutex, after a writer's death. */
  #repair(repair: (dead: Owner) => void, dead: Owner): void {
    repair(dead);
    // After the repair: should we die in it, the next one must see WRITING.
    Atomics.store(this.#words, this.#base + WORD.PHASE, PHASE.IDLE);
  }
}
