/**
 * Goal: every number is in the bucket that its bounds say, and no bucket's middle is further from what is in it than promised.
 * Method: bounds and their neighbours, then random numbers of all magnitudes, over ranges of all sorts.
 */

import { randomFrom } from '@k42/tooling/random';
import { describe, expect, test } from 'vitest';
import { Buckets, checkRange, type HistogramRange } from '../../src/internal/histogramBuckets.ts';
import { replay, seeds } from './support.ts';

const RANGES: readonly HistogramRange[] = [
  { lowest: 1, highest: 2 ** 42, digits: 2 },
  { lowest: 1, highest: 3.6e12, digits: 1 },
  { lowest: 0.001, highest: 60_000, digits: 3 },
  { lowest: 3, highest: 1000, digits: 4 },
  { lowest: 1e-9, highest: 1e-9 * 2 ** 64, digits: 1 },
  { lowest: 7.5, highest: 7.6, digits: 2 },
];

describe.each(RANGES)('$lowest to $highest, $digits digits', (range) => {
  const { lowest, highest, digits } = range;
  const buckets = new Buckets(range);

  test('the error is what the digits say', () => {
    expect(buckets.relativeError).toBeLessThanOrEqual(10 ** -digits);
    expect(buckets.relativeError).toBeGreaterThan(10 ** -digits / 10);
  });

  test('the buckets follow each other without a gap, and a bound belongs to the one above it', () => {
    expect([buckets.from(0), buckets.from(1)]).toEqual([0, lowest]);
    for (let index = 1; index <= buckets.overflow; index++) {
      const from = buckets.from(index);
      expect(from).toBeGreaterThan(buckets.from(index - 1));
      // To the last bit where the lowest is a power of two; else to the last but one.
      expect(buckets.indexOf(from * (1 + 2 ** -51))).toBe(index);
      expect(buckets.indexOf(from * (1 - 2 ** -51))).toBe(index - 1);
    }
  });

  test('the highest is in the last bucket but one, and what is beyond that in the last', () => {
    expect(buckets.indexOf(highest)).toBe(buckets.overflow - 1);
    expect(buckets.from(buckets.overflow)).toBeGreaterThan(highest);
    for (const beyond of [buckets.from(buckets.overflow), highest * 2, Number.MAX_VALUE])
      expect(buckets.indexOf(beyond)).toBe(buckets.overflow);
    for (const below of [0, Number.MIN_VALUE, lowest * (1 - Number.EPSILON)])
      expect(buckets.indexOf(below)).toBe(0);
    expect(buckets.middle(0)).toBe(0);
  });

  test.each(seeds(1))('random numbers, seed %i', (seed) => {
    const random = randomFrom(seed);
    for (let i = 0; i < 20_000; i++) {
      const value = lowest * (highest / lowest) ** (random(2 ** 30) / 2 ** 30);
      const index = buckets.indexOf(value);
      const error = Math.abs(buckets.middle(index) - value) / value;
      expect(error, `${value}, ${replay(seed, 'histogramBuckets.test.ts')}`).toBeLessThanOrEqual(
        buckets.relativeError * (1 + 1e-9),
      );
    }
  });
});

test('ranges that make no sense', () => {
  const good = RANGES[0] as HistogramRange;
  const bad: Partial<HistogramRange>[] = [
    { digits: 0 },
    { digits: 5 },
    { digits: 1.5 },
    { lowest: 0 },
    { lowest: -1 },
    { lowest: Number.NaN },
    { highest: 1 },
    { highest: Number.POSITIVE_INFINITY },
    { highest: Number.NaN },
    { lowest: 1e-300 },
  ];
  for (const part of bad)
    expect(() => checkRange({ ...good, ...part }), JSON.stringify(part)).toThrowError(
      expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }),
    );
});
