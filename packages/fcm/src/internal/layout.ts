/**
 * Every word that `@k42/fcm` keeps in machine memory.
 *
 *     configuration | registry | frame pool      named blocks, for as long as the machine lives
 *     directory (one per open file), its page table once it has outgrown the one inside       allocated blocks
 *     Root state                                                                              with the Root
 *
 * Indices are in 32-bit words from the start of the structure, unless a name says otherwise.
 */
import { PROCESSORS_MAX } from '@k42/rcu/machine';

export const WORD_BYTES = 4;
/** Offsets in machine memory are stored in units of this many bytes, so that 32 bits reach 16 GiB. */
export const UNIT_BYTES = 8;
export const CACHE_LINE_BYTES = 64;
export const CACHE_LINE_WORDS: number = CACHE_LINE_BYTES / WORD_BYTES;

/** A page of a file, and the frame that holds it. */
export const PAGE_BYTES = 4096;
/** Page numbers are 32-bit words: 16 TiB per file, which is what ext4 allows with blocks of this size. */
export const FILE_BYTES_MAX: number = 2 ** 32 * PAGE_BYTES;

/** What all processors have to agree on. FRAMES is 0 until the first use, and never changes after it. */
export const CONFIGURATION_NAME = 'fcm/configuration@1';
export const CONFIGURATION_BYTES: number = CACHE_LINE_BYTES;
export const CONFIGURATION = { FRAMES: 0, LAST_TAG: 1 } as const;

/**
 * The frame pool: a header, a line per processor, a line per frame, then the frames on page boundaries.
 */
export const POOL_NAME = 'fcm/pool@1';
export const POOL = {
  MUTEX: 0,
  /** First frame of the free list plus one; 0 when it is empty. */
  FREE_HEAD: 1,
  /** Frames in the free list. */
  FREE_COUNT: 2,
  /** Frames from here on have never been used and are in no list: a pool is committed only as it is touched. */
  NEVER_USED: 3,
} as const;
/** A processor's line: how many free frames it keeps for itself. */
export const MAGAZINE_COUNT = 0;
export const POOL_MAGAZINES: number = CACHE_LINE_WORDS;
export const POOL_FRAME_HEADERS: number = POOL_MAGAZINES + PROCESSORS_MAX * CACHE_LINE_WORDS;

/** A frame's line: of its own, because writers of one frame would otherwise slow down readers of its neighbours. */
export const FRAME_WORDS: number = CACHE_LINE_WORDS;
export const FRAME = {
  /** Sequence lock: odd while the frame changes, larger by two after each change. */
  VERSION: 0,
  /** Tag of the directory whose page this is; 0 while the frame is free or being filled. */
  OWNER: 1,
  PAGE: 2,
  /** 1 while the page has bytes that the file on disk lacks. */
  DIRTY: 3,
  /** Next frame of the free list plus one. */
  NEXT: 4,
} as const;
export const NO_OWNER = 0;

export function poolBytes(frames: number): number {
  const headers = (POOL_FRAME_HEADERS + frames * FRAME_WORDS) * WORD_BYTES;
  // One page more, so that the frames can start on a page boundary wherever the block starts.
  return headers + (frames + 1) * PAGE_BYTES;
}

/** Directory of a file: what all Reps of its file cache manager share, whichever the implementation. */
export const DIRECTORY_BYTES = 256;
export const DIRECTORY = {
  MUTEX: 0,
  /** Marks this file's frames; unique in the machine. */
  TAG: 1,
  /** Where the page table is, in units; 0 while the one inside the directory is in use. */
  TABLE_UNIT: 2,
  TABLE_LOG2: 3,
  /** Pages in the table. */
  PAGES: 4,
  /** Descriptor to read with. */
  READ_FD: 5,
  /** Descriptor to write with, or NO_FD while nobody has opened the file for writing. */
  WRITE_FD: 6,
  /** Dirty pages. Changed atomically: writers of the distributed implementation do not hold MUTEX. */
  DIRTY_COUNT: 7,
  /** Bytes at the front of the file on disk that are right where no cached page says otherwise (a double). */
  DISK_VALID: 8,
  /** Length of the file on disk, or more (a double). */
  DISK_END: 10,
  /** Which processor writes back, plus one; 0 for none. */
  WRITE_BACK: 12,
  /** Line 1: read by every hit of the distributed implementation, written when the size changes. */
  /** Sequence lock of truncation: odd while the file shrinks. */
  EPOCH: 16,
  /** Size in bytes (one 64-bit word). */
  SIZE: 18,
  /** Line 2, under the registry's mutex: device, inode (64 bits each), stored COID (a double). */
  DEVICE: 32,
  INODE: 34,
  COID: 36,
  REFERENCES: 38,
  /** Next directory of the registry's chain, in units. */
  NEXT: 39,
  /** Line 3: the first page table. */
  INLINE_TABLE: 48,
} as const;
export const NO_FD = -1;

/** Page table: open addressing, a power of two of slots. */
export const SLOT_WORDS = 2;
/** PAGE is meaningful only where FRAME (the frame plus one) is not 0. */
export const SLOT = { PAGE: 0, FRAME: 1 } as const;
export const INLINE_TABLE_LOG2 = 3;

/** State of a Root, in either implementation. */
export const ROOT_STATE_BYTES = 64;
export const ROOT_STATE = {
  /** The directory, in units; 0 until a swap has brought it. */
  DIRECTORY_UNIT: 0,
  /** 1 while this Root answers for the directory: it frees it in the end. */
  OWNS: 1,
} as const;

/** The registry of open files: chains of directories by device and inode. */
export const REGISTRY_NAME = 'fcm/registry@1';
export const REGISTRY = {
  MUTEX: 0,
  OPEN_FILES: 1,
  /** How often a file was closed for the last time. */
  LAST_CLOSES: 2,
} as const;
/** A word per chain: its first directory, in units. */
export const REGISTRY_CHAINS: number = CACHE_LINE_WORDS;
export const CHAINS_LOG2 = 13;
export const REGISTRY_BYTES: number = (REGISTRY_CHAINS + 2 ** CHAINS_LOG2) * WORD_BYTES;

function assertLayout(holds: boolean, what: string): void {
  if (!holds) throw new Error(`@k42/fcm layout: ${what}`);
}
const INLINE_END = DIRECTORY.INLINE_TABLE + SLOT_WORDS * 2 ** INLINE_TABLE_LOG2;
assertLayout(INLINE_END * WORD_BYTES === DIRECTORY_BYTES, 'the first page table fills the directory');
assertLayout(
  [DIRECTORY.DISK_VALID, DIRECTORY.DISK_END, DIRECTORY.SIZE, DIRECTORY.DEVICE, DIRECTORY.COID].every(
    (word) => word % 2 === 0,
  ),
  '64-bit words are aligned',
);
assertLayout(
  DIRECTORY.EPOCH % CACHE_LINE_WORDS === 0 && DIRECTORY.DEVICE % CACHE_LINE_WORDS === 0,
  'what hits read has a line of its own',
);
