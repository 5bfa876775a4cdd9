/**
 * Threads and their generations, on one processor.
 *
 * A *thread* is one unit of work. It is counted in the generation that is current when it begins, and counted out of
 * that same generation when it ends. To prove that every thread of this moment has ended, do twice:
 *
 *     when the generation that is not current has no thread left, make it the current one
 *
 * The first swap proves that threads older than the present generation are gone and closes the present one to new
 * threads; the second proves that those are gone too. One swap would not do: a thread that began just before the
 * request sits in the current generation, which the first swap says nothing about.
 *
 * The counts are plain numbers: only this processor touches them, and it swaps generations only *between turns* (in a
 * task of its own, with no JavaScript on the stack). Nobody polls: the thread that empties a generation somebody waits
 * for schedules the next swap. The one shared word is BUSY, which lets another processor see without a message that
 * no thread is live here at all. (Paper, 3.2.1; K42's ActiveThrdCnt, whose call-back was never written.)
 */

/** Number of generations. Two suffice; more only lets swaps run ahead of slow threads. */
export const GENERATIONS = 2;

/** What `begin` returns and `end` takes: the generation a thread is counted in. */
export type Generation = number;

interface Waiter {
  /** Number of swaps by which every thread of the moment of the request has ended. */
  readonly elapsedAt: number;
  readonly callback: () => void;
}

/** A thread that is still running, as far as it is known by name. */
export interface LiveThread {
  readonly name: string;
  /** `performance.now()` when it began. */
  readonly beganAt: number;
}

export class Threads {
  readonly #counts = new Array<number>(GENERATIONS).fill(0);
  #current: Generation = 0;
  #live = 0;
  /** Swaps since the processor started; 2^53 of them do not happen. */
  #swaps = 0;
  #waiters: Waiter[] = [];
  #swapScheduled = false;
  /** Synchronous threads on the stack just now; only spawn() counts here. */
  #depth = 0;
  readonly #named = new Set<LiveThread>();
  /** The BUSY word: this thread's own until a processor is attached. */
  #busyWords: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  #busyIndex = 0;

  /** Publishes this processor's idleness in machine memory from now on. */
  attach(words: Int32Array, busyIndex: number): void {
    this.#busyWords = words;
    this.#busyIndex = busyIndex;
    Atomics.store(words, busyIndex, this.#live === 0 ? 0 : 1);
  }

  /** Counts a thread in. Cost: two additions, and an atomic store when the processor was idle. */
  begin(): Generation {
    // Before the thread reads anything: pairs with the load in GracePeriods.request(). Either the requester sees
    // BUSY, or this thread began after the request and sees what was unlinked before it.
    if (this.#live++ === 0) Atomics.store(this.#busyWords, this.#busyIndex, 1);
    const generation = this.#current;
    (this.#counts[generation] as number)++;
    return generation;
  }

  /** Counts a thread out of the generation it was counted in. */
  end(generation: Generation): void {
    const left = --(this.#counts[generation] as number);
    if (left < 0) throw new Error('@k42/rcu invariant: a thread ended twice');
    if (left === 0 && this.#waiters.length !== 0) this.#scheduleSwap();
    // After the thread's last read: pairs with the load in GracePeriods.request().
    if (--this.#live === 0) Atomics.store(this.#busyWords, this.#busyIndex, 0);
  }

  /** Runs a function as a thread; see `spawn` in `generations.ts`. */
  run<R>(work: () => R, name: string): R {
    const generation = this.begin();
    this.#depth++;
    let result: R;
    try {
      result = work();
    } catch (error) {
      this.end(generation);
      throw error;
    } finally {
      this.#depth--;
    }
    if (!isThenable(result)) {
      this.end(generation);
      return result;
    }
    const thread: LiveThread = { name, beganAt: performance.now() };
    this.#named.add(thread);
    const settled = (): void => {
      this.#named.delete(thread);
      this.end(generation);
    };
    // A derived promise, not the same one: it is counted out first, and an unhandled rejection stays unhandled.
    return result.then(
      (value: unknown) => {
        settled();
        return value;
      },
      (error: unknown) => {
        settled();
        throw error;
      },
    ) as R;
  }

  /** Calls back, between turns, once every thread that is live now on this processor has ended. */
  whenElapsed(callback: () => void): void {
    this.#waiters.push({ elapsedAt: this.#swaps + GENERATIONS, callback });
    this.#scheduleSwap();
  }

  /** True inside the synchronous part of a thread started by spawn(). */
  get insideThread(): boolean {
    return this.#depth !== 0;
  }

  /** Threads live now, asynchronous calls through handles included. */
  get live(): number {
    return this.#live;
  }

  /** The live threads that were spawned and have become asynchronous, oldest first. */
  named(): LiveThread[] {
    return [...this.#named];
  }

  #scheduleSwap(): void {
    if (this.#swapScheduled) return;
    this.#swapScheduled = true;
    setImmediate(() => {
      this.#swapScheduled = false;
      this.#swapWhilePossible();
    });
  }

  #swapWhilePossible(): void {
    while (this.#waiters.length !== 0) {
      const next = (this.#current + 1) % GENERATIONS;
      // Not empty: the thread that empties it will schedule the next try.
      if (this.#counts[next] !== 0) return;
      this.#current = next;
      this.#swaps++;
      const elapsed = this.#waiters.filter((waiter) => waiter.elapsedAt <= this.#swaps);
      this.#waiters = this.#waiters.filter((waiter) => waiter.elapsedAt > this.#swaps);
      for (const waiter of elapsed) runCallback(waiter.callback);
    }
  }
}

/** A callback that throws is an uncaught exception of its own and does not keep the others from running. */
function runCallback(callback: () => void): void {
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
    typeof (value as { then?: unknown } | null | undefined)?.then === 'function' && typeof value === 'object'
  );
}

/** The threads of this JavaScript thread: one per copy of the module, whether or not a machine is attached yet. */
export const threads: Threads = new Threads();
