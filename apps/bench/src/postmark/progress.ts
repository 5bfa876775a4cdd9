/**
 * How far each instance is: a few words of shared memory per processor, written by the instance and read by the main
 * thread, which displays them and notices when nothing moves any more.
 */

const TRANSACTIONS = 0;
const UNITS = 1;
/** Sixteen words are a cache line of 64 bytes: no processor writes into the line of another. */
const WORDS_PER_PROCESSOR = 16;

/** The counters of one processor. */
export class Progress {
  readonly #words: Int32Array;
  readonly #base: number;

  constructor(memory: SharedArrayBuffer, processor: number) {
    this.#words = new Int32Array(memory);
    this.#base = processor * WORDS_PER_PROCESSOR;
  }

  static allocate(processors: number): SharedArrayBuffer {
    return new SharedArrayBuffer(processors * WORDS_PER_PROCESSOR * Int32Array.BYTES_PER_ELEMENT);
  }

  /** A transaction is complete. */
  transactionDone(): void {
    // Atomic so that it is seen in the end; nothing is published by it, so it pairs with no particular access.
    Atomics.add(this.#words, this.#base + TRANSACTIONS, 1);
  }

  /** Any unit of work is complete. */
  unitDone(): void {
    Atomics.add(this.#words, this.#base + UNITS, 1);
  }

  get transactions(): number {
    return Atomics.load(this.#words, this.#base + TRANSACTIONS);
  }

  get units(): number {
    return Atomics.load(this.#words, this.#base + UNITS);
  }
}
