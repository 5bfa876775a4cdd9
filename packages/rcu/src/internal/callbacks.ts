/**
 * The callbacks of one domain on one processor whose grace period has ended, and the count of all that are still to run.
 *
 * They run in the order in which they were handed in, in tasks of their own, a few milliseconds at a time so that a flood
 * of them does not keep the event loop from its other work. One that throws is an uncaught exception and loses no other.
 *
 * Back-pressure is that of Node's streams: handing one in says whether the caller should go on (`false` above the high-water
 * mark), and `drained` settles when there are few enough again.
 */
import { CallbackOverflowError } from '../errors.ts';
import { runGuarded } from './threads.ts';

/** How long callbacks run in one task of the event loop. */
const SLICE_MS = 2;
/** Callbacks between two looks at the clock, which costs as much as some of them. */
const SLICE_CALLBACKS = 128;

/** Limits on callbacks that have been handed in and not yet run, per domain and processor. */
export interface CallbackLimits {
  /** From here on `call` answers `false`. */
  readonly highWaterMark: number;
  /** `call` throws rather than let there be more. */
  readonly max: number;
}

export const CALLBACK_LIMITS: CallbackLimits = { highWaterMark: 100_000, max: 16_777_216 };

interface Drain {
  /** Number of callbacks that must have run. */
  readonly ranAt: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Callbacks {
  #limits: CallbackLimits;
  /** Batches whose grace period has ended, oldest first; the first one has been run up to `#position`. */
  #ready: (readonly (() => void)[])[] = [];
  #position = 0;
  #scheduled = false;
  #handedIn = 0;
  #ran = 0;
  /** Ascending by `ranAt`. */
  #drains: Drain[] = [];
  readonly #held = new Set<Promise<unknown>>();
  #failed: Error | undefined;

  constructor(limits: CallbackLimits) {
    this.#limits = limits;
  }

  limit(limits: CallbackLimits): void {
    this.#limits = limits;
  }

  /**
   * Counts one more in; says whether there is room for more. One that is inherited cannot be refused: who handed it in is
   * dead. @throws CallbackOverflowError
   */
  admit(inherited: boolean): boolean {
    if (!inherited && this.pending >= this.#limits.max) throw new CallbackOverflowError(this.#limits.max);
    this.#handedIn++;
    return this.pending < this.#limits.highWaterMark;
  }

  /** Handed in and not yet run. */
  get pending(): number {
    return this.#handedIn - this.#ran;
  }

  /** Whether any is to be run, or has begun and takes turns to complete. */
  get hasWork(): boolean {
    return this.pending !== 0 || this.#held.size !== 0;
  }

  /** Handed in since the processor attached. */
  get handedIn(): number {
    return this.#handedIn;
  }

  /** Has a batch run whose grace period is over, in tasks to come. */
  ready(batch: readonly (() => void)[]): void {
    if (batch.length === 0 || this.#failed !== undefined) return;
    this.#ready.push(batch);
    this.#schedule();
  }

  /** Settles when every callback handed in so far has run, and those that take turns to complete have. */
  async all(): Promise<void> {
    if (this.pending !== 0) await this.#ranAt(this.#handedIn);
    await Promise.allSettled(this.#held);
  }

  /** Counts work that a callback has begun as part of it. A rejection is an uncaught one. */
  hold(work: Promise<unknown>): void {
    this.#held.add(work);
    void work.finally(() => this.#held.delete(work));
  }

  /** Settles when fewer than half the high-water mark are pending. */
  async drained(): Promise<void> {
    for (;;) {
      const excess = this.pending - Math.floor(this.#limits.highWaterMark / 2);
      if (excess <= 0) return;
      await this.#ranAt(this.#ran + excess);
    }
  }

  /** The machine is over for this processor: no callback runs any more, and whoever waits for them is told. */
  fail(error: Error): void {
    this.#failed = error;
    this.#ready = [];
    this.#position = 0;
    const drains = this.#drains;
    this.#drains = [];
    for (const drain of drains) drain.reject(error);
  }

  #ranAt(ranAt: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failed !== undefined) {
        reject(this.#failed);
        return;
      }
      const later = this.#drains.findIndex((drain) => drain.ranAt > ranAt);
      this.#drains.splice(later === -1 ? this.#drains.length : later, 0, { ranAt, resolve, reject });
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#runSlice();
      if (this.#ready.length !== 0) this.#schedule();
    });
  }

  #runSlice(): void {
    const until = performance.now() + SLICE_MS;
    do {
      const batch = this.#ready[0];
      if (batch === undefined) return;
      const end = Math.min(batch.length, this.#position + SLICE_CALLBACKS);
      while (this.#position < end) {
        const callback = batch[this.#position++] as () => void;
        // Counted before it runs: what it hands in comes after it in any case.
        this.#ran++;
        runGuarded(callback);
        // It may have ended the machine.
        if (this.#failed !== undefined) return;
      }
      if (this.#position === batch.length) {
        this.#ready.shift();
        this.#position = 0;
      }
      while (this.#drains[0] !== undefined && this.#drains[0].ranAt <= this.#ran)
        this.#drains.shift()?.resolve();
    } while (performance.now() < until);
  }
}
