/**
 * Goal: a histogram counts every value once, wherever it was recorded, and its quantiles are as close as promised.
 * Method: real workers record known random values; what the histogram says is compared with the sorted list of them.
 */
import type { Machine } from '@k42/rcu';
import { beforeEach, describe, expect, test } from 'vitest';
import { create, destroy, handle, type Implementation, objectCounts } from '../../src/index.ts';
import {
  DistributedHistogram,
  type Histogram,
  type HistogramOptions,
  SharedHistogram,
} from '../../src/standard/index.ts';
import { boot, runOn, until } from './machines.ts';
import { measurements } from './programs/standard.ts';
import { replay, seeds } from './support.ts';

const IMPLEMENTATIONS: readonly [string, Implementation<Histogram, HistogramOptions | undefined>][] = [
  ['shared', SharedHistogram],
  ['distributed', DistributedHistogram],
];
const all = [0, 1, 2];
const QUANTILES = [0, 0.001, 0.07, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1];

describe.each(IMPLEMENTATIONS)('%s', (_name, implementation) => {
  let machine: Machine;
  beforeEach(async () => {
    machine = await boot(3);
  });
  const make = (options?: HistogramOptions): Histogram => handle(create(implementation, options));

  test.each(seeds(1, 2))('values of three processors, seed %i', async (seed) => {
    for (const digits of [1, 2, 3, 4]) {
      const coid = create(implementation, { lowest: 0.01, highest: 1e12, digits });
      const lengths = [1000, 5000, 0];
      await runOn(machine, all, 'recordAll', (number) => [coid, seed + number, lengths[number]]);
      const values = all.flatMap((number) => measurements(seed + number, lengths[number] as number));
      values.sort((a, b) => a - b);
      const histogram = handle(coid);
      const sum = values.reduce((total, value) => total + value, 0);
      expect(histogram.count()).toBe(values.length);
      expect(histogram.sum() / sum).toBeCloseTo(1, 10);
      expect(histogram.mean() / (sum / values.length)).toBeCloseTo(1, 10);
      expect([histogram.min(), histogram.max()]).toEqual([values[0], values.at(-1)]);
      expect([histogram.quantile(0), histogram.quantile(1)]).toEqual([values[0], values.at(-1)]);
      for (const q of QUANTILES) {
        const exact = values[Math.max(1, Math.round(q * values.length)) - 1] as number;
        const found = histogram.quantile(q);
        if (exact < 0.01) expect(found).toBeLessThan(0.01);
        else
          expect(
            Math.abs(found - exact) / exact,
            `q ${q}, ${replay(seed, 'histogram.test.ts')}`,
          ).toBeLessThanOrEqual(10 ** -digits);
      }
      const snapshot = histogram.snapshot();
      expect(snapshot).toMatchObject({
        count: values.length,
        overflow: 0,
        min: values[0],
        max: values.at(-1),
      });
      for (const { from, to, count } of snapshot.buckets)
        expect(values.filter((value) => value >= from && value < to).length).toBe(count);
    }
  });

  test('an empty one has nothing to say', () => {
    const histogram = make();
    expect([histogram.count(), histogram.sum()]).toEqual([0, 0]);
    for (const value of [histogram.min(), histogram.max(), histogram.mean(), histogram.quantile(0.5)])
      expect(value).toBeNaN();
    expect(histogram.snapshot()).toMatchObject({ count: 0, sum: 0, overflow: 0, buckets: [] });
  });

  test('the rank is the one that is meant', () => {
    const histogram = make({ digits: 4 });
    for (let value = 1; value <= 100; value++) histogram.record(value);
    for (let percent = 1; percent <= 100; percent++)
      expect(Math.round(histogram.quantile(percent / 100))).toBe(percent);
    const ones = make();
    ones.record(3);
    expect([ones.quantile(0), ones.quantile(0.5), ones.quantile(1)]).toEqual([3, 3, 3]);
  });

  test('below and above the range', () => {
    const histogram = make({ lowest: 10, highest: 1000 });
    for (const value of [0, 9.99, 10, 1e6, 2e6]) histogram.record(value);
    expect(histogram.count()).toBe(5);
    expect(histogram.sum()).toBeCloseTo(3e6 + 19.99);
    expect([histogram.min(), histogram.max()]).toEqual([0, 2e6]);
    expect([0.2, 0.4, 0.8, 1].map((q) => histogram.quantile(q))).toEqual([0, 0, 2e6, 2e6]);
    const { overflow, buckets } = histogram.snapshot();
    expect(overflow).toBe(2);
    expect(buckets.map(({ from, count }) => [from, count])).toEqual([
      [0, 2],
      [10, 1],
    ]);
  });

  test('what is no measurement is refused and changes nothing', () => {
    const histogram = make();
    histogram.record(5);
    for (const value of [Number.NaN, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      expect(() => histogram.record(value)).toThrowError(
        expect.objectContaining({ code: 'K42_UNRECORDABLE_VALUE', value }),
      );
    expect(histogram.snapshot()).toMatchObject({ count: 1, sum: 5, min: 5, max: 5 });
    const invalid = expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' });
    for (const q of [-0.1, 1.1, Number.NaN]) expect(() => histogram.quantile(q)).toThrowError(invalid);
    expect(() => make({ digits: 9 })).toThrowError(invalid);
    expect(() => make({ highest: 0.5 })).toThrowError(invalid);
  });

  test('a set that its processor has not begun yet counts for nothing', async () => {
    const coid = create(implementation, undefined);
    await machine.call(1, 'makeShare', [coid]);
    await runOn(machine, [2], 'recordAll', () => [coid, 1, 100]);
    expect(handle(coid).min()).toBe(Math.min(...measurements(1, 100)));
  });

  test('leaves nothing behind', async () => {
    const before = objectCounts().bytes;
    const coid = create(implementation, { digits: 1 });
    await runOn(machine, all, 'recordAll', (number) => [coid, number, 10]);
    await destroy(coid);
    await until(() => objectCounts().bytes === before, 'its memory is free');
  });
});
