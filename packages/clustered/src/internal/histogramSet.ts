/**
 * Sets of buckets in machine memory, with the sum, minimum and maximum of what is in them; and what is in several of them
 * together, to be read or to be moved into another histogram.
 *
 * A set is a block of its own; a word of whoever has it says where it is, 0 for nowhere.
 */
import { InvalidArgumentError } from '@k42/rcu';
import type { RootContext } from '../root.ts';
import { Buckets, checkRange, type HistogramRange } from './histogramBuckets.ts';

const LINE_BYTES = 64;
/** 64-bit words of a set. Counts follow on a line of their own: integers or floats, as the implementation likes. */
export const SET = { MIN: 0, MAX: 1, SUM: 2, COUNTS: 8 } as const;

/** What is in some sets together. Of nothing, `min` and `max` are NaN. */
export interface Contents {
  /** By bucket. */
  readonly counts: Float64Array;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** How counts lie in memory: by 64-bit word. */
export interface Counts {
  load(context: RootContext, word: number): number;
  store(context: RootContext, word: number, count: number): void;
}

function setBytes(range: HistogramRange): number {
  return (SET.COUNTS + new Buckets(range).length) * 8;
}

/** Makes an empty set, gives its first 64-bit word, and lets the 32-bit word `link` lead to it. @throws OutOfMachineMemoryError */
export function makeSet(context: RootContext, link: number, range: HistogramRange): number {
  const offset = context.allocate(setBytes(range));
  context.memory.f64[offset / 8 + SET.MIN] = Number.POSITIVE_INFINITY;
  // Pairs with the load in findSet(): whoever sees the set does not take a 0 for a minimum.
  Atomics.store(context.memory.i32, link, offset / LINE_BYTES);
  return offset / 8;
}

/** First 64-bit word of the set that a 32-bit word leads to; undefined if there is none. */
export function findSet({ memory }: RootContext, link: number): number | undefined {
  // Pairs with the store in makeSet().
  const line = Atomics.load(memory.i32, link);
  return line === 0 ? undefined : (line * LINE_BYTES) / 8;
}

/** Frees the set that a word leads to, if there is one. Nobody may use it any more. */
export function freeSet(context: RootContext, link: number, range: HistogramRange): void {
  const set = findSet(context, link);
  if (set === undefined) return;
  // First, so that nothing leads to a free block if this processor dies here.
  Atomics.store(context.memory.i32, link, 0);
  context.free(set * 8, setBytes(range));
}

/** Adds up what is in some sets. What goes on meanwhile may be seen late or in part. */
export function contentsOf(
  context: RootContext,
  buckets: Buckets,
  sets: readonly number[],
  { load }: Counts,
): Contents {
  const { f64 } = context.memory;
  const counts = new Float64Array(buckets.length);
  let count = 0;
  let sum = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const set of sets) {
    for (let index = 0; index < counts.length; index++) {
      const more = load(context, set + SET.COUNTS + index);
      counts[index] = (counts[index] as number) + more;
      count += more;
    }
    // Plain, in both implementations: what happened before is seen, what goes on may be seen late.
    sum += f64[set + SET.SUM] as number;
    min = Math.min(min, f64[set + SET.MIN] as number);
    max = Math.max(max, f64[set + SET.MAX] as number);
  }
  return count === 0
    ? { counts, count, sum, min: Number.NaN, max: Number.NaN }
    : { counts, count, sum, min, max };
}

/** What goes over in a swap. */
export interface Recorded {
  readonly range: HistogramRange;
  readonly contents: Contents;
}

/**
 * Fills an empty set that nobody uses yet. Into buckets of another range values go as their bucket's middle: they are then as
 * far off as both ranges together allow, and those beyond either are beyond this one.
 * @throws InvalidArgumentError
 */
export function fillSet(
  context: RootContext,
  set: number,
  range: HistogramRange,
  recorded: Recorded,
  { store }: Counts,
): void {
  const { contents } = recorded;
  if (contents.count === 0) return;
  const counts = isSameRange(range, recorded.range) ? contents.counts : rebucketed(recorded, range);
  const { f64 } = context.memory;
  for (const [index, count] of counts.entries())
    if (count !== 0) store(context, set + SET.COUNTS + index, count);
  f64[set + SET.SUM] = contents.sum;
  f64[set + SET.MIN] = contents.min;
  f64[set + SET.MAX] = contents.max;
}

export function isSameRange(a: HistogramRange, b: HistogramRange): boolean {
  return a.lowest === b.lowest && a.highest === b.highest && a.digits === b.digits;
}

function rebucketed({ range, contents: { counts, min, max } }: Recorded, to: HistogramRange): Float64Array {
  const before = new Buckets(range);
  const after = new Buckets(to);
  const moved = new Float64Array(after.length);
  for (const [index, count] of counts.entries()) {
    if (count === 0) continue;
    // Nobody knows how far above the range they were; the largest says that at least one was.
    const value = index === before.overflow ? max : Math.min(Math.max(before.middle(index), min), max);
    const place = after.indexOf(value);
    moved[place] = (moved[place] as number) + count;
  }
  return moved;
}

/** @throws InvalidArgumentError unless it is what a histogram exports. */
export function checkRecorded({ range, contents }: Recorded): void {
  checkRange(range);
  if (contents.counts.length !== new Buckets(range).length)
    throw new InvalidArgumentError(`${contents.counts.length} counts are not what that range has.`);
}
