/**
 * The source bytes: everything ever written is a prefix of them.
 *
 * A run draws 2 * HIGH printable characters right after seeding (those draws shift all later ones, so they are made even
 * where nobody looks at the bytes). A write of n bytes writes the first n of them in blocks, always from the beginning.
 */
import type { Random } from './random.ts';

const FIRST_PRINTABLE = 32;
const PRINTABLE_CHARACTERS = 95;

export class Source {
  readonly bytes: Uint8Array;
  readonly #blockBytes: number;
  /** Views of whole blocks, made once: a `subarray` costs as much as a small copy. */
  readonly #blocks: Uint8Array[] = [];

  constructor(random: Random, sizeHighBytes: number, blockBytes: number) {
    this.bytes = new Uint8Array(2 * sizeHighBytes);
    this.#blockBytes = blockBytes;
    for (let i = 0; i < this.bytes.length; i++) {
      this.bytes[i] = FIRST_PRINTABLE + random.below(PRINTABLE_CHARACTERS);
    }
  }

  /** The piece to write next when `from` of `until` bytes are written: one block, or what remains. */
  piece(from: number, until: number): Uint8Array {
    const to = from + this.#blockBytes;
    if (to > until) return this.bytes.subarray(from, until);
    const index = from / this.#blockBytes;
    const known = this.#blocks[index];
    if (known !== undefined) return known;
    const block = this.bytes.subarray(from, to);
    this.#blocks[index] = block;
    return block;
  }
}
