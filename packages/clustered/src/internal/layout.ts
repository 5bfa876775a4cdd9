/**
 * Every word that `@k42/clustered` keeps in machine memory.
 *
 * - **Regions**: one line of counters per processor number, and its part of the object memory.
 * - **Global Translation Table**: a *page* of entries at a time, allocated where a region grows; a directory tells where
 *   each page is.
 * - **Root records**: allocated blocks that tell any processor how to build its view of a Root; state and shares follow.
 * - **Names**: machine-wide numbers for interfaces and implementations, and well-known names of objects.
 */
import { PROCESSORS_MAX } from '@k42/rcu/machine';

/** Offsets are stored in units of this many bytes. */
export const UNIT_BYTES = 8;
export const LINE_BYTES = 64;

// COIDs: an index in the region of a processor number, and that number in the low bits, as many as the machine needs

/** Entries of one region. The first one is never given out: COID 0, and what is no number at all, is nobody's. */
export const REGION_ENTRIES: number = 1 << 22;
/** How many of them a processor gives out unless told otherwise. */
export const REGION_CAPACITY: number = 1 << 20;
/** All COIDs are below this. */
export const COID_RANGE: number = 1 << 28;
/** Sequence numbers are below this; with a COID one makes a number below 2^53. */
export const SEQUENCE_RANGE: number = 1 << 25;

export const PAGE_LOG2 = 12;
/** Entries that are allocated together: consecutive ones of one region. */
export const PAGE_ENTRIES: number = 1 << PAGE_LOG2;
export const PAGE_MASK: number = PAGE_ENTRIES - 1;
export const REGION_PAGES: number = REGION_ENTRIES / PAGE_ENTRIES;

// Regions

export const REGIONS_NAME = 'clustered/regions@2';
/** A header line, then two lines per processor number: what others write too, and what is its own. */
const REGION_LINES = 2;
export const REGIONS_BYTES: number = (1 + PROCESSORS_MAX * REGION_LINES) * LINE_BYTES;
/** Word 0 of the header: COIDs a region may give out; 0 for the default. */
export const REGIONS_CAPACITY = 0;
/** 64-bit word 1 of the header: the set of processors that have this package. */
export const REGIONS_MEMBERS = 1;
/** Words of a region's lines. */
export const REGION = {
  /** Mutex of those who write-lock entries of the region (destroy, swap). */
  WRITERS: 0,
  /** COID + 1 of the entry that the mutex's holder has locked, or is about to; 0 for none. */
  WRITING: 1,
  /** Cache lines of the arena's blocks that are in use; may be negative, as only the sum over all regions means anything. */
  ARENA_LINES: 2,
  /** Unit of the first block of this arena that another processor has freed: a stack. */
  ARENA_RETURNED: 3,
  /** Own line: COIDs ever given out. */
  USED: 16,
  /** Reps that exist on this processor. */
  REPS: 17,
  /** Unit of the arena's first chunk. */
  ARENA_CHUNKS: 18,
  /** Cache lines that the arena and the region's table pages have taken from machine memory. */
  RESERVED_LINES: 19,
  /** Unit of the first block of those that the owner has taken off the stack and not put into its lists yet. */
  ARENA_TAKING: 20,
  /** Roots ever created: makes their stamps unique. */
  CREATED: 21,
} as const;

/** First word of a processor number's lines, in a view of 32-bit words, for a block that begins at `base`. */
export function regionAt(base: number, number: number): number {
  return base + ((1 + number * REGION_LINES) * LINE_BYTES) / 4;
}

// Global Translation Table

/** Directory: a word per page, the unit at which it begins; 0 while there is none. */
export const GTT_NAME = 'clustered/gtt@2';
/** Entry: four 64-bit words; the last is two 32-bit ones. */
export const ENTRY_LONGS = 4;
export const ENTRY_BYTES: number = ENTRY_LONGS * 8;
export const PAGE_BYTES: number = PAGE_ENTRIES * ENTRY_BYTES;
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

/** Low bits of ENTRY_STATE; from DESTROYING to RETIRED the number of the processor that destroys stands above them. */
export const STATE = {
  /** In its region's free list. */
  FREE: 0,
  LIVE: 1,
  /** Waiting until no thread can be using it. */
  DESTROYING: 2,
  /** What its Root owns is being freed. */
  RECLAIMING: 3,
  /** Reclaimed; waiting until nobody can be about to read the entry. */
  RETIRED: 4,
  /** Ready to be given out again; its region has not taken note yet. */
  FREED: 5,
} as const;
export const STATE_MASK = 7;
export const STATE_SHIFT = 3;

/** A swap or destroy holds the entry. */
export const LOCK_WRITER: bigint = 1n << 62n;
/** A swap or destroy tried and failed; whoever releases the last miss tells all processors. */
export const LOCK_WANTED: bigint = 1n << 61n;
export const LOCK_READERS: bigint = LOCK_WANTED - 1n;

// Root records

/** In 32-bit words. REPS is a 64-bit word. State follows, then a word per share: its unit, 0 while there is none. */
export const RECORD_BYTES = 64;
export const RECORD = {
  STAMP: 0,
  /** Number of the implementation's name. */
  IMPLEMENTATION: 1,
  /** Number of the interface's name: a mediator's record says it too. */
  INTERFACE: 2,
  STATE_BYTES: 3,
  SHARE_BYTES: 4,
  /** Consecutive processor numbers that have a share together. */
  CLUSTER_SIZE: 5,
  /** Set of processors on which this Root has made a Rep (64 bits, at word 6). */
  REPS: 6,
  /** Reps that have departed with something to hand over, and those of which the host has it. */
  DEPARTED: 8,
  INHERITED: 9,
  /** 1 for a Root that stands in for another's object for a while. */
  STANDS_IN: 10,
} as const;

// Arenas

/** Which chunk covers a place in machine memory: for every granule the unit of the chunk that begins in it. */
export const ARENA_MAP_NAME = 'clustered/arena-map@1';
export const CHUNK_BYTES = 65_536;
/** Chunk header, in 32-bit words; then a bit per block that is in use. */
export const CHUNK = { OWNER: 0, BLOCK_BYTES: 1, NEXT: 2, BITS: 16 } as const;
export const CHUNK_HEADER_BYTES = 256;

// Names

export const NAMES_BLOCK = 'clustered/names@2';
export const NAMES_MAX = 512;
export const NAME_MAX = 64;
/** Header words: mutex, count. */
export const NAMES_HEADER_BYTES: number = LINE_BYTES;
/** One name: words, then the name's bytes, then its module's URL. */
export const NAME_ENTRY = { KIND: 0, FINGERPRINT: 1, NAME_BYTES: 2, URL_BYTES: 3, TEXT: 4 } as const;
export const NAME_ENTRY_BYTES = 1024;
export const URL_MAX: number = NAME_ENTRY_BYTES - NAME_ENTRY.TEXT * 4 - NAME_MAX;
export const NAMES_BYTES: number = NAMES_HEADER_BYTES + NAMES_MAX * NAME_ENTRY_BYTES;

/** Well-known names of objects. Header words: mutex, names in use. */
export const OBJECT_NAMES_BLOCK = 'clustered/object-names@1';
export const OBJECT_NAMES_MAX = 4096;
/** The stored COID (64 bits), the length, the name's bytes, and in the last word what to find it by. */
export const OBJECT_NAME = { COID: 0, LENGTH: 2, TEXT: 3, HASH: 19 } as const;
export const OBJECT_NAME_BYTES = 80;
export const OBJECT_NAMES_HEADER_BYTES: number = LINE_BYTES;
export const OBJECT_NAMES_BYTES: number = OBJECT_NAMES_HEADER_BYTES + OBJECT_NAMES_MAX * OBJECT_NAME_BYTES;

function assertLayout(holds: boolean, what: string): void {
  if (!holds) throw new Error(`@k42/clustered layout: ${what}`);
}
assertLayout(PROCESSORS_MAX <= 61, 'a set of processors leaves bits 61 and 62 free');
assertLayout(PROCESSORS_MAX * REGION_ENTRIES <= COID_RANGE, 'every region fits the range of COIDs');
assertLayout(COID_RANGE * SEQUENCE_RANGE <= 2 ** 53, 'a stored COID is a safe integer');
assertLayout((RECORD.REPS * 4) % 8 === 0, 'REPS is a 64-bit word');
assertLayout(
  CHUNK.BITS * 4 + (CHUNK_BYTES - CHUNK_HEADER_BYTES) / LINE_BYTES / 8 <= CHUNK_HEADER_BYTES,
  'a bit per block',
);
assertLayout(OBJECT_NAME.TEXT * 4 + NAME_MAX <= OBJECT_NAME.HASH * 4, 'a name fits');
assertLayout(OBJECT_NAME_BYTES % 8 === 0, 'stored COIDs are 64-bit words');
assertLayout(REGION.USED * 4 >= LINE_BYTES, "a region's own words have a line of their own");
