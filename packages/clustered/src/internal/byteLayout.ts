/**
 * Words of a byte table in machine memory; `byteTable.ts` tells how they work together. Indices are in 32-bit words unless a
 * name says bytes.
 *
 *     table   64 stripes, a cache line each
 *     stripe  -> bucket array, a power of two of links
 *     link    -> entry -> entry ..., each a block of its own with its key and value
 *
 * A link is the number of the cache line its entry begins on, 0 for none. Blocks begin on cache lines, so 32 bits reach
 * further than machine memory does.
 */

/** Bytes of a cache line; unit of links. */
export const LINE_BYTES = 64;
export const LINE_WORDS: number = LINE_BYTES / 4;

/** A power of two, so that the low bits of a hash choose one. */
export const STRIPES_LOG2 = 6;
export const STRIPES: number = 1 << STRIPES_LOG2;
export const TABLE_BYTES: number = STRIPES * LINE_BYTES;

export const STRIPE = {
  /** A mutex, for implementations that lock stripe by stripe. */
  LOCK: 0,
  /** Raised before every change of the stripe: 64 bits in two words, LOW written last. */
  VERSION_LOW: 1,
  VERSION_HIGH: 2,
  /** The bucket array, packed; 0 before the first entry. */
  BUCKETS: 3,
  /** Entries. */
  SIZE: 4,
  /** What keys and values come to, each entry rounded up to a unit of BUDGET_UNIT_BYTES. */
  UNITS: 5,
  /** Links to entries on their way in and out: what a repair has to look for. 0 otherwise. */
  NEW: 6,
  OLD: 7,
  /** The same for bucket arrays. */
  GROWN: 8,
  SHED: 9,
  /** A constant of the table, in its first stripe only: where its hashes start from. */
  SEED: 12,
} as const;

export const BUDGET_UNIT_BYTES = 8;

export const ENTRY = {
  /** The next entry in its bucket; which of the two counts, `parityOf` says. */
  NEXT: 0,
  HASH: 2,
  /** Bytes of the key, negative if it has two to a character. */
  KEY: 3,
  VALUE_BYTES: 4,
} as const;
/** The key comes behind the words, the value behind the key. */
export const ENTRY_HEADER_BYTES = 20;

/** The smallest bucket array fills a cache line; the largest has as many as the bits of a packed word can say. */
export const BUCKETS_LOG2_MIN = 4;
export const BUCKETS_LOG2_MAX: number = BUCKETS_LOG2_MIN + 15;

function assertLayout(holds: boolean, what: string): void {
  if (!holds) throw new Error(`@k42/clustered layout: ${what}`);
}
assertLayout(STRIPE.SEED + 1 <= LINE_WORDS, 'a stripe fits in its cache line');
assertLayout(ENTRY_HEADER_BYTES >= (ENTRY.VALUE_BYTES + 1) * 4, 'the key comes behind the words');
assertLayout(ENTRY_HEADER_BYTES % 2 === 0, 'keys of two bytes to a character are aligned');
assertLayout(4 << BUCKETS_LOG2_MIN === LINE_BYTES, 'the smallest bucket array fills a cache line');

/** A bucket array in one word, so that one store replaces it: its line, and the logarithm of its length. */
export function packBuckets(offset: number, log2: number): number {
  return ((offset / LINE_BYTES) * 16 + log2 - BUCKETS_LOG2_MIN) | 0;
}

export function bucketsLog2(packed: number): number {
  return (packed & 15) + BUCKETS_LOG2_MIN;
}

/** Word index of the first bucket. */
export function bucketsWord(packed: number): number {
  return (packed >>> 4) * LINE_WORDS;
}

/** Which of the two NEXT words the chains of a bucket array use: not the one that the array before or after it uses. */
export function parityOf(packed: number): number {
  return packed & 1;
}
