/**
 * Swaps by who began them, in machine memory: what the host has to see to when that processor is gone.
 *
 * A list per processor number, through the swap blocks themselves. Its processor alone writes it, from the moment a swap has
 * something that would be left behind until nobody needs the block any more; the host reads it when the processor is gone. It
 * is whole at any moment: a block is linked before the head names it, and taken out by one store.
 */
import { PROCESSORS_MAX, type Processor } from '@k42/rcu';
import { SwapBlock } from './swapBlock.ts';

const NAME = 'hotswap/journal';

export class Journal {
  readonly #memory: Processor['memory'];
  /** Index of the head of processor 0: the byte offset of a block, 0 for none. */
  readonly #heads: number;
  readonly #me: number;

  constructor({ memory, number }: Processor) {
    this.#memory = memory;
    this.#heads = memory.block(NAME, PROCESSORS_MAX * 8) / 8;
    this.#me = number;
  }

  /** Enters a swap that this processor prepares. */
  enter(mediator: bigint, block: SwapBlock): void {
    block.mediator = mediator;
    block.next = this.#head(this.#me);
    // After the link: pairs with the load in #head(), on the host, after this processor's end.
    this.#setHead(this.#me, block.offset);
  }

  /** Takes one out, if it is there: from here on it is this turn's business alone. */
  remove(mediator: bigint): void {
    let earlier: SwapBlock | undefined;
    for (const block of this.#walk(this.#me)) {
      if (block.mediator === mediator) {
        if (earlier === undefined) this.#setHead(this.#me, block.next);
        else earlier.next = block.next;
        return;
      }
      earlier = block;
    }
  }

  /** On the host: the swaps of a processor that is gone. They are the host's from now on. */
  takeOver(number: number): SwapBlock[] {
    const blocks = [...this.#walk(number)];
    this.#setHead(number, 0);
    return blocks;
  }

  *#walk(number: number): Iterable<SwapBlock> {
    let offset = this.#head(number);
    while (offset !== 0) {
      const block = new SwapBlock(this.#memory, offset, this.#me);
      const { next } = block;
      yield block;
      offset = next;
    }
  }

  #head(number: number): number {
    return Number(Atomics.load(this.#memory.i64, this.#heads + number));
  }

  #setHead(number: number, offset: number): void {
    Atomics.store(this.#memory.i64, this.#heads + number, BigInt(offset));
  }
}
