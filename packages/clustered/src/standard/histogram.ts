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
 *
 * ## Swapping
 * What is in all sets together goes over by value into one set of the new histogram, and the range with it: without an
 * argument that says otherwise the new one has the range of the old one and nothing is lost. Where the argument says
 * otherwise, values go into the new buckets as the middles of their old ones. Therefore a set is a block of its own: its size
 * is not known before the state comes.
 */
import { InvalidArgumentError } from '@k42/rcu';
import { defineImplementation, type Implementation } from '../implementations.ts';
import { defineInterface, type Interface } from '../interfaces.ts';
import { Buckets, checkRange, type HistogramRange } from '../internal/histogramBuckets.ts';
import {
  type Contents,
  type Counts,
  checkRecorded,
  contentsOf,
  fillSet,
  findSet,
  freeSet,
  isSameRange,
  makeSet,
  type Recorded,
  SET,
} from '../internal/histogramSet.ts';
import type { RootContext } from '../root.ts';
import { DistributedRoot, SharedRoot } from '../roots.ts';
import { UnrecordableValueError } from './errors.ts';
import { carriesState, type Part } from './parts.ts';

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

/** 64-bit words of the state: the range, and in 32 bits each what is said of it below. */
const STATE = { LOWEST: 0, HIGHEST: 1, DIGITS: 2, WORDS: 4 } as const;
const HALF = {
  /** Which of the three the argument has given, as bits: a swap leaves them alone. */
  GIVEN: 6,
  /** Shared: leads to the set. */
  SET: 7,
} as const;
/** A share is a word that leads to the set. */
const SHARE_BYTES = 4;

const CONTENTS = 'k42/histogram-contents@1';

const SETTINGS = [
  { option: 'lowest', word: STATE.LOWEST },
  { option: 'highest', word: STATE.HIGHEST },
  { option: 'digits', word: STATE.DIGITS },
] as const;

function initialise({ memory, stateOffset }: RootContext, options: HistogramOptions | undefined): void {
  const range = { ...DEFAULTS, ...options };
  checkRange(range);
  let given = 0;
  // Plain: nobody else has the object yet.
  for (const [index, { option, word }] of SETTINGS.entries()) {
    memory.f64[stateOffset / 8 + word] = range[option];
    if (options?.[option] !== undefined) given |= 1 << index;
  }
  memory.i32[stateOffset / 4 + HALF.GIVEN] = given;
}

function rangeOf({ memory, stateOffset }: RootContext): HistogramRange {
  const word = (at: number): number => memory.f64[stateOffset / 8 + at] as number;
  return { lowest: word(STATE.LOWEST), highest: word(STATE.HIGHEST), digits: word(STATE.DIGITS) };
}

/** The range of an object that takes over another's: what its argument has not given is the other's. @throws InvalidArgumentError */
function rangeAfter({ memory, stateOffset }: RootContext, before: HistogramRange): HistogramRange {
  const given = memory.i32[stateOffset / 4 + HALF.GIVEN] as number;
  const range = { ...before };
  for (const [index, { option, word }] of SETTINGS.entries())
    if ((given & (1 << index)) !== 0) range[option] = memory.f64[stateOffset / 8 + word] as number;
  checkRange(range);
  return range;
}

function setRange({ memory, stateOffset }: RootContext, range: HistogramRange): void {
  for (const { option, word } of SETTINGS) memory.f64[stateOffset / 8 + word] = range[option];
}

/** What both implementations read in the same way. */
abstract class HistogramRep implements Histogram {
  protected readonly context: RootContext;
  protected readonly buckets: Buckets;

  constructor(context: RootContext) {
    this.context = context;
    this.buckets = new Buckets(rangeOf(context));
  }

  abstract record(value: number): void;
  protected abstract contents(): Contents;

  count(): number {
    return this.contents().count;
  }

  sum(): number {
    return this.contents().sum;
  }

  min(): number {
    return this.contents().min;
  }

  max(): number {
    return this.contents().max;
  }

  mean(): number {
    const { sum, count } = this.contents();
    return sum / count;
  }

  quantile(q: number): number {
    if (!(q >= 0 && q <= 1)) throw new InvalidArgumentError(`A quantile is from 0 to 1, not ${q}.`);
    const { counts, count, min, max } = this.contents();
    if (q === 0 || count === 0) return min;
    // A hair less: 0.07 · 100 is a little above 7 and means the seventh.
    const rank = Math.ceil(q * count * (1 - Number.EPSILON));
    let index = 0;
    for (let below = counts[0] as number; below < rank; below += counts[index] as number) index++;
    if (rank === count || index === this.buckets.overflow) return max;
    return Math.min(Math.max(this.buckets.middle(index), min), max);
  }

  snapshot(): HistogramSnapshot {
    const { counts, ...rest } = this.contents();
    const { overflow } = this.buckets;
    const buckets: HistogramBucket[] = [];
    for (let index = 0; index < overflow; index++) {
      const count = counts[index] as number;
      if (count !== 0)
        buckets.push({ from: this.buckets.from(index), to: this.buckets.from(index + 1), count });
    }
    return { ...rest, mean: rest.sum / rest.count, overflow: counts[overflow] as number, buckets };
  }
}

function checkValue(value: number): void {
  if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) throw new UnrecordableValueError(value);
}

const float: Float64Array = new Float64Array(1);
const bits: BigInt64Array = new BigInt64Array(float.buffer);

const integers: Counts = {
  load: ({ memory }, word) => Number(memory.i64[word]),
  store: ({ memory }, word, count) => {
    memory.i64[word] = BigInt(count);
  },
};

const floats: Counts = {
  load: ({ memory }, word) => memory.f64[word] as number,
  store: ({ memory }, word, count) => {
    memory.f64[word] = count;
  },
};

function setOfShared(context: RootContext): number {
  return findSet(context, context.stateOffset / 4 + HALF.SET) as number;
}

function contentsOfShared(context: RootContext, buckets: Buckets): Contents {
  return contentsOf(context, buckets, [setOfShared(context)], integers);
}

class SharedHistogramRep extends HistogramRep {
  readonly #set: number;

  constructor(context: RootContext) {
    super(context);
    this.#set = setOfShared(context);
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

  protected override contents(): Contents {
    return contentsOfShared(this.context, this.buckets);
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

class SharedHistogramRoot extends SharedRoot<Histogram> {
  static readonly exports: readonly string[] = [CONTENTS];
  static readonly imports: readonly string[] = [CONTENTS];

  protected override createRep(): Histogram {
    return new SharedHistogramRep(this.context);
  }

  exportPart(_protocol: string, part: Part): Recorded | undefined {
    if (!carriesState(part)) return undefined;
    const range = rangeOf(this.context);
    return { range, contents: contentsOfShared(this.context, new Buckets(range)) };
  }

  importPart(_protocol: string, _part: Part, recorded: Recorded): void {
    checkRecorded(recorded);
    const { context } = this;
    const link = context.stateOffset / 4 + HALF.SET;
    const [before, range] = [rangeOf(context), rangeAfter(context, recorded.range)];
    if (!isSameRange(before, range)) {
      freeSet(context, link, before);
      setRange(context, range);
      makeSet(context, link, range);
    }
    fillSet(context, setOfShared(context), range, recorded, integers);
  }

  bytesOf(_protocol: string, _part: Part, { contents }: Recorded): number {
    return contents.counts.byteLength;
  }

  override reclaim(): void {
    freeSet(this.context, this.context.stateOffset / 4 + HALF.SET, rangeOf(this.context));
  }
}

function setsOfDistributed(context: RootContext): number[] {
  return context.shareOffsets().flatMap((offset) => findSet(context, offset / 4) ?? []);
}

function contentsOfDistributed(context: RootContext, buckets: Buckets): Contents {
  return contentsOf(context, buckets, setsOfDistributed(context), floats);
}

/** This processor's set, made if there is none. @throws OutOfMachineMemoryError */
function ownSet(context: RootContext, range: HistogramRange): number {
  const link = context.shareOffset / 4;
  return findSet(context, link) ?? makeSet(context, link, range);
}

class DistributedHistogramRep extends HistogramRep {
  readonly #words: Float64Array;
  readonly #set: number;

  constructor(context: RootContext) {
    super(context);
    this.#words = context.memory.f64;
    this.#set = ownSet(context, rangeOf(context));
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

  protected override contents(): Contents {
    return contentsOfDistributed(this.context, this.buckets);
  }
}

class DistributedHistogramRoot extends DistributedRoot<Histogram> {
  static readonly exports: readonly string[] = [CONTENTS];
  static readonly imports: readonly string[] = [CONTENTS];

  protected override createRep(): Histogram {
    return new DistributedHistogramRep(this.context);
  }

  exportPart(_protocol: string, part: Part): Recorded | undefined {
    if (!carriesState(part)) return undefined;
    const range = rangeOf(this.context);
    return { range, contents: contentsOfDistributed(this.context, new Buckets(range)) };
  }

  importPart(_protocol: string, _part: Part, recorded: Recorded): void {
    checkRecorded(recorded);
    const range = rangeAfter(this.context, recorded.range);
    setRange(this.context, range);
    // Into the set of the processor that happens to do it: which one has what says nothing.
    fillSet(this.context, ownSet(this.context, range), range, recorded, floats);
  }

  bytesOf(_protocol: string, _part: Part, { contents }: Recorded): number {
    return contents.counts.byteLength;
  }

  override reclaim(): void {
    const range = rangeOf(this.context);
    for (const offset of this.context.shareOffsets()) freeSet(this.context, offset / 4, range);
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
  Root: SharedHistogramRoot,
  stateBytes: STATE.WORDS * 8,
  initialise: (context, options) => {
    initialise(context, options);
    makeSet(context, context.stateOffset / 4 + HALF.SET, rangeOf(context));
  },
});

/** A set of buckets per processor: recording costs no atomic operation. */
export const DistributedHistogram: Implementation<Histogram, HistogramOptions | undefined> =
  defineImplementation<Histogram, HistogramOptions | undefined>({
    name: 'k42/histogram-distributed@1',
    interface: Histogram,
    module: import.meta.url,
    Root: DistributedHistogramRoot,
    stateBytes: STATE.WORDS * 8,
    shareBytes: SHARE_BYTES,
    initialise,
  });
