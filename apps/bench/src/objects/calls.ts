/**
 * Calls on many objects in turn: through handles, by `DREF`, and on plain objects of the same class.
 *
 * In the order in which the objects were made, and in a random one, which is the same for all three. The list that is gone
 * through is in that order itself, so that what is random is where the objects lie. Each has a loop of its own in the source,
 * because what V8 learns about a call belongs to the place in the source.
 */
import { DREF } from '@k42/clustered';
import { spawn } from '@k42/rcu';
import { median } from 'simple-statistics';
import { nanosecondsEach, sampleEach } from '../measure/timing.ts';
import { Random } from '../postmark/random.ts';
import type { Item, ItemCoid } from './item.ts';

/** What calls are made on: the same number of objects in each list. */
export interface Callees {
  readonly handles: readonly Item[];
  readonly coids: readonly ItemCoid[];
  readonly plain: readonly Item[];
}

export const WAYS = ['handle', 'dref', 'plain'] as const;
export type Way = (typeof WAYS)[number];

/** In the order in which the objects were made, and in a random one. */
export const ORDERS = ['creation', 'random'] as const;
export type Order = (typeof ORDERS)[number];

/** Nanoseconds per call, a sample per run. */
export type CallSamples = Record<Order, Record<Way, number[]>>;

/** Calls that are timed together. */
const CHUNK_CALLS = 10_000;

/** @param calls so many per sample */
export async function timeCalls(
  callees: Callees,
  { samples, calls, seed }: { samples: number; calls: number; seed: number },
): Promise<CallSamples> {
  return {
    creation: await timeInOrder(callees, samples, calls),
    random: await timeInOrder(shuffled(callees, seed), samples, calls),
  };
}

async function timeInOrder(
  { handles, coids, plain }: Callees,
  count: number,
  calls: number,
): Promise<Record<Way, number[]>> {
  const chunks = { handles: inChunks(handles), coids: inChunks(coids), plain: inChunks(plain) };
  const samples = { handle: [], dref: [], plain: [] };
  const measure = {
    handle: () => timeChunks(chunks.handles, calls, callHandles),
    dref: () => spawn(() => timeChunks(chunks.coids, calls, callByDref)),
    plain: () => timeChunks(chunks.plain, calls, callPlain),
  };
  // The first run warms up: V8 and the caches.
  await sampleEach<Way>(structuredClone(samples), measure);
  for (let run = 0; run < count; run++) await sampleEach<Way>(samples, measure);
  return samples;
}

/** Lists of the same length; what is left at the end is left out. */
function inChunks<T>(list: readonly T[]): T[][] {
  const length = Math.min(list.length, CHUNK_CALLS);
  const chunks: T[][] = [];
  for (let from = 0; from + length <= list.length; from += length)
    chunks.push(list.slice(from, from + length));
  return chunks;
}

/**
 * Goes through the chunks, again and again, until `calls` calls are made, and times each. The median counts: a chunk in which
 * the system let somebody else run takes longer by orders of magnitude.
 */
function timeChunks<T>(chunks: readonly T[][], calls: number, call: (chunk: readonly T[]) => number): number {
  const times: number[] = [];
  for (let made = 0; made < calls; ) {
    const chunk = chunks[times.length % chunks.length] as T[];
    const rounds = Math.ceil(CHUNK_CALLS / chunk.length);
    let done = 0;
    const begun = performance.now();
    for (let round = 0; round < rounds; round++) done += call(chunk);
    times.push(nanosecondsEach(begun, rounds * chunk.length, done));
    made += done;
  }
  return median(times);
}

function callHandles(handles: readonly Item[]): number {
  let done = 0;
  for (const handle of handles) done += handle.touch(1);
  return done;
}

function callByDref(coids: readonly ItemCoid[]): number {
  let done = 0;
  for (const coid of coids) done += DREF(coid).touch(1);
  return done;
}

function callPlain(plain: readonly Item[]): number {
  let done = 0;
  for (const object of plain) done += object.touch(1);
  return done;
}

/** The three lists in one and the same random order. */
function shuffled({ handles, coids, plain }: Callees, seed: number): Callees {
  const order = Uint32Array.from(handles.keys());
  const random = new Random(seed);
  // Fisher and Yates.
  for (let last = order.length - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const moved = order[last] as number;
    order[last] = order[other] as number;
    order[other] = moved;
  }
  return { handles: pick(handles, order), coids: pick(coids, order), plain: pick(plain, order) };
}

/** A list of the same kind, to V8, as the one it is made of. */
function pick<T>(list: readonly T[], order: Uint32Array): T[] {
  const picked: T[] = [];
  for (const at of order) picked.push(list[at] as T);
  return picked;
}
