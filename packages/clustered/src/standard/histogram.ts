/**
 * Histograms of measurements (times, sizes) that all processors record into.
 *
 * Values are counted in log-linear buckets (`internal/histogramBuckets.ts`): a quantile is right to a chosen number of digits,
 * whatever the range. Beside the buckets stand the exact sum, minimum and maximum.
 *
 * ## Shared
 * One set of buckets, counted up atomically.
 *
 * ## Distributed
 * A set per processor, its share, which only its owner writes, plainly: as with the distributed counter nothing is lost, a reader
 * sees all that happened before it, and what is recorded meanwhile it may see late or in part. Reading merges the
 * sets, those of departed processors too.
 *
 * ## What is recorded
 * Finite numbers from 0 on. A value below the range counts as 0; one above it is counted as overflow and enters sum and
 * maximum, since a measurement that is worse than expected is the last one to lose. NaN, infinities and negative numbers are no
 * measurements but errors of the caller, and are refused.
 *
 * ## Death
 * Recording a value is several stores. A processor killed between them leaves a value counted that is not in the sum: sum and
 * mean, minimum and maximum are off by that one value, for good.
 */
import { InvalidArgumentError } from '@k42/rcu';
import { defineImplementation, type Implementation } from '../implementations.ts';
import { defineInterface, type Interface } from '../interfaces.ts';
import { Buckets, checkRange, type HistogramRange } from '../internal/histogramBuckets.ts';
import type { RootContext } from '../root.ts';
import { UnrecordableValueError } from './errors.ts';

/** Values from `from` (inclusive) to `to`. */
export interface HistogramBucket {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** A histogram read once: all of it from the same reading. */
export interface HistogramSnapshot {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Values above the range; they are in `count` and in no bucket. */
  readonly overflow: number;
  /** Those in which there are values, ascending. */
  readonly buckets: readonly HistogramBucket[];
}

/**
 * A histogram. Reading costs a walk over all buckets (of all processors), some ns each; it is exact for what was recorded before,
 * and no snapshot of what is recorded meanwhile. Of an empty one, min, max, mean and quantiles are NaN.
 */
export interface Histogram {
  /** @throws UnrecordableValueError for NaN, infinities and negative numbers. */
  record(value: number): void;
  count(): number;
  sum(): number;
  min(): number;
  max(): number;
  mean(): number;
  /**
   * The value at rank ⌈q · count⌉ of all values in order, to within 10^-digits of itself: for values in the range. One below
   * the range counts as 0, one above it as the maximum. 0 gives the minimum and 1 the maximum, exactly.
   * @throws InvalidArgumentError unless q is from 0 to 1.
   */
  quantile(q: number): number;
  snapshot(): HistogramSnapshot;
}

export const Histogram: Interface<Histogram> = defineInterface<Histogram>('k42/histogram', {
  record: 'sync',
  count: 'sync',
  sum: 'sync',
  min: 'sync',
  max: 'sync',
  mean: 'sync',
  quantile: 'sync',
  snapshot: 'sync',
});

/**
 * The range and what is right of it. Default: 1 to 2^42 (of nanoseconds, over an hour), 2 digits: 64 buckets to a doubling,
 * 22 KiB to a set. A digit more takes eight to sixteen times as much.
 */
export type HistogramOptions = Partial<HistogramRange>;

const DEFAULTS: HistogramRange = { lowest: 1, highest: 2 ** 42, digits: 2 };

function rangeOf(options: HistogramOptions | undefined): HistogramRange {
  const range = { ...DEFAULTS, ...options };
  checkRange(range);
  return range;
}

/** 64-bit words of the state: the range. In the shared implementation the set follows. */
const STATE = { LOWEST: 0, HIGHEST: 1, DIGITS: 2, WORDS: 8 } as const;
/** 64-bit words of a set. READY (32 bits): the others have their first values. Counts follow on a line of their own. */
const SET = { READY: 0, MIN: 1, MAX: 2, SUM: 3, COUNTS: 8 } as const;

function setBytes(range: HistogramRange): number {
  return (SET.COUNTS + new Buckets(range).length) * 8;
}

function initialiseState({ memory, stateOffset }: RootContext, options: HistogramOptions | undefined): void {
  const { lowest, highest, digits } = rangeOf(options);
  const state = stateOffset / 8;
  // Plain: nobody else has the object yet.
  memory.f64[state + STATE.LOWEST] = lowest;
  memory.f64[state + STATE.HIGHEST] = highest;
  memory.f64[state + STATE.DIGITS] = digits;
}

/** Makes a zeroed set one of no values, if it is not one already. Its owner does. */
function initialiseSet({ memory }: RootContext, set: number): void {
  if (memory.i32[(set + SET.READY) * 2] === 1) return;
  memory.f64[set + SET.MIN] = Number.POSITIVE_INFINITY;
  // Pairs with the load in #merge(): whoever sees the set ready does not take a 0 for a minimum.
  Atomics.store(memory.i32, (set + SET.READY) * 2, 1);
}

/** All sets together. */
interface Merged {
  readonly counts: Float64Array;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** What both implementations read in the same way. */
abstract class HistogramRep implements Histogram {
  protected readonly context: RootContext;
  protected readonly buckets: Buckets;

  constructor(context: RootContext) {
    const { memory, stateOffset } = context;
    const word = (field: number): number => memory.f64[stateOffset / 8 + field] as number;
    this.context = context;
    this.buckets = new Buckets({
      lowest: word(STATE.LOWEST),
      highest: word(STATE.HIGHEST),
      digits: word(STATE.DIGITS),
    });
  }

  abstract record(value: number): void;
  /** Word indices of all sets. */
  protected abstract sets(): number[];
  /** A count, by its word index. */
  protected abstract countAt(word: number): number;

  count(): number {
    return this.#merge().count;
  }

  sum(): number {
    return this.#merge().sum;
  }

  min(): number {
    return this.#merge().min;
  }

  max(): number {
    return this.#merge().max;
  }

  mean(): number {
    const { sum, count } = this.#merge();
    return sum / count;
  }

  quantile(q: number): number {
    if (!(q >= 0 && q <= 1)) throw new InvalidArgumentError(`A quantile is from 0 to 1, not ${q}.`);
    const { counts, count, min, max } = this.#merge();
    if (q === 0 || count === 0) return min;
    // A hair less: 0.07 · 100 is a little above 7 and means the seventh.
    const rank = Math.ceil(q * count * (1 - Number.EPSILON));
    let index = 0;
    for (let below = counts[0] as number; below < rank; below += counts[index] as number) index++;
    if (rank === count || index === this.buckets.overflow) return max;
    return Math.min(Math.max(this.buckets.middle(index), min), max);
  }

  snapshot(): HistogramSnapshot {
    const { counts, ...rest } = this.#merge();
    const { overflow } = this.buckets;
    const buckets: HistogramBucket[] = [];
    for (let index = 0; index < overflow; index++) {
      const count = counts[index] as number;
      if (count !== 0)
        buckets.push({ from: this.buckets.from(index), to: this.buckets.from(index + 1), count });
    }
    return { ...rest, mean: rest.sum / rest.count, overflow: counts[overflow] as number, buckets };
  }

  #merge(): Merged {
    const { i32, f64 } = this.context.memory;
    const counts = new Float64Array(this.buckets.length);
    let count = 0;
    let sum = 0;
    let min = Number.POSITIVE_INFINITY;
    let max = Number.NEGATIVE_INFINITY;
    for (const set of this.sets()) {
      // Pairs with the store in initialiseSet().
      if (Atomics.load(i32, (set + SET.READY) * 2) === 0) continue;
      for (let index = 0; index < counts.length; index++) {
        const more = this.countAt(set + SET.COUNTS + index);
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
}

function checkValue(value: number): void {
  if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) throw new UnrecordableValueError(value);
}

const float: Float64Array = new Float64Array(1);
const bits: BigInt64Array = new BigInt64Array(float.buffer);

class SharedHistogramRep extends HistogramRep {
  readonly #set: number;

  constructor(context: RootContext) {
    super(context);
    this.#set = context.stateOffset / 8 + STATE.WORDS;
  }

  override record(value: number): void {
    checkValue(value);
    const { i64, f64 } = this.context.memory;
    const set = this.#set;
    // Pairs with the additions of others, of which none is lost.
    Atomics.add(i64, set + SET.COUNTS + this.buckets.indexOf(value), 1n);
    this.#change(set + SET.SUM, (sum) => sum + value);
    // Plain looks, which spare most swaps: a minimum seen late is too large and leads to a swap that finds out.
    if (value < (f64[set + SET.MIN] as number)) this.#change(set + SET.MIN, (min) => Math.min(min, value));
    if (value > (f64[set + SET.MAX] as number)) this.#change(set + SET.MAX, (max) => Math.max(max, value));
  }

  protected override sets(): number[] {
    return [this.#set];
  }

  protected override countAt(word: number): number {
    return Number(this.context.memory.i64[word]);
  }

  /** Replaces a floating-point word, atomically: by its bits, since there are no atomics for floating point. */
  #change(word: number, change: (before: number) => number): void {
    const { i64 } = this.context.memory;
    for (;;) {
      const before = Atomics.load(i64, word);
      bits[0] = before;
      float[0] = change(float[0] as number);
      // Pairs with the swaps of others: ours is undone by none and undoes none. One of those who compete always gets on.
      if (Atomics.compareExchange(i64, word, before, bits[0]) === before) return;
    }
  }
}

class DistributedHistogramRep extends HistogramRep {
  readonly #words: Float64Array;
  readonly #set: number;

  constructor(context: RootContext) {
    super(context);
    this.#words = context.memory.f64;
    this.#set = context.shareOffset / 8;
    initialiseSet(context, this.#set);
  }

  override record(value: number): void {
    checkValue(value);
    const words = this.#words;
    const set = this.#set;
    const at = set + SET.COUNTS + this.buckets.indexOf(value);
    // Plain throughout: only we write them.
    words[at] = (words[at] as number) + 1;
    words[set + SET.SUM] = (words[set + SET.SUM] as number) + value;
    if (value < (words[set + SET.MIN] as number)) words[set + SET.MIN] = value;
    if (value > (words[set + SET.MAX] as number)) words[set + SET.MAX] = value;
  }

  protected override sets(): number[] {
    return this.context.shareOffsets().map((offset) => offset / 8);
  }

  protected override countAt(word: number): number {
    return this.#words[word] as number;
  }
}

/** One set of buckets, counted up atomically: takes the least memory. */
export const SharedHistogram: Implementation<Histogram, HistogramOptions | undefined> = defineImplementation<
  Histogram,
  HistogramOptions | undefined
>({
  name: 'k42/histogram-shared@1',
  interface: Histogram,
  module: import.meta.url,
  distribution: 'shared',
  Rep: SharedHistogramRep,
  stateBytes: (options) => STATE.WORDS * 8 + setBytes(rangeOf(options)),
  initialise: (context, options) => {
    initialiseState(context, options);
    initialiseSet(context, context.stateOffset / 8 + STATE.WORDS);
  },
});

/** A set of buckets per processor: recording costs no atomic operation. */
export const DistributedHistogram: Implementation<Histogram, HistogramOptions | undefined> =
  defineImplementation<Histogram, HistogramOptions | undefined>({
    name: 'k42/histogram-distributed@1',
    interface: Histogram,
    module: import.meta.url,
    distribution: 'distributed',
    Rep: DistributedHistogramRep,
    stateBytes: STATE.WORDS * 8,
    shareBytes: (options) => setBytes(rangeOf(options)),
    initialise: initialiseState,
  });
