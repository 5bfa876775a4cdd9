/**
 * Every word that `@k42/rcu` keeps in machine memory.
 *
 * Machine memory is one fixed-size SharedArrayBuffer. Its first bytes are laid out here; the rest is the heap that
 * `memory.ts` hands out. Indices are in 32-bit words unless a name says bytes.
 *
 *     header | free-list heads | one cache line per processor | directory of named blocks | heap ...
 */

/** 'K42m' in ASCII: tells a machine's memory from any other SharedArrayBuffer. */
export const MAGIC = 0x4b34326d;
/** Raised whenever a word moves, so that two versions of the package never share one memory. */
export const LAYOUT_VERSION = 2;

export const WORD_BYTES = 4;
export const CACHE_LINE_BYTES = 64;
/** Offsets into the heap are stored in units of this many bytes, so that 32 bits reach 16 GiB. */
export const UNIT_BYTES = 8;
/** A set of processors has to fit beside a phase in one 64-bit word (the swap word of `@k42/hotswap`). */
export const PROCESSORS_MAX = 60;

export const HEADER = {
  MAGIC: 0,
  VERSION: 1,
  /** Processors the machine has room for: numbers are below it. */
  PROCESSORS: 2,
  /** Mutex over the heap, its free lists and the directory. */
  MEMORY_MUTEX: 3,
  /** First never-used heap unit. */
  HEAP_TOP: 4,
  /** Entries used in the directory of named blocks. */
  NAMES: 5,
  /** Bytes in use by allocated (not named) blocks, in units; for diagnostics and leak tests. */
  ALLOCATED: 6,
  /** 1 if the machine checks that references are used inside threads only. */
  PROVE: 7,
  /** Milliseconds after which a grace period is reported as stalled; 0 for never. */
  STALL_MS: 8,
} as const;

/** One free list per power of two, 2^6 bytes upwards; a head is a heap unit, 0 for an empty list. */
export const FREE_LISTS = 16;
export const FREE_LISTS_COUNT = 32;
export const SIZE_CLASS_MIN_LOG2 = 6;

/** A cache line per processor, written by its owner except where noted. */
export const PROCESSOR_TABLE = 64;
export const PROCESSOR_WORDS = 16;
export const PROCESSOR = {
  /** One of PROCESSOR_STATE. */
  STATE: 0,
  /** Rung (added to and notified) by whoever posted a system message to this processor. */
  DOORBELL: 1,
  /** How many processors have had this number, the present one included. Written by the host before STATE. */
  INCARNATION: 2,
  /** The thread as the operating system names it, and when it started, so that a reused name is told apart; 0 if unknown. */
  TASK: 3,
  TASK_STARTED: 4,
} as const;

/**
 * The life of a processor number. JOINING and LIVE are written by the host and the processor itself; LEAVING by the
 * processor; GONE by whoever finds out first (by compare-and-swap from what it was); ABSENT by the host, after everybody
 * has let go of the processor that had the number.
 */
export const PROCESSOR_STATE = { ABSENT: 0, JOINING: 1, LIVE: 2, LEAVING: 3, GONE: 4 } as const;

/**
 * The words of one domain: a cache line per processor, written by its owner except where noted. Offsets in bytes from
 * the processor's line.
 */
export const DOMAIN_LINE_BYTES = 64;
export const DOMAIN_BYTES: number = PROCESSORS_MAX * DOMAIN_LINE_BYTES;
export const DOMAIN = {
  /** 32 bits: 1 while any thread of the domain is live here, else 0: an idle processor is quiescent unasked. */
  BUSY: 0,
  /** 64 bits: number of the current generation, and of the oldest that may have a thread. */
  SWAPS: 8,
  OLDEST: 32,
  /** 64 bits: number of the last portable callback begun here, and of the last one ended. Read by the guardian. */
  BEGUN: 16,
  ENDED: 24,
} as const;

/** Directory of named blocks. */
export const DIRECTORY: number = PROCESSOR_TABLE + PROCESSORS_MAX * PROCESSOR_WORDS;
export const DIRECTORY_ENTRIES = 256;
export const DIRECTORY_ENTRY_WORDS = 32;
export const ENTRY = { UNIT: 0, UNITS: 1, NAME_BYTES: 2, NAME: 3 } as const;
export const NAME_BYTES_MAX: number = (DIRECTORY_ENTRY_WORDS - ENTRY.NAME) * WORD_BYTES;

export const HEAP_START_BYTES: number = (DIRECTORY + DIRECTORY_ENTRIES * DIRECTORY_ENTRY_WORDS) * WORD_BYTES;

function assertLayout(holds: boolean, what: string): void {
  if (!holds) throw new Error(`@k42/rcu layout: ${what}`);
}
assertLayout(
  FREE_LISTS + FREE_LISTS_COUNT <= PROCESSOR_TABLE,
  'the free-list heads end before the processor table',
);
assertLayout(PROCESSOR_WORDS * WORD_BYTES === CACHE_LINE_BYTES, 'a processor has a cache line of its own');
assertLayout(HEAP_START_BYTES % CACHE_LINE_BYTES === 0, 'the heap starts on a cache line');

/** Word index of a field of processor `number`. */
export function processorWord(number: number, field: number): number {
  return PROCESSOR_TABLE + number * PROCESSOR_WORDS + field;
}
