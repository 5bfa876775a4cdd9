/**
 * The processors that take part in swaps: those that have this package, until they are gone.
 *
 * Who has touched an object is noted by processor number, and a number may have gone from one that died to another, which does not
 * know of swaps yet and would never answer. One that knows of objects, but of swaps not yet, is about to: a swap waits for that
 * before it is interposed, because it may hold a Rep.
 */
import { bit, members } from '@k42/clustered/interpose';
import type { Processor } from '@k42/rcu';

const NAME = 'hotswap/members';

export class Members {
  readonly #processor: Processor;
  readonly #longs: BigInt64Array;
  readonly #at: number;

  constructor(processor: Processor) {
    this.#processor = processor;
    this.#longs = processor.memory.i64;
    this.#at = processor.memory.block(NAME, 8) / 8;
  }

  /** From now on this processor answers. */
  join(): void {
    Atomics.or(this.#longs, this.#at, bit(this.#processor.number));
  }

  /** A processor is gone. Its number is not used again before everybody has said so. */
  leave(number: number): void {
    Atomics.and(this.#longs, this.#at, ~bit(number));
  }

  /** Pairs with join() and leave(): whoever is found here answers, or is found gone. */
  has(number: number): boolean {
    return (Atomics.load(this.#longs, this.#at) & bit(number)) !== 0n && this.#processor.isLive(number);
  }

  /** The members in a set, ascending. */
  of(set: bigint): number[] {
    return members(set).filter((number) => this.has(number));
  }
}
