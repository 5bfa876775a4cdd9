/**
 * The state of a Root of either implementation, and how it changes hands in a hot swap.
 *
 * All that matters is in the directory, and both implementations use the same one: so the state of the object is one
 * number, its offset, and a swap hands it over by reference. Which Root answers for the directory is said by OWNS in the
 * Root's own state in machine memory: `adopt` and `relinquish` run on one processor and mean all of them. Heap state of
 * a processor is only a cache of the directory and stays behind; what its Rep has counted goes along as a part of its own.
 */
import type { RootContext } from '@k42/clustered';
import type { Part } from '@k42/hotswap';
import { currentProcessor } from '@k42/rcu';
import { Directory } from './directory.ts';
import { framePool } from './framePool.ts';
import { ROOT_STATE, UNIT_BYTES, WORD_BYTES } from './layout.ts';

/** The protocol both implementations speak: the directory by reference, the counts of each processor by value. */
export const DIRECTORY_PROTOCOL = 'fcm/directory@1';

export interface Counts {
  hits: number;
  fills: number;
  pagesWritten: number;
  contended: number;
}

/** Fills the state of a new Root. @param directory offset, or `undefined` for one that a swap will bring */
export function initialiseState({ memory, stateOffset }: RootContext, directory: number | undefined): void {
  if (directory === undefined) return;
  const at = stateOffset / WORD_BYTES;
  // Plain: nobody knows the Root yet.
  memory.i32[at + ROOT_STATE.DIRECTORY_UNIT] = directory / UNIT_BYTES;
  memory.i32[at + ROOT_STATE.OWNS] = 1;
}

/** A processor's view of it. */
export class FcmState {
  readonly counts: Counts = { hits: 0, fills: 0, pagesWritten: 0, contended: 0 };
  readonly #words: Int32Array;
  readonly #at: number;

  constructor({ memory, stateOffset }: RootContext) {
    this.#words = memory.i32;
    this.#at = stateOffset / WORD_BYTES;
  }

  /** Offset of the directory. */
  get directoryOffset(): number {
    // Pairs with the store in importPart(), on whichever processor that ran.
    const unit = Atomics.load(this.#words, this.#at + ROOT_STATE.DIRECTORY_UNIT);
    if (unit === 0)
      throw new Error('@k42/fcm invariant: a file cache manager is used before it has a directory');
    return unit * UNIT_BYTES;
  }

  exportPart(part: Part): unknown {
    return part.kind === 'root' ? this.directoryOffset : { ...this.counts };
  }

  importPart(part: Part, exported: unknown): void {
    if (part.kind === 'root') {
      // Before the swap is decided, hence before anyone calls the new object: pairs with the load above.
      Atomics.store(this.#words, this.#at + ROOT_STATE.DIRECTORY_UNIT, (exported as number) / UNIT_BYTES);
      return;
    }
    const brought = exported as Counts;
    for (const key of Object.keys(this.counts) as (keyof Counts)[]) this.counts[key] += brought[key];
  }

  /** From now on, or no longer, this Root frees the directory in the end. */
  setOwns(owns: boolean): void {
    Atomics.store(this.#words, this.#at + ROOT_STATE.OWNS, owns ? 1 : 0);
  }

  /** Frees the directory, if this Root answers for it. */
  reclaim(): void {
    if (Atomics.load(this.#words, this.#at + ROOT_STATE.OWNS) === 0) return;
    const processor = currentProcessor();
    new Directory(processor, this.directoryOffset, this.counts).free(processor, framePool());
  }
}
