/**
 * What an instance of PostMark is told and what it answers: plain data, because both travel in messages.
 */
import type { Mode } from './modes.ts';
import type { Verification } from './postmark/content.ts';
import type { Counts } from './postmark/counts.ts';
import type { PostmarkOptions } from './postmark/options.ts';

export interface InstanceSpec {
  readonly mode: Mode;
  readonly processor: number;
  /** How many processors take part. */
  readonly processors: number;
  /** `seed` in here is that of the first instance. */
  readonly options: PostmarkOptions;
  /** This instance's. */
  readonly seed: number;
  /** Exists, and is this instance's alone. */
  readonly directory: string;
  /** The file that all instances append to. It exists. */
  readonly journal: string;
  readonly keep: boolean;
  readonly verify: boolean;
  /** The counters of all processors (postmark/progress.ts). */
  readonly progress?: SharedArrayBuffer;
}

/** One swap of the file cache manager of a file in use. */
export interface SwapRecord {
  /** The journal, or a file of the instance that initiated the swap. */
  file: 'journal' | 'own';
  /** How many processors took part. */
  participants: number;
  /** Calls that went through the mediator to the old manager. */
  forwarded: number;
  /** Calls that were held back until the new manager took over. */
  queued: number;
  milliseconds: number;
}

export interface InstanceResult {
  mode: Mode;
  processor: number;
  seed: number;
  counts: Counts;
  /** Transactions completed, which is also the number of records appended to the journal. */
  transactions: number;
  /** Everything: creation, transactions, verification, deletion. */
  seconds: number;
  /** Of the transactions alone. */
  transactionSeconds: number;
  transactionsPerSecond: number;
  swaps: SwapRecord[];
  /** Null unless asked for. */
  verification: Verification | null;
}
