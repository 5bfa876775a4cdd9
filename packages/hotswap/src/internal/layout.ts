/**
 * The swap block: everything the processors share about one swap, in machine memory.
 *
 * It is the state of the Mediator's Root. The swap word holds the phase and one set of processors in 64 bits, so that
 * joining, withdrawing, becoming ready and opening the next phase are compare-and-swaps on one word and none can miss
 * another.
 */
import { PROCESSORS_MAX } from '@k42/rcu/machine';

export const PHASE = { FORWARD: 1n, BLOCK: 2n, TRANSFER: 3n, COMPLETE: 4n, ABORTED: 5n } as const;
export const PHASE_SHIFT = 60n;
export const SET_MASK: bigint = (1n << PHASE_SHIFT) - 1n;

/** 64-bit words. */
export const LONG = {
  SWAP_WORD: 0,
  OLD_ROOT: 1,
  NEW_ROOT: 2,
  /** Processors to be told of every transition: participants, the initiator, latecomers with queued calls. */
  INTERESTED: 3,
  /** Parts in machine memory that somebody has claimed: a bit per share, and ROOT_PART. */
  CLAIMED: 4,
  /** Root word of the Mediator, and byte offset of the block of another swap of the same initiator: see `journal.ts`. */
  MEDIATOR: 5,
  NEXT: 6,
} as const;

/** Bit of the root part in CLAIMED: above those of the shares. */
export const ROOT_PART: bigint = 1n << 60n;

/** Doubles, same unit: milliseconds since the epoch. */
export const TIME = { BEGUN: 7, BLOCKED: 8, TRANSFERRING: 9, DECIDED: 10, DEADLINE: 11 } as const;

/** 32-bit words. */
export const WORD = {
  COID: 24,
  SEQUENCE: 25,
  INITIATOR: 26,
  /** 1 if the interface has synchronous methods, so that readiness needs a stop point. */
  SYNCHRONOUS: 27,
  /** Whether ownership has passed: 0, 1 + the number of the processor that sees to it, or HANDED_OVER. */
  HAND_OVER: 28,
  MAX_PAUSE_MS: 29,
  TRANSFER_MS: 30,
  QUEUE_BOUND: 31,
  PROTOCOL_BYTES: 32,
  INITIATOR_INCARNATION: 33,
  /** The protocol's name, ASCII. */
  PROTOCOL: 34,
} as const;
export const PROTOCOL_BYTES_MAX = 64;

export const HANDED_OVER = -1;

/** Per processor: a cache line would be too much for 60; four words each, written by their owner. */
export const PROCESSOR_WORDS = 50;
export const PER_PROCESSOR = 4;
export const OWN = {
  /** 1 while the processor takes part. */
  JOINED: 0,
  /** 1 once its untracked threads have gone. */
  ELAPSED: 1,
  /** How far its share of the transfer has come: see STAGE. */
  STAGE: 2,
} as const;

/** A share of the transfer. Once BEGUN its processor may have claimed parts that nobody else can take any more. */
export const STAGE = { NONE: 0, BEGUN: 1, EXPORTED: 2, IMPORTED: 3, DONE: 4 } as const;

export const BLOCK_BYTES: number = (PROCESSOR_WORDS + PROCESSORS_MAX * PER_PROCESSOR) * 4;

if (PROCESSORS_MAX > Number(PHASE_SHIFT))
  throw new Error('@k42/hotswap layout: a set of processors fits below the phase');
if (WORD.COID * 4 < (TIME.DEADLINE + 1) * 8)
  throw new Error('@k42/hotswap layout: words begin after the times');
if (WORD.PROTOCOL * 4 + PROTOCOL_BYTES_MAX > PROCESSOR_WORDS * 4)
  throw new Error('@k42/hotswap layout: the protocol ends before the processors');
