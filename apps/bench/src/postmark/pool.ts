/**
 * The file table: 2 * number slots, each empty or naming a file and its size.
 *
 * A new file goes to the slot at the cursor if that is empty, else to the first empty slot of all, and the cursor moves
 * behind it. A file to work on is found by drawing slots until one is not empty. Which slot a file has therefore decides
 * which files later draws will hit: the order of slots is part of the definition, not an implementation detail.
 */
import type { Random } from './random.ts';

export class Pool {
  /** Bytes per file; 0 marks an empty slot. */
  readonly #sizes: Float64Array;
  readonly #names: string[];
  #cursor = 0;

  constructor(number: number) {
    this.#sizes = new Float64Array(2 * number);
    this.#names = new Array<string>(2 * number).fill('');
  }

  get slots(): number {
    return this.#sizes.length;
  }

  /** The slot for a new file, or -1 when all are in use. The slot stays empty until `occupy`. */
  reserve(): number {
    let slot = this.#cursor;
    if (slot >= this.slots || this.#sizes[slot] !== 0) slot = this.#sizes.indexOf(0);
    if (slot >= 0) this.#cursor = slot + 1;
    return slot;
  }

  occupy(slot: number, name: string, sizeBytes: number): void {
    if (sizeBytes <= 0 || this.#sizes[slot] !== 0)
      throw new Error(`slot ${slot} cannot hold ${sizeBytes} bytes`);
    this.#names[slot] = name;
    this.#sizes[slot] = sizeBytes;
  }

  vacate(slot: number): void {
    this.#names[slot] = '';
    this.#sizes[slot] = 0;
  }

  /** A used slot, drawn. There must be one: the transaction loop ends before the pool can be empty here. */
  findUsed(random: Random): number {
    for (;;) {
      const slot = random.below(this.slots);
      if (this.#sizes[slot] !== 0) return slot;
    }
  }

  isUsed(slot: number): boolean {
    return this.#sizes[slot] !== 0;
  }

  size(slot: number): number {
    return this.#sizes[slot] as number;
  }

  grow(slot: number, bytes: number): void {
    this.#sizes[slot] = this.size(slot) + bytes;
  }

  name(slot: number): string {
    return this.#names[slot] as string;
  }

  /** The used slots, in order. */
  *used(): Generator<number> {
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.isUsed(slot)) yield slot;
    }
  }
}
