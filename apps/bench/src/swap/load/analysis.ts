/**
 * What the callers' own records say about swaps: latencies, how long calls were queued, throughput around a swap.
 */
import { quantile } from 'simple-statistics';
import type { LoadResults } from './callers.ts';
import type { CallerRecord, CallTimes } from './records.ts';
import type { SwapRecord } from './swaps.ts';

const LONGEST_CALL_MS = 5_000;

function recordsOf(loads: readonly LoadResults[], sync: boolean): CallerRecord[] {
  return loads.flatMap(({ results }) =>
    results.filter((result) => result.sync === sync).flatMap(({ records }) => records),
  );
}

export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

/** Milliseconds from when calls were due to their answers; undefined if there are none. */
export function latencyOf(loads: readonly LoadResults[], sync: boolean): Latency | undefined {
  const all = recordsOf(loads, sync).flatMap(({ times: { due, answered } }) =>
    due.map((dueAt, call) => (answered[call] ?? Number.NaN) - dueAt).filter(Number.isFinite),
  );
  if (all.length === 0) return undefined;
  return { p50: quantile(all, 0.5), p99: quantile(all, 0.99), longest: quantile(all, 1) };
}

/**
 * For each swap, the longest time in milliseconds that an asynchronous call made meanwhile had to wait before it ran, beyond
 * the end of the calls that were running when it was made: those a queued call has to wait for. (They are no longer for the
 * swap: a processor with such a call does not stop.)
 */
export function blocksBeyond(swaps: readonly SwapRecord[], loads: readonly LoadResults[]): number[] {
  const records = recordsOf(loads, false);
  return swaps.map(({ beganAt, endedAt }) => {
    const around = records.flatMap(({ times }) => callsAround(times, beganAt, endedAt));
    // A long swap has many calls around it: in the order in which they ran, with the latest answer so far.
    const ran = around.filter(({ ranAt }) => !Number.isNaN(ranAt)).sort((a, b) => a.ranAt - b.ranAt);
    const ranAts = ran.map(({ ranAt }) => ranAt);
    const answeredBy: number[] = [];
    for (const { answeredAt } of ran)
      answeredBy.push(Math.max(answeredBy[answeredBy.length - 1] ?? 0, answeredAt || 0));
    let longest = 0;
    for (const { madeAt, ranAt } of ran) {
      if (madeAt < beganAt || ranAt - madeAt <= longest) continue;
      const running = answeredBy[firstFrom(ranAts, madeAt) - 1] ?? 0;
      longest = Math.max(longest, ranAt - Math.max(madeAt, running));
    }
    return longest;
  });
}

interface Call {
  readonly madeAt: number;
  readonly ranAt: number;
  readonly answeredAt: number;
}

/** A caller's calls that were made before the end and answered after the beginning. */
function callsAround(times: CallTimes, beganAt: number, endedAt: number): Call[] {
  const calls: Call[] = [];
  for (let call = firstFrom(times.made, endedAt) - 1; call >= 0; call--) {
    const madeAt = times.made[call] as number;
    // None under load lasts longer.
    if (madeAt < beganAt - LONGEST_CALL_MS) break;
    const [ranAt, answeredAt] = [times.ran[call] ?? Number.NaN, times.answered[call] ?? Number.NaN];
    if (answeredAt > beganAt) calls.push({ madeAt, ranAt, answeredAt });
  }
  return calls;
}

/** The place of the first of these ascending times that is not before. */
function firstFrom(ascending: readonly number[], time: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] as number) >= time) high = middle;
    else low = middle + 1;
  }
  return low;
}

export interface Timeline {
  /** Of the first bin, from the beginning of a swap. */
  readonly fromMs: number;
  readonly binMs: number;
  /** How long the swaps lasted from there on, median. */
  readonly swapMs: number;
}

/** Calls answered per millisecond around the beginning of a swap, mean over swaps, bin by bin. */
export function throughputAround(
  swaps: readonly SwapRecord[],
  loads: readonly LoadResults[],
  { fromMs, binMs, bins }: { readonly fromMs: number; readonly binMs: number; readonly bins: number },
): number[] {
  const counts = Array.from({ length: bins }, () => 0);
  const answered = [false, true].flatMap((sync) =>
    recordsOf(loads, sync).flatMap(({ times }) => times.answered.filter(Number.isFinite)),
  );
  answered.sort((a, b) => a - b);
  let first = 0;
  for (const { beganAt } of swaps) {
    const from = beganAt + fromMs;
    while (first < answered.length && (answered[first] as number) < from) first++;
    for (let at = first; at < answered.length; at++) {
      const bin = Math.floor(((answered[at] as number) - from) / binMs);
      if (bin >= bins) break;
      counts[bin] = (counts[bin] as number) + 1;
    }
  }
  return counts.map((count) => count / swaps.length / binMs);
}
