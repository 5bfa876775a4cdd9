/**
 * What departed Reps have left and the host has received, but not handed to their Roots yet: counted in machine memory, so that
 * nobody exchanges a Root in between.
 *
 * The host counts a legacy when its message arrives, which is before its processor is buried: whoever finds no processor on its
 * way out, and then no legacy counted, knows that nothing is on its way.
 */
import type { Processor } from '@k42/rcu';

const NAME = 'clustered/inheriting';

export class Inheriting {
  readonly #processor: Processor;
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(processor: Processor) {
    this.#processor = processor;
    this.#words = processor.memory.i32;
    this.#at = processor.memory.block(NAME, 4) / 4;
  }

  begin(): void {
    // Pairs with the load in isAny(). The same in end().
    Atomics.add(this.#words, this.#at, 1);
  }

  end(): void {
    Atomics.sub(this.#words, this.#at, 1);
  }

  /** Whether any legacy may be on its way. In this order: see above. */
  isAny(): boolean {
    return this.#processor.isAnyDeparting() || Atomics.load(this.#words, this.#at) !== 0;
  }
}
