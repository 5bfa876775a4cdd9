/**
 * Log-linear buckets: how a histogram divides the numbers.
 *
 * Each doubling, from the lowest value on, is divided into the same number of buckets of equal width, a power of two. So a
 * bucket is narrow where values are small and wide where they are large, and the middle of a bucket is never further than a
 * fixed fraction from what is in it. That is the idea of HdrHistogram. Which bucket a number is in can be read off the bits of
 * its floating-point form: the exponent says which doubling, the leading bits of the fraction say which part of it.
 *
 *     0: below the lowest | 1 ... n: log-linear | n + 1: above the highest
 */
import { InvalidArgumentError } from '@k42/rcu';

export interface HistogramRange {
  /** The smallest value that is told apart from 0. */
  readonly lowest: number;
  /** Larger ones are counted apart. It is rounded up to the end of its bucket. */
  readonly highest: number;
  /** Decimal digits that are right: 1 to 4. */
  readonly digits: number;
}

const RATIO_MAX = 2 ** 64;
/** Bits of the fraction in the high word of a 64-bit float, and the high word of 1. */
const HIGH_FRACTION_BITS = 20;
const HIGH_OF_ONE = 0x3ff00000;

const float: Float64Array = new Float64Array(1);
const halves: Int32Array = new Int32Array(float.buffer);
float[0] = 1;
const HIGH: number = halves[1] === HIGH_OF_ONE ? 1 : 0;

/** @throws InvalidArgumentError */
export function checkRange({ lowest, highest, digits }: HistogramRange): void {
  if (!Number.isInteger(digits) || digits < 1 || digits > 4)
    throw new InvalidArgumentError(`digits is 1, 2, 3 or 4, not ${digits}.`);
  if (!(lowest > 0 && highest > lowest && highest / lowest <= RATIO_MAX)) {
    throw new InvalidArgumentError(
      `lowest is above 0, and highest above lowest by a factor of at most 2^64: not ${lowest} and ${highest}.`,
    );
  }
}

export class Buckets {
  /** How many there are, the one below the lowest and the one above the highest included. */
  readonly length: number;
  /** Largest distance of a bucket's middle from a value in it, as a fraction of the value; below 10^-digits. */
  readonly relativeError: number;
  readonly #lowest: number;
  /** Logarithm of the buckets per doubling. */
  readonly #log2: number;

  constructor({ lowest, highest, digits }: HistogramRange) {
    this.#lowest = lowest;
    this.#log2 = Math.ceil(Math.log2(10 ** digits / 2));
    this.relativeError = 2 ** -(this.#log2 + 1);
    this.length = this.#indexAbove(highest) + 2;
  }

  /** The bucket above the highest value. */
  get overflow(): number {
    return this.length - 1;
  }

  /** The bucket of a number, 0 or more. */
  indexOf(value: number): number {
    return value < this.#lowest ? 0 : Math.min(this.#indexAbove(value), this.length - 1);
  }

  /** Where a bucket begins; it ends where the next one begins. */
  from(index: number): number {
    if (index === 0) return 0;
    const parts = 2 ** this.#log2;
    const doublings = Math.floor((index - 1) / parts);
    return this.#lowest * 2 ** doublings * (1 + ((index - 1) % parts) / parts);
  }

  /** What stands for the values in a bucket other than the last. */
  middle(index: number): number {
    return index === 0 ? 0 : (this.from(index) + this.from(index + 1)) / 2;
  }

  /** The bucket of a number that is not below the lowest, were there no highest. */
  #indexAbove(value: number): number {
    float[0] = value / this.#lowest;
    return 1 + (((halves[HIGH] as number) - HIGH_OF_ONE) >> (HIGH_FRACTION_BITS - this.#log2));
  }
}
