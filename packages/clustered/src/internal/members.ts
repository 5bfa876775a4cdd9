/**
 * The processors that take part: those that have this package, and have forgotten what an earlier one of their number had.
 *
 * Slots and Reps are noted in machine memory by processor number, and a number may go from one that is gone to another, which
 * may even be a thread that does not know of Clustered Objects and would never answer. So a number is a *member* from the
 * moment its processor has the package and has taken back what is noted of its predecessor, and until it is gone; only
 * members are asked anything.
 */
import type { Processor } from '@k42/rcu';
import { REGIONS_BYTES, REGIONS_MEMBERS, REGIONS_NAME } from './layout.ts';
import { bit, members } from './sets.ts';

export class Members {
  readonly #processor: Processor;
  readonly #longs: BigInt64Array;
  readonly #at: number;

  constructor(processor: Processor) {
    const { memory } = processor;
    this.#processor = processor;
    this.#longs = memory.i64;
    this.#at = memory.block(REGIONS_NAME, REGIONS_BYTES) / 8 + REGIONS_MEMBERS;
    // Before the number can be used again: it is not, before all have heard of this.
    processor.onGone((number) => this.#leave(number));
  }

  /** From now on this processor is asked. */
  join(): void {
    Atomics.or(this.#longs, this.#at, bit(this.#processor.number));
  }

  #leave(number: number): void {
    Atomics.and(this.#longs, this.#at, ~bit(number));
  }

  has(number: number): boolean {
    // Pairs with join() and #leave(): whoever is found here answers, or is found gone.
    return (Atomics.load(this.#longs, this.#at) & bit(number)) !== 0n && this.#processor.isLive(number);
  }

  /** The members in a set of processors, ascending. */
  of(set: bigint): number[] {
    return members(set & Atomics.load(this.#longs, this.#at)).filter((number) =>
      this.#processor.isLive(number),
    );
  }
}
