/**
 * The cost of a thread among many: does it grow with the number of threads that are live?
 *
 * A repeat goes through all numbers. For each it opens so many asynchronous threads, begins and ends further ones among
 * them, and then has them all end while a grace period waits for them. What is timed is the opening, a thread among them
 * (of each kind), and the ending, each per thread. Opening and ending the same functions as no threads shows what of that
 * is V8's: promises that stay are moved twice by the collector of garbage, which costs more than making them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { rcu, spawn } from '@k42/rcu';
import { median } from 'simple-statistics';
import { BenchWrongResultError } from '../errors.ts';
import { nanosecondsEach, rotated } from '../measure/timing.ts';

export interface ThreadsAmongSpec {
  /** Numbers of live threads. */
  readonly live: readonly number[];
  readonly repeats: number;
  /** Threads begun and ended among them, in each of several runs of which the median is the sample. */
  readonly threads: number;
}

/** Nanoseconds per thread or call, a sample per repeat. */
export interface ThreadsAmongSamples {
  readonly live: number;
  readonly sync: number[];
  readonly async: number[];
  readonly opened: number[];
  readonly openedBare: number[];
  readonly closed: number[];
  readonly closedBare: number[];
}

/** Odd, so that a run in which the collector of garbage is at work is not the median. */
const RUNS = 5;

const syncWork = (): number => 1;
const asyncWork = async (): Promise<number> => 1;

/** Called by name, on a processor with nothing else to do. */
export async function timeThreadsAmong(spec: ThreadsAmongSpec): Promise<ThreadsAmongSamples[]> {
  const samples = spec.live.map(noSamples);
  // The first repeat warms up.
  for (const live of spec.live) await sample(noSamples(live), spec.threads);
  for (let repeat = 0; repeat < spec.repeats; repeat++)
    for (const one of rotated(samples, repeat)) await sample(one, spec.threads);
  return samples;
}

function noSamples(live: number): ThreadsAmongSamples {
  return { live, sync: [], async: [], opened: [], openedBare: [], closed: [], closedBare: [] };
}

async function sample(samples: ThreadsAmongSamples, threads: number): Promise<void> {
  await sampleThreads(samples, threads);
  await sampleBare(samples);
}

async function sampleThreads(samples: ThreadsAmongSamples, threads: number): Promise<void> {
  const { live } = samples;
  const { promise: until, resolve: open } = Promise.withResolvers<void>();
  const thread = (): Promise<void> => waiter(until);
  const opening = performance.now();
  for (let i = 0; i < live; i++) void spawn(thread);
  samples.opened.push(nanosecondsEach(opening, live, rcu.liveThreads));

  const [asyncRuns, syncRuns]: [number[], number[]] = [[], []];
  for (let run = 0; run < RUNS; run++) {
    asyncRuns.push(await timeAsync(threads));
    syncRuns.push(timeSync(threads));
  }
  samples.async.push(median(asyncRuns));
  samples.sync.push(median(syncRuns));

  const over = rcu.synchronize();
  // After this the grace period has begun, and what is left to wait for is the threads.
  await nextTurn();
  const closing = performance.now();
  open();
  await over;
  samples.closed.push(nanosecondsEach(closing, live, live));
  const left = rcu.liveThreads;
  if (left !== 0)
    throw new BenchWrongResultError(
      ['grace.faults'],
      [`a grace period ended before ${left} of ${live} threads`],
    );
}

async function sampleBare(samples: ThreadsAmongSamples): Promise<void> {
  const { live } = samples;
  const { promise: until, resolve: open } = Promise.withResolvers<void>();
  const noThread = (): Promise<void> => waiter(until);
  let last: Promise<void> | undefined;
  let opened = 0;
  const opening = performance.now();
  for (; opened < live; opened++) last = noThread();
  samples.openedBare.push(nanosecondsEach(opening, live, opened));
  await nextTurn();
  const closing = performance.now();
  open();
  // They end in the order in which they began.
  await last;
  samples.closedBare.push(nanosecondsEach(closing, live, opened));
}

async function waiter(until: Promise<void>): Promise<void> {
  await until;
}

function timeSync(count: number): number {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += spawn(syncWork);
  return nanosecondsEach(begun, count, done);
}

async function timeAsync(count: number): Promise<number> {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += await spawn(asyncWork);
  return nanosecondsEach(begun, count, done);
}
