/**
 * Threads and their generations, on one processor, in one domain.
 *
 * A *thread* is one unit of work. It is counted in the generation that is current when it begins, and counted out of
 * that same generation when it ends. To prove that every thread of this moment has ended, do twice:
 *
 *     when the generation that is not current has no thread left, make it the current one
 *
 * The first swap proves that threads older than the present generation are gone and closes the present one to new
 * threads; the second proves that those are gone too. One swap would not do: a thread that began just before the
 * request sits in the current generation, which the first swap says nothing about. (With more generations than two,
 * one swap for each; see `GENERATIONS`.)
 *
 * **Counting.** The counts are plain numbers: only this processor touches them.
 *
 * **Swapping.** Only the owner swaps, and only *between turns*: in a microtask or task of its own, when no other
 * JavaScript is on the stack. A thread that is running synchronously can therefore never be overlooked. Nobody polls:
 * the thread that empties a generation somebody waits for schedules the next swap.
 *
 * **What others see.** Two words of machine memory. BUSY shows without a message that no thread is live here at all.
 * SWAPS, the number of swaps so far, is what a grace period is made of: whoever reads s there after unlinking something
 * knows that every thread which may still hold it began at a swap number of at most s, so that all of them have ended
 * when the number has reached s + GENERATIONS. (Paper, 3.2.1; K42's ActiveThrdCnt, whose call-back was never written.)
 *
 * **Names.** Threads that have become asynchronous have records, so that a stalled grace period can say whom it waits for.
 * Records are reused; a record's handlers are made once.
 */
import { ThreadMisuseError } from '../errors.ts';

/** Number of generations. Two suffice; more only lets swaps run ahead of slow threads. */
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
  /** Number of swaps by which every thread of the moment of the request has ended. */
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
  /** Whether somebody waits for a swap, and since when (`performance.now()` of this processor). */
  readonly waitedForSince: number | undefined;
  /** Threads by name whose end the next swap waits for; at most 32 of them. */
  readonly blockers: readonly string[];
  /** Threads the next swap waits for, those without a name included. */
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

export class Threads {
  readonly #generations: number;
  readonly #counts: number[];
  #current: Generation = 0;
  #live = 0;
  /** Swaps since this JavaScript thread began; 2^53 of them do not happen. */
  #swaps = 0;
  #waiters: Waiter[] = [];
  #swapScheduled = false;
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
  #longs: BigInt64Array = new BigInt64Array(new SharedArrayBuffer(8));
  #busyIndex = 0;
  #swapsIndex = 0;

  constructor(generations: number = GENERATIONS) {
    this.#generations = generations;
    this.#counts = new Array<number>(generations).fill(0);
  }

  /** Publishes idleness and swaps in machine memory from now on. */
  attach(words: Int32Array, busyIndex: number, longs: BigInt64Array, swapsIndex: number): void {
    this.#words = words;
    this.#busyIndex = busyIndex;
    this.#longs = longs;
    this.#swapsIndex = swapsIndex;
    // Before the processor is live: nobody reads them yet. SWAPS first, so that a busy word never meets a stale number.
    Atomics.store(longs, swapsIndex, BigInt(this.#swaps));
    Atomics.store(words, busyIndex, this.#live === 0 ? 0 : 1);
  }

  /** The machine memory belongs to somebody else now. */
  detach(): void {
    this.attach(new Int32Array(new SharedArrayBuffer(4)), 0, new BigInt64Array(new SharedArrayBuffer(8)), 0);
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
    if (left === 0 && this.#waiters.length !== 0) this.#scheduleSwap();
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
    const promise = result instanceof Promise ? result : Promise.resolve(result);
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
    this.#wait(this.#swaps + this.#generations, callback);
    this.#scheduleSwap();
  }

  /** Calls back once so many swaps have been made. Between turns only: it may call back, and swap, at once. */
  whenSwapped(target: number, callback: () => void): void {
    if (this.#swaps >= target) {
      callback();
      return;
    }
    this.#wait(target, callback);
    this.#swapWhilePossible();
  }

  /** Number of swaps by which every thread of this moment will have ended. */
  get elapsedAt(): number {
    return this.#swaps + this.#generations;
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
    const next = (this.#current + 1) % this.#generations;
    const waited = this.#waiters.length !== 0;
    const blockers: string[] = [];
    if (waited) {
      for (const { name, generation } of this.named()) {
        if (generation === next && blockers.length < 32) blockers.push(name);
      }
    }
    return {
      live: this.#live,
      counts: [...this.#counts],
      current: this.#current,
      swaps: this.#swaps,
      waitedForSince: waited ? Math.min(...this.#waiters.map((waiter) => waiter.since)) : undefined,
      blockers,
      blocking: waited ? (this.#counts[next] as number) : 0,
    };
  }

  #wait(target: number, callback: () => void): void {
    this.#waiters.push({ target, callback, since: performance.now() });
  }

  #scheduleSwap(): void {
    if (this.#swapScheduled) return;
    this.#swapScheduled = true;
    // A microtask runs when the stack is empty: what is between turns begins there.
    queueMicrotask(() => {
      this.#swapScheduled = false;
      this.#swapWhilePossible();
    });
  }

  #swapWhilePossible(): void {
    while (this.#waiters.length !== 0) {
      const next = (this.#current + 1) % this.#generations;
      // Not empty: the thread that empties it will schedule the next try.
      if (this.#counts[next] !== 0) return;
      this.#current = next;
      this.#swaps++;
      // Pairs with the loads of SWAPS in GracePeriods: the generation was found empty before this store.
      Atomics.store(this.#longs, this.#swapsIndex, BigInt(this.#swaps));
      const reached = this.#waiters.filter((waiter) => waiter.target <= this.#swaps);
      if (reached.length === 0) continue;
      this.#waiters = this.#waiters.filter((waiter) => waiter.target > this.#swaps);
      for (const waiter of reached) runGuarded(waiter.callback);
    }
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
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

/** The name under which diagnostics know the thread that runs a function. */
export function nameOf(source: Named | undefined): string {
  return source === undefined || source.name === '' ? '(anonymous thread)' : source.name;
}
