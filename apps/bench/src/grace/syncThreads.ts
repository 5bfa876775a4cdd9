/**
 * The cost of a synchronous thread that does nothing: `spawn(work)` until it has returned.
 *
 * Beside it, in turn: the bare call of the same function; the same thread while another one is live, which saves the two
 * atomic stores by which an idle processor becomes busy and idle again; and threads of eight functions in turn.
 *
 * Every variant has a loop of its own in the source, because what V8 learns about a call belongs to the place in the
 * source. The place inside `spawn` that calls the function is shared by all of them, and has seen many functions after the
 * first repeat, which does not count: as in an application.
 */
import { spawn } from '@k42/rcu';
import { nanosecondsEach, sampleEach } from '../measure/timing.ts';

export interface SyncThreadSpec {
  readonly repeats: number;
  /** Threads in one sample. */
  readonly threads: number;
}

/** Nanoseconds per thread or call, a sample per repeat. */
export interface SyncThreadSamples {
  readonly bare: number[];
  readonly idle: number[];
  readonly live: number[];
  readonly bareOfMany: number[];
  readonly idleOfMany: number[];
}

type Work = () => number;

const work: Work = () => 1;

/** Eight functions, not eight closures of one. */
const many: readonly Work[] = [() => 1, () => 1, () => 1, () => 1, () => 1, () => 1, () => 1, () => 1];

/** Called by name, on a processor with nothing else to do. */
export async function timeSyncThreads({ repeats, threads }: SyncThreadSpec): Promise<SyncThreadSamples> {
  const measure = {
    bare: () => timeBare(threads),
    idle: () => timeIdle(threads),
    live: () => besideAnother(() => timeLive(threads)),
    bareOfMany: () => timeBareOfMany(threads),
    idleOfMany: () => timeIdleOfMany(threads),
  };
  const samples = { bare: [], idle: [], live: [], bareOfMany: [], idleOfMany: [] };
  await sampleEach<keyof SyncThreadSamples>(structuredClone(samples), measure);
  for (let repeat = 0; repeat < repeats; repeat++)
    await sampleEach<keyof SyncThreadSamples>(samples, measure);
  return samples;
}

/** Measures while another thread is live on this processor. */
export async function besideAnother(measure: () => number | Promise<number>): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const other = spawn(() => promise);
  const result = await measure();
  resolve();
  await other;
  return result;
}

function timeBare(count: number): number {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += work();
  return nanosecondsEach(begun, count, done);
}

function timeIdle(count: number): number {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += spawn(work);
  return nanosecondsEach(begun, count, done);
}

function timeLive(count: number): number {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += spawn(work);
  return nanosecondsEach(begun, count, done);
}

function timeBareOfMany(count: number): number {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += (many[i % 8] as Work)();
  return nanosecondsEach(begun, count, done);
}

function timeIdleOfMany(count: number): number {
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < count; i++) done += spawn(many[i % 8] as Work);
  return nanosecondsEach(begun, count, done);
}
