/**
 * Threads and their generations, on one processor, in one domain.
 *
 * A *thread* is one unit of work. It is counted in the generation that is current when it begins, and counted out of
 * that same generation when it ends. A *generation swap* finds the other generation without a thread and makes it the
 * current one. Two swaps prove that every thread of a moment has ended: the first one shows that the threads older than
 * the present generation are gone, and closes the present one to new threads; the second one shows that those are gone too.
 * One swap would not do: a thread that began just before the request sits in the current generation, which the first swap
 * says nothing about.
 *
 * What proves is the first half of a swap, that a generation is found without a thread. Its second half, making it the
 * current one, is left until somebody asks again: then it is made at once, and waits for nobody. (K42 makes both at the
 * end of the wait. Then the next request finds the threads that have begun since in its way, and takes twice as long.)
 *
 * **Numbers.** Generations are numbered as they become current: number n is counted in slot n % GENERATIONS. SWAPS is the
 * number of the current one; OLDEST of the oldest that may have a thread, so all that began in a lower one have ended. The
 * next one can be opened while there is a slot without a thread: with two of them when OLDEST is SWAPS.
 *
 * **Counting.** The counts are plain numbers: only this processor touches them.
 *
 * **Swapping.** Only the owner swaps, and only *between turns*: in a microtask or task of its own, when no other
 * JavaScript is on the stack. A thread that is running synchronously can therefore never be overlooked. Nobody polls:
 * the thread that empties a generation somebody waits for has the owner look again.
 *
 * **What others see.** Three words of machine memory. BUSY shows without a message that no thread is live here at all.
 * SWAPS and OLDEST are what a grace period is made of: whoever reads s in SWAPS after unlinking something knows that every
 * thread which may still hold it began in a generation of at most number s, so that all of them have ended when OLDEST is
 * past s. (Paper, 3.2.1; K42's ActiveThrdCnt, whose call-back was never written.)
 *
 * **Names.** Threads that have become asynchronous have records, so that a stalled grace period can say whom it waits for.
 * Records are reused; a record's handlers are made once.
 */
import { ThreadMisuseError } from '../errors.ts';

/** Slots for generations. Two suffice; with more, swaps can run ahead of slow threads. */
export const GENERATIONS = 2;

/** What `begin` returns and `end` takes: the generation a thread is counted in. */
export type Generation = number;

/** Records of ended asynchronous threads that are kept for the next ones. */
const RECORDS_KEPT = 1024;

/** A function, for its name. */
export interface Named {
  readonly name: string;
}

interface Waiter {
  /** What OLDEST must have reached: every thread of the moment of the request has ended then. */
  readonly target: number;
  readonly callback: () => void;
  readonly since: number;
}

/** A thread that is still running, as far as it is known by name. */
export interface LiveThread {
  readonly name: string;
  readonly generation: Generation;
}

/** What one domain looks like on one processor. */
export interface ThreadsView {
  /** Threads live now, calls counted by hand (through handles) included. */
  readonly live: number;
  /** Live threads by generation. */
  readonly counts: readonly number[];
  readonly current: Generation;
  readonly swaps: number;
  /** Whether somebody waits for threads to end, and since when (`performance.now()` of this processor). */
  readonly waitedForSince: number | undefined;
  /** Threads of the oldest generation by name, whose end is waited for; at most 32 of them. */
  readonly blockers: readonly string[];
  /** Threads whose end is waited for, those without a name included. */
  readonly blocking: number;
}

/** A thread that is known by name. */
export interface NamedThread {
  readonly name: string;
  generation: Generation;
  /** When it began, in threads begun; wraps, and serves only to tell who is older. */
  sequence: number;
}

/** A spawned thread that has become asynchronous, or the record of one that is kept for the next. */
class AsyncThread implements NamedThread {
  /** Whatever gives it its name: looked at only when somebody asks. Undefined when no thread has the record. */
  source: Named | undefined;
  generation: Generation = 0;
  sequence = 0;
  /** Its place among the records. */
  index: number;
  nextFree: AsyncThread | undefined;
  readonly fulfilled: (value: unknown) => unknown;
  readonly rejected: (error: unknown) => never;

  constructor(threads: Threads, index: number) {
    this.index = index;
    this.fulfilled = (value) => {
      threads.ended(this);
      return value;
    };
    this.rejected = (error) => {
      threads.ended(this);
      throw error;
    };
  }

  get name(): string {
    return nameOf(this.source);
  }
}

const promiseThen = Promise.prototype.then;

export class Threads {
  readonly #generations: number;
  readonly #counts: number[];
  #current: Generation = 0;
  #live = 0;
  /** Number of the current generation: swaps since this JavaScript thread began; 2^53 of them do not happen. */
  #swaps = 0;
  /** Number of the oldest generation that may have a thread. */
  #oldest = 0;
  #waiters: Waiter[] = [];
  #advanceScheduled = false;
  /** Synchronous threads on the stack just now; only `run` counts here. */
  #depth = 0;
  /** Records of all asynchronous threads, and some that are free. */
  readonly #records: AsyncThread[] = [];
  #free: AsyncThread | undefined;
  #freeCount = 0;
  /** Threads held by hand. */
  readonly #held = new Set<NamedThread>();
  #sequence = 0;
  /** The shared words: this JavaScript thread's own until a processor is attached. */
  #words: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  #longs: BigInt64Array = new BigInt64Array(new SharedArrayBuffer(16));
  #busyIndex = 0;
  #swapsIndex = 0;
  #oldestIndex = 0;

  constructor(generations: number = GENERATIONS) {
    this.#generations = generations;
    this.#counts = new Array<number>(generations).fill(0);
  }

  /** Publishes idleness and generations in machine memory from now on: byte offsets of the three words. */
  attach(buffer: SharedArrayBuffer, at: { busy: number; swaps: number; oldest: number }): void {
    this.#words = new Int32Array(buffer);
    this.#longs = new BigInt64Array(buffer);
    this.#busyIndex = at.busy / 4;
    this.#swapsIndex = at.swaps / 8;
    this.#oldestIndex = at.oldest / 8;
    // Before the processor is live: nobody reads them yet. BUSY last, so that it never comes with a stale number.
    Atomics.store(this.#longs, this.#swapsIndex, BigInt(this.#swaps));
    Atomics.store(this.#longs, this.#oldestIndex, BigInt(this.#oldest));
    Atomics.store(this.#words, this.#busyIndex, this.#live === 0 ? 0 : 1);
  }

  /** The machine memory belongs to somebody else now. */
  detach(): void {
    this.attach(new SharedArrayBuffer(24), { busy: 0, swaps: 8, oldest: 16 });
  }

  /** Counts a thread in. Cost: two additions, and an atomic store when the processor was idle. */
  begin(): Generation {
    // Before the thread reads anything: pairs with the load of BUSY in GracePeriods. Either the requester sees it set,
    // or this thread began after the request and sees what was unlinked before it.
    if (this.#live++ === 0) Atomics.store(this.#words, this.#busyIndex, 1);
    const generation = this.#current;
    (this.#counts[generation] as number)++;
    return generation;
  }

  /** Counts a thread out of the generation it was counted in. @throws ThreadMisuseError if none is counted there. */
  end(generation: Generation): void {
    const left = (this.#counts[generation] as number) - 1;
    if (!(left >= 0))
      throw new ThreadMisuseError(`No thread of generation ${generation} is live to be ended.`);
    this.#counts[generation] = left;
    if (left === 0 && this.#waiters.length !== 0) this.#scheduleAdvance();
    // After the thread's last read: pairs with the load of BUSY in GracePeriods.
    if (--this.#live === 0) Atomics.store(this.#words, this.#busyIndex, 0);
  }

  /** Moves a thread that announces a quiescent state into the current generation; gives that. */
  renew(generation: Generation): Generation {
    if (generation === this.#current) return generation;
    // In first: the processor stays busy throughout.
    const renewed = this.begin();
    this.end(generation);
    return renewed;
  }

  /** Runs a function as a thread; see `spawn` in `generations.ts`. */
  run<R>(work: () => R, source: Named = work): R {
    const generation = this.begin();
    this.#depth++;
    let result: R;
    let thenable: boolean;
    try {
      result = work();
      // Here too: it looks at a property of the result, which may throw.
      thenable = isThenable(result);
    } catch (error) {
      this.#depth--;
      this.end(generation);
      throw error;
    }
    this.#depth--;
    if (thenable) return this.#adopt(result as PromiseLike<unknown>, generation, source) as R;
    this.end(generation);
    return result;
  }

  /** The thread lasts until the promise settles; a derived promise is given, so that it has been counted out by then. */
  #adopt(result: PromiseLike<unknown>, generation: Generation, source: Named): Promise<unknown> {
    let record = this.#free;
    if (record === undefined) {
      record = new AsyncThread(this, this.#records.length);
      this.#records.push(record);
    } else {
      this.#free = record.nextFree;
      this.#freeCount--;
    }
    record.source = source;
    record.generation = generation;
    record.sequence = this.#nextSequence();
    // A thenable of another kind may settle more than once; a promise made of it does not.
    const isPlain = result instanceof Promise && result.then === promiseThen;
    const promise = isPlain ? result : new Promise<unknown>((resolve) => resolve(result));
    // Derived: an unhandled rejection stays unhandled.
    return promise.then(record.fulfilled, record.rejected);
  }

  /** An asynchronous thread has settled. */
  ended(record: AsyncThread): void {
    record.source = undefined;
    if (this.#freeCount < RECORDS_KEPT) {
      record.nextFree = this.#free;
      this.#free = record;
      this.#freeCount++;
    } else {
      // After a flood: the last record takes the place of this one, which is forgotten.
      const last = this.#records.pop() as AsyncThread;
      if (last !== record) {
        this.#records[record.index] = last;
        last.index = record.index;
      }
    }
    this.end(record.generation);
  }

  /** Makes a thread held by hand known by its name. */
  hold(thread: NamedThread, generation: Generation): void {
    thread.generation = generation;
    thread.sequence = this.#nextSequence();
    this.#held.add(thread);
  }

  letGo(thread: NamedThread): void {
    this.#held.delete(thread);
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence + 1) | 0;
    return this.#sequence;
  }

  /** Calls back, between turns, once every thread that is live now on this processor has ended. */
  whenElapsed(callback: () => void): void {
    this.#wait(this.elapsedAt, callback);
    this.#scheduleAdvance();
  }

  /** Calls back once OLDEST has reached a number. Between turns only: it may call back, and swap, at once. */
  whenReached(target: number, callback: () => void): void {
    if (this.#oldest >= target) {
      callback();
      return;
    }
    this.#wait(target, callback);
    this.#advance();
  }

  /** What OLDEST will have reached when every thread of this moment has ended. */
  get elapsedAt(): number {
    return this.#swaps + 1;
  }

  get swaps(): number {
    return this.#swaps;
  }

  /** True inside the synchronous part of a thread started by `run`. */
  get insideThread(): boolean {
    return this.#depth !== 0;
  }

  /** Threads live now, calls counted by hand included. */
  get live(): number {
    return this.#live;
  }

  /** The live threads known by name, oldest first. Cost: proportional to their number. */
  named(): LiveThread[] {
    const live: NamedThread[] = this.#records.filter((record) => record.source !== undefined);
    live.push(...this.#held);
    live.sort((one, other) => (one.sequence - other.sequence) | 0);
    return live.map(({ name, generation }) => ({ name, generation }));
  }

  view(): ThreadsView {
    const oldest = this.#oldest % this.#generations;
    const waited = this.#waiters.length !== 0;
    const blockers: string[] = [];
    if (waited) {
      for (const { name, generation } of this.named()) {
        if (generation === oldest && blockers.length < 32) blockers.push(name);
      }
    }
    return {
      live: this.#live,
      counts: [...this.#counts],
      current: this.#current,
      swaps: this.#swaps,
      waitedForSince: this.#waiters[0]?.since,
      blockers,
      blocking: waited ? (this.#counts[oldest] as number) : 0,
    };
  }

  #wait(target: number, callback: () => void): void {
    this.#waiters.push({ target, callback, since: performance.now() });
  }

  #scheduleAdvance(): void {
    if (this.#advanceScheduled) return;
    this.#advanceScheduled = true;
    // A microtask runs when the stack is empty: what is between turns begins there.
    queueMicrotask(() => {
      this.#advanceScheduled = false;
      this.#advance();
    });
  }

  /** Takes note of generations that have no thread left, calls back who waited for that, and swaps for who waits still. */
  #advance(): void {
    while (this.#waiters.length !== 0) {
      while (this.#oldest < this.#swaps && this.#counts[this.#oldest % this.#generations] === 0) {
        this.#oldest++;
        // Pairs with the loads of OLDEST in GracePeriods: the generation was closed, and found empty, before this store.
        Atomics.store(this.#longs, this.#oldestIndex, BigInt(this.#oldest));
      }
      this.#callBack();
      const needed = this.#waiters.reduce((most, { target }) => Math.max(most, target), 0);
      // Nobody waits for threads of the current generation; or there is no slot to open: the thread that empties the
      // oldest generation will have us look again.
      if (needed <= this.#swaps || this.#swaps - this.#oldest === this.#generations - 1) return;
      this.#swaps++;
      this.#current = this.#swaps % this.#generations;
      // Pairs with the loads of SWAPS in GracePeriods: threads are counted under the new number only after this.
      Atomics.store(this.#longs, this.#swapsIndex, BigInt(this.#swaps));
    }
  }

  #callBack(): void {
    const reached = this.#waiters.filter((waiter) => waiter.target <= this.#oldest);
    if (reached.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.target > this.#oldest);
    for (const waiter of reached) runGuarded(waiter.callback);
  }
}

/** A callback that throws is an uncaught exception of its own and does not keep the others from running. */
export function runGuarded(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** What an asynchronous function or method returns, native promise or not. */
export function isThenable<R>(value: R): value is R & PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}

/** The name under which diagnostics know the thread that runs a function. */
export function nameOf(source: Named | undefined): string {
  return source === undefined || source.name === '' ? '(anonymous thread)' : source.name;
}
