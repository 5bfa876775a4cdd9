/**
 * The page table of a directory: which frame holds which page.
 *
 * Open addressing with linear probing in machine memory, never more than three quarters full. The first table is inside
 * the directory, so that a small file needs no other memory; a larger one is allocated beside it, twice the size each
 * time. Removal closes the gap by moving later entries up (Knuth, 6.4, Algorithm R): no tombstones, so a table through
 * which many pages come and go stays as fast as it was.
 *
 * Only whoever holds the directory's mutex touches any of this, so all accesses are plain.
 */
import type { MachineMemory } from '@k42/rcu';
import { DIRECTORY, INLINE_TABLE_LOG2, SLOT, SLOT_WORDS, UNIT_BYTES, WORD_BYTES } from './layout.ts';

const FULL = 3 / 4;
/** 2^32 divided by the golden ratio: consecutive pages are spread evenly (Fibonacci hashing). */
const GOLDEN = 0x9e3779b1;

export class PageTable {
  readonly #memory: MachineMemory;
  readonly #words: Int32Array;
  readonly #directory: number;

  /** @param directory word index of the directory */
  constructor(memory: MachineMemory, directory: number) {
    this.#memory = memory;
    this.#words = memory.i32;
    this.#directory = directory;
  }

  /** Pages in the table. */
  get pages(): number {
    return this.#words[this.#directory + DIRECTORY.PAGES] as number;
  }

  /** The frame of a page, or -1. */
  find(page: number): number {
    const base = this.#base();
    const log2 = this.#log2();
    const mask = 2 ** log2 - 1;
    const key = page | 0;
    for (let slot = home(key, log2); ; slot = (slot + 1) & mask) {
      const at = base + slot * SLOT_WORDS;
      const frame = (this.#words[at + SLOT.FRAME] as number) - 1;
      if (frame < 0 || this.#words[at + SLOT.PAGE] === key) return frame;
    }
  }

  /** Makes room for `more` pages. @throws OutOfMachineMemoryError, and changes nothing */
  reserve(more: number): void {
    const needed = this.pages + more;
    let log2 = this.#log2();
    while (needed > 2 ** log2 * FULL) log2++;
    if (log2 !== this.#log2()) this.#grow(log2);
  }

  /** Enters a page that is not in the table, for which there is room. */
  insert(page: number, frame: number): void {
    this.#place(page | 0, frame);
    this.#setPages(this.pages + 1);
  }

  /** Removes a page that is in the table. */
  remove(page: number): void {
    const base = this.#base();
    const log2 = this.#log2();
    const mask = 2 ** log2 - 1;
    const words = this.#words;
    let gap = home(page | 0, log2);
    while (words[base + gap * SLOT_WORDS + SLOT.PAGE] !== (page | 0)) gap = (gap + 1) & mask;
    for (let slot = gap; ; ) {
      slot = (slot + 1) & mask;
      const at = base + slot * SLOT_WORDS;
      if (words[at + SLOT.FRAME] === 0) break;
      const wanted = home(words[at + SLOT.PAGE] as number, log2);
      // It may move up only if that does not put it before the slot it hashes to.
      if (((slot - wanted) & mask) < ((slot - gap) & mask)) continue;
      words[base + gap * SLOT_WORDS + SLOT.PAGE] = words[at + SLOT.PAGE] as number;
      words[base + gap * SLOT_WORDS + SLOT.FRAME] = words[at + SLOT.FRAME] as number;
      gap = slot;
    }
    words[base + gap * SLOT_WORDS + SLOT.FRAME] = 0;
    this.#setPages(this.pages - 1);
  }

  /** Calls back for every page; the table must not change meanwhile. Ascending order is not promised. */
  forEach(visit: (page: number, frame: number) => void): void {
    const base = this.#base();
    for (let slot = 0; slot < 2 ** this.#log2(); slot++) {
      const at = base + slot * SLOT_WORDS;
      const frame = (this.#words[at + SLOT.FRAME] as number) - 1;
      if (frame >= 0) visit((this.#words[at + SLOT.PAGE] as number) >>> 0, frame);
    }
  }

  /** Frees what is outside the directory. */
  free(): void {
    const unit = this.#words[this.#directory + DIRECTORY.TABLE_UNIT] as number;
    if (unit !== 0) this.#memory.free(unit * UNIT_BYTES, tableBytes(this.#log2()));
  }

  #base(): number {
    const unit = this.#words[this.#directory + DIRECTORY.TABLE_UNIT] as number;
    return unit === 0 ? this.#directory + DIRECTORY.INLINE_TABLE : (unit * UNIT_BYTES) / WORD_BYTES;
  }

  #log2(): number {
    return this.#words[this.#directory + DIRECTORY.TABLE_LOG2] as number;
  }

  #setPages(pages: number): void {
    this.#words[this.#directory + DIRECTORY.PAGES] = pages;
  }

  #place(key: number, frame: number): void {
    const base = this.#base();
    const log2 = this.#log2();
    const mask = 2 ** log2 - 1;
    let slot = home(key, log2);
    while (this.#words[base + slot * SLOT_WORDS + SLOT.FRAME] !== 0) slot = (slot + 1) & mask;
    this.#words[base + slot * SLOT_WORDS + SLOT.PAGE] = key;
    this.#words[base + slot * SLOT_WORDS + SLOT.FRAME] = frame + 1;
  }

  #grow(log2: number): void {
    const words = this.#words;
    const unit = this.#memory.allocate(tableBytes(log2)) / UNIT_BYTES;
    const from = this.#base();
    const fromLog2 = this.#log2();
    const fromUnit = words[this.#directory + DIRECTORY.TABLE_UNIT] as number;
    words[this.#directory + DIRECTORY.TABLE_UNIT] = unit;
    words[this.#directory + DIRECTORY.TABLE_LOG2] = log2;
    for (let slot = 0; slot < 2 ** fromLog2; slot++) {
      const at = from + slot * SLOT_WORDS;
      const frame = (words[at + SLOT.FRAME] as number) - 1;
      if (frame >= 0) this.#place(words[at + SLOT.PAGE] as number, frame);
    }
    if (fromUnit !== 0) this.#memory.free(fromUnit * UNIT_BYTES, tableBytes(fromLog2));
  }
}

/** Sets up the empty table inside a new directory, whose words are all 0. */
export function initialisePageTable(words: Int32Array, directory: number): void {
  words[directory + DIRECTORY.TABLE_LOG2] = INLINE_TABLE_LOG2;
}

function home(key: number, log2: number): number {
  return Math.imul(key, GOLDEN) >>> (32 - log2);
}

function tableBytes(log2: number): number {
  return 2 ** log2 * SLOT_WORDS * WORD_BYTES;
}
