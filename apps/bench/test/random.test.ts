/**
 * Goal: the generator is MT19937 with the seeding of 1999, since every golden count hangs on it.
 * Method: one value far into the sequence, published with the GNU Scientific Library's tests of the same generator and
 * seeding (its 1999 variant, seed 4357), where the other seedings have other values; and the rule for empty ranges.
 */
import { expect, test } from 'vitest';
import { Random } from '../src/postmark/random.ts';

const PUBLISHED_SEED = 4357;
const PUBLISHED_1000TH = 1_030_650_439;

test('agrees with the published 1000th value of the 1999 seeding', () => {
  const random = new Random(PUBLISHED_SEED);
  for (let i = 1; i < 1000; i++) random.next32();
  expect(random.next32()).toBe(PUBLISHED_1000TH);
});

test('draws nothing for an empty range', () => {
  const random = new Random(42);
  const same = new Random(42);
  expect([random.below(0), random.below(-5)]).toEqual([0, 0]);
  expect(random.next32()).toBe(same.next32());
});

test('stays below the bound and is a function of the seed', () => {
  const draw = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 2000 }, () => random.below(10));
  };
  expect(new Set(draw(7))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});
