/**
 * One round of the live HTTP server: load, swaps under it, and in one of them the death of a worker.
 *
 * For a while nothing happens; that is *before*. Then come the swaps, one every so often; and then nothing again, *after*. In
 * one of the swaps a worker is terminated: either it is kept busy until then, so that the swap cannot have ended without it
 * and it dies in the midst for sure, or it is killed some random time after the swap has begun, at whatever it is doing. Another one takes
 * its place at once.
 *
 * At the end the servers are stopped, and what is in the store is compared with what the clients were told (`judge.ts`).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Coid, create, handle } from '@k42/clustered';
import { type ByteMap, DistributedByteMap, SharedByteMap } from '@k42/clustered/standard';
import { type SwapReport, swap } from '@k42/hotswap';
import { monotonicMs } from '../clock.ts';
import { judgeRequests, sessionFaults } from './judge.ts';
import type { LoadSeen } from './load.ts';
import { LoadProcess } from './loadProcess.ts';
import { countOf, session } from './server.ts';
import type { Servers } from './servers.ts';

export interface RoundSizes {
  readonly connections: number;
  /** Sessions that all connections use, beside one that each has of its own. */
  readonly sharedSessions: number;
  /** Sessions nobody uses. */
  readonly idleSessions: number;
  readonly warmUpMs: number;
  readonly beforeMs: number;
  readonly swaps: number;
  /** From the end of one to the beginning of the next. */
  readonly betweenMs: number;
  /** Which of the swaps loses a worker. */
  readonly killIn: number;
  readonly afterMs: number;
}

/** The session store, and which of its two implementations serves it now. */
export interface Store {
  readonly coid: Coid<ByteMap>;
  distributed: boolean;
}

/** When the worker is killed: after so long, doing what it does; or else in the middle of a turn that lasts. */
export interface KillPlan {
  readonly afterMs: number | undefined;
}

export interface SwapSeen {
  readonly begunMs: number;
  readonly endedMs: number;
  /** None if it was given up. */
  readonly report?: SwapReport;
  readonly error?: Error;
  /** Whether a worker was killed in it, and then whether it was still going on. */
  readonly inKill?: boolean;
  readonly underWay?: boolean;
}

export interface RoundSeen {
  /** Requests before this do not count: the servers were warming up. */
  readonly beginsMs: number;
  readonly swaps: readonly SwapSeen[];
  readonly load: LoadSeen;
  /** Requests that the killed worker took with it. */
  readonly takenAlong: number;
  /** Requests that have failed, and sessions that are not as they must be, in words. */
  readonly failed: readonly string[];
  readonly lostState: readonly string[];
  /** What else was wrong. */
  readonly faults: readonly string[];
}

const SWAP_DEADLINE_MS = 5_000;
/** Longer than any wait here has to last: a request that takes so long has failed. */
const REQUEST_TIMEOUT_MS = 5_000;
/** For every connection to be served once. */
const SERVED_MS = 10_000;
/** How long the worker is kept busy, if it is not killed before; and how long it is left alone in it. */
const BUSY = { FOR_MS: 2_000, KILL_AFTER_MS: 5 };
/** What a swap may fail with if a processor dies in its transfer. */
const PROCESSOR_GONE = 'K42_SWAP_PROCESSOR_GONE';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A store with the sessions that nobody will use. */
export function makeStore({ idleSessions }: RoundSizes): Store {
  const coid = create(SharedByteMap, undefined);
  for (let index = 0; index < idleSessions; index++) handle(coid).set(`idle-${index}`, session(index));
  return { coid, distributed: false };
}

export async function runRound(
  servers: Servers,
  store: Store,
  sizes: RoundSizes,
  plan: KillPlan,
): Promise<RoundSeen> {
  const map = handle(store.coid);
  for (const used of storedCounts(map).keys()) map.delete(used);
  await servers.listen(store.coid);
  const load = await LoadProcess.begin({
    urls: servers.urls,
    connections: sizes.connections,
    sharedSessions: sizes.sharedSessions,
    durationMs: boundMs(sizes),
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
  });
  try {
    await allServed(map, sizes.connections);
    await delay(sizes.warmUpMs);
    const beginsMs = monotonicMs();
    await delay(sizes.beforeMs);
    const course: Course = { swaps: [], faults: [] };
    await runSwaps(servers, store, sizes, plan, course);
    await delay(sizes.afterMs);
    const seen = await load.end();
    await servers.stopServing();
    const { failed, takenAlong } = judgeRequests(seen, servers.accepted(), servers.kills.slice(-1));
    const lostState = [...sessionFaults(seen, storedCounts(map)), ...idleFaults(map, sizes.idleSessions)];
    return { beginsMs, load: seen, ...course, failed, takenAlong, lostState };
  } finally {
    await load.kill();
  }
}

/** Settles when every client has had an answer. */
async function allServed(map: ByteMap, connections: number): Promise<void> {
  const waiting = new Set(Array.from({ length: connections }, (_none, index) => `own-${index}`));
  for (const until = performance.now() + SERVED_MS; waiting.size > 0; await delay(1)) {
    if (performance.now() > until)
      throw new Error(`swap: ${waiting.size} connections were not served within ${SERVED_MS} ms`);
    for (const name of waiting) if (map.has(name)) waiting.delete(name);
  }
}

interface Course {
  readonly swaps: SwapSeen[];
  readonly faults: string[];
}

/** Longer than everything takes if every swap takes until its deadline. */
function boundMs({ warmUpMs, beforeMs, swaps, betweenMs, afterMs }: RoundSizes): number {
  return warmUpMs + beforeMs + swaps * (betweenMs + SWAP_DEADLINE_MS) + afterMs;
}

async function runSwaps(
  servers: Servers,
  store: Store,
  sizes: RoundSizes,
  plan: KillPlan,
  { swaps, faults }: Course,
): Promise<void> {
  for (let index = 0; index < sizes.swaps; index++) {
    const swapping = (): Promise<SwapSeen> => swapOnce(store);
    const seen = index === sizes.killIn ? await killDuring(swapping, servers, plan) : await swapping();
    if (seen.inKill) {
      await servers.replaceDoomed(store.coid);
      if (plan.afterMs === undefined && seen.underWay !== true)
        faults.push(`swap ${index}: it was over before the worker was killed`);
    }
    const isExpected = seen.inKill && codeOf(seen.error) === PROCESSOR_GONE;
    if (seen.error !== undefined && !isExpected) faults.push(`swap ${index}: ${seen.error.message}`);
    swaps.push(seen);
    await delay(sizes.betweenMs);
  }
}

/** A swap, and what became of it; does not throw. */
async function swapOnce(store: Store): Promise<SwapSeen> {
  const begunMs = monotonicMs();
  try {
    const next = store.distributed ? SharedByteMap : DistributedByteMap;
    const report = await swap(store.coid, next, { deadlineMs: SWAP_DEADLINE_MS });
    store.distributed = !store.distributed;
    return { begunMs, endedMs: monotonicMs(), report };
  } catch (error) {
    return { begunMs, endedMs: monotonicMs(), error: error as Error };
  }
}

async function killDuring(
  swapping: () => Promise<SwapSeen>,
  servers: Servers,
  { afterMs }: KillPlan,
): Promise<SwapSeen> {
  if (afterMs === undefined) await servers.keepDoomedBusy(BUSY.FOR_MS);
  let underWay = true;
  const swapped = swapping().finally(() => {
    underWay = false;
  });
  const due = performance.now() + (afterMs ?? BUSY.KILL_AFTER_MS);
  // In turns of the event loop, for timers are too coarse, and this processor takes part in the swap.
  while (performance.now() < due) await nextTurn();
  const killed = { inKill: true, underWay };
  await servers.kill();
  return { ...(await swapped), ...killed };
}

function codeOf(error: Error | undefined): unknown {
  return error !== undefined && 'code' in error ? error.code : undefined;
}

function storedCounts(map: ByteMap): Map<string, number> {
  const used = map.keys().filter((key) => !key.startsWith('idle-'));
  return new Map(used.map((key) => [key, countOf(map.get(key))]));
}

function idleFaults(map: ByteMap, idleSessions: number): string[] {
  const wrong = Array.from({ length: idleSessions }, (_none, index) => index).filter(
    (index) => countOf(map.get(`idle-${index}`)) !== index,
  );
  return wrong.length === 0
    ? []
    : [`${wrong.length} of ${idleSessions} sessions that nobody used have changed`];
}
