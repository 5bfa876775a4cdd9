/**
 * The cost of an asynchronous thread: `await spawn(work)` beside `await work()`.
 *
 * For a function that awaits nothing, for one that awaits once, and for the first while another thread is live. A loop for
 * each in the source, as in `syncThreads.ts`. A pair is measured one right after the other, so that their ratio within a repeat tells.
 */
import { spawn } from '@k42/rcu';
import { nanosecondsEach, sampleEach } from '../measure/timing.ts';
import { besideAnother } from './syncThreads.ts';

export interface AsyncThreadSpec {
  readonly repeats: number;
  /** Threads in one sample. */
  readonly threads: number;
}

/** Nanoseconds per thread or call, a sample per repeat. */
export interface AsyncThreadSamples {
  readonly bare: number[];
  readonly idle: number[];
  readonly live: number[];
  readonly bareAwaiting: number[];
  readonly idleAwaiting: number[];
}

type Work = () => Promise<number>;

const work: Work = async () => 1;

const awaiting: Work = async () => {
  await undefined;
  return 1;
};

/** Called by name, on a processor with nothing else to do. */
export async function timeAsyncThreads({ repeats, threads }: AsyncThreadSpec): Promise<AsyncThreadSamples> {
  const measure = {
    bare: () => timeBare(threads),
    idle: () => timeIdle(threads),
    live: () => besideAnother(() => timeLive(threads)),
    bareAwaiting: () => timeBareAwaiting(threads),
    idleAwaiting: () => timeIdleAwaiting(threads),
  };
  const samples = { bare: [], idle: [], live: [], bareAwaiting: [], idleAwaiting: [] };
  // The first repeat warms up.
  await sampleEach<keyof AsyncThreadSamples>(structuredClone(samples), measure);
  for (let repeat = 0; repeat < repeats; repeat++)
    await sampleEach<keyof AsyncThreadSamples>(samples, measure);
  return samples;
}

async function timeBare(count: number): Promise<number> {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += await work();
  return nanosecondsEach(begun, count, done);
}

async function timeIdle(count: number): Promise<number> {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += await spawn(work);
  return nanosecondsEach(begun, count, done);
}

async function timeLive(count: number): Promise<number> {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += await spawn(work);
  return nanosecondsEach(begun, count, done);
}

async function timeBareAwaiting(count: number): Promise<number> {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += await awaiting();
  return nanosecondsEach(begun, count, done);
}

async function timeIdleAwaiting(count: number): Promise<number> {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += await spawn(awaiting);
  return nanosecondsEach(begun, count, done);
}
