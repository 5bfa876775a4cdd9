/**
 * Every word that `@k42/clustered` keeps in machine memory.
 *
 * The Global Translation Table is one named block: a region of entries per processor. A *Root record* is an allocated
 * block that tells any processor how to build its view of a Root. Names of interfaces and implementations have
 * machine-wide numbers, given out by a directory of their own.
 */
import { PROCESSORS_MAX } from '@k42/rcu/machine';

/** COIDs per processor's region. */
export const REGION_ENTRIES = 65_536;

/** How many COIDs of each region have ever been given out: a word per processor number, written by its owner. */
export const REGIONS_NAME = 'clustered/regions@1';
export const REGIONS_BYTES: number = PROCESSORS_MAX * 4;

export const GTT_NAME = 'clustered/gtt@1';
/** Entry: four 64-bit words; the last is two 32-bit ones. */
export const ENTRY_LONGS = 4;
export const ENTRY_BYTES: number = ENTRY_LONGS * 8;
export const ENTRY = {
  /** Set of processors with a miss in progress here, and the WRITER and WANTED bits. */
  LOCK: 0,
  /** Stamp and record of the Root; 0 when there is none. Changed only by compare-and-swap or under the write lock. */
  ROOT: 1,
  /** Set of processors that ever had a slot of the object. */
  TOUCHED: 2,
} as const;
/** Indices in 32-bit words from the entry's start. */
export const ENTRY_SEQUENCE = 6;
export const ENTRY_STATE = 7;

export const STATE = { FREE: 0, LIVE: 1, DESTROYING: 2 } as const;

/** A swap or destroy holds the entry. */
export const LOCK_WRITER: bigint = 1n << 62n;
/** A swap or destroy tried and failed; whoever releases the last miss tells all processors. */
export const LOCK_WANTED: bigint = 1n << 61n;
export const LOCK_READERS: bigint = LOCK_WANTED - 1n;

/** Root record, in 32-bit words. REPS is a 64-bit word. */
export const RECORD_BYTES = 64;
export const RECORD = {
  STAMP: 0,
  /** Number of the implementation's name. */
  IMPLEMENTATION: 1,
  /** Number of the interface's name: a mediator's record says it too. */
  INTERFACE: 2,
  STATE_UNIT: 3,
  STATE_BYTES: 4,
  CREATOR: 5,
  /** Set of processors on which this Root has made a Rep (64 bits, at word 6). */
  REPS: 6,
} as const;
/** Offsets are stored in units of this many bytes. */
export const UNIT_BYTES = 8;

export const NAMES_BLOCK = 'clustered/names@1';
export const NAMES_MAX = 256;
export const NAME_WORDS = 20;
/** Word 0 mutex, word 1 count, then the names: length, then up to 64 ASCII characters. */
export const NAMES_HEADER_WORDS = 2;
export const NAMES_BYTES: number = (NAMES_HEADER_WORDS + NAMES_MAX * NAME_WORDS) * 4;

if (PROCESSORS_MAX > 61)
  throw new Error('@k42/clustered layout: a set of processors leaves bits 61 and 62 free');
if ((RECORD.REPS * 4) % 8 !== 0) throw new Error('@k42/clustered layout: REPS is a 64-bit word');
