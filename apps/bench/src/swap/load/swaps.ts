/**
 * Swaps while others call: an object goes to and fro between the implementations of a pair, one swap after the other.
 *
 * Called on the initiator, as a program and not as a thread, for a swap waits for threads.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type Coid, create, destroy } from '@k42/clustered';
import { swap } from '@k42/hotswap';
import { type InterfaceName, type Mixed, PAIRS, type Transfer } from './objects.ts';
import { clockMs } from './records.ts';

export interface ObjectSpec {
  readonly interface: InterfaceName;
  readonly transfer: Transfer;
}

export interface SwapsSpec {
  readonly count: number;
  /** From the end of one to the beginning of the next. */
  readonly pauseMs: number;
  /** No more swaps are begun after so long: on a machine that others use, each may take long. There is at least one. */
  readonly budgetMs: number;
  readonly maxPauseMs: number;
  /** For all of it, and for the transfer alone: a load is no reason to give up. */
  readonly deadlineMs: number;
}

export interface SwapRecord {
  readonly beganAt: number;
  readonly endedAt: number;
  /** Ended by its deadline: the old object serves on. */
  readonly late: boolean;
  /** As reported; 0 where it was late. */
  readonly reportedBlockMs: number;
  readonly stopMs: number;
  readonly forwarded: number;
  readonly queued: number;
  readonly participants: number;
}

const DESTROY_DEADLINE_MS = 10_000;

/** Called by name. */
export function createLoaded({ interface: name, transfer }: ObjectSpec): Coid<Mixed> {
  return create(PAIRS[name][transfer][0]);
}

/** Called by name. */
export async function destroyLoaded(coid: Coid<Mixed>): Promise<void> {
  await destroy(coid, { deadlineMs: DESTROY_DEADLINE_MS });
}

/** Called by name: as long as swaps would pause. */
export async function pauseRepeatedly({ count, pauseMs }: SwapsSpec): Promise<void> {
  for (let index = 0; index < count; index++) await pause(pauseMs);
}

/** Swaps that end by their deadline, one after the other: no more are tried, for something is in their way for good. */
const LATE_MAX = 3;

/** Called by name: so many swaps; the object must be the first of its pair. */
export async function swapRepeatedly(
  coid: Coid<Mixed>,
  { interface: name, transfer }: ObjectSpec,
  { count, pauseMs, budgetMs, maxPauseMs, deadlineMs }: SwapsSpec,
): Promise<SwapRecord[]> {
  const [one, other] = PAIRS[name][transfer];
  const records: SwapRecord[] = [];
  let isOne = true;
  let late = 0;
  const until = clockMs() + budgetMs;
  for (let index = 0; index < count && late < LATE_MAX; index++) {
    if (index !== 0 && clockMs() > until) break;
    await pause(pauseMs);
    const beganAt = clockMs();
    try {
      const report = await swap(coid, isOne ? other : one, {
        maxPauseMs,
        deadlineMs,
        transferDeadlineMs: deadlineMs,
      });
      isOne = !isOne;
      late = 0;
      records.push({
        beganAt,
        endedAt: clockMs(),
        late: false,
        reportedBlockMs: report.longestBlockMs,
        stopMs: report.longestStopMs,
        forwarded: report.forwarded,
        queued: report.queued,
        participants: report.participants.length,
      });
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'K42_SWAP_DEADLINE') throw error;
      late++;
      const none = { reportedBlockMs: 0, stopMs: 0, forwarded: 0, queued: 0, participants: 0 };
      records.push({ beganAt, endedAt: clockMs(), late: true, ...none });
    }
  }
  return records;
}
