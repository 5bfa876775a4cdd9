/**
 * Goal: a wrong option is refused before anything is created, with an error that names it.
 * Method: each bound from both sides; the combinations that do not fit; numbers as users write them.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BenchOptionError } from '../src/errors.ts';
import {
  checkOptions,
  DEFAULT_OPTIONS,
  type PostmarkOptions,
  parseInteger,
} from '../src/postmark/options.ts';
import { runPostmark } from '../src/suites/postmark.ts';
import { silentContext, temporaryDirectory } from './support.ts';

function refused(changed: Partial<PostmarkOptions>, processors = 1): string | undefined {
  try {
    checkOptions({ ...DEFAULT_OPTIONS, ...changed }, processors);
  } catch (error) {
    if (error instanceof BenchOptionError && error.code === 'K42_BENCH_OPTION') return error.option;
    throw error;
  }
  return undefined;
}

test('the defaults are those of PostMark 1.51', () => {
  expect(refused({})).toBeUndefined();
  expect(Object.values(DEFAULT_OPTIONS)).toEqual([500, 500, 42, 500, 10_000, 512, 512, 5, 5, 0]);
});

describe.each<[keyof PostmarkOptions, string, number[], number[]]>([
  ['number', '--number', [1], [0, -1, 1.5, Number.NaN, 1e9]],
  ['transactions', '--transactions', [0, 1], [-1, Number.POSITIVE_INFINITY]],
  ['seed', '--seed', [0, 2 ** 32 - 1], [-1, 2 ** 32]],
  ['sizeLowBytes', '--size-low', [1, 10_000], [0, -1]],
  ['sizeHighBytes', '--size-high', [500], [0, 2 ** 31]],
  ['readBlockBytes', '--read', [1], [0]],
  ['writeBlockBytes', '--write', [1], [0]],
  ['biasRead', '--bias-read', [-1, 0, 10], [-2, 11]],
  ['biasCreate', '--bias-create', [-1, 0, 10], [-2, 11]],
  ['subdirectories', '--subdirectories', [0, 1, 100], [-1]],
])('%s', (key, option, good, bad) => {
  test.each(good)('%d is accepted', (value) => expect(refused({ [key]: value })).toBeUndefined());
  test.each(bad)('%d is refused', (value) => expect(refused({ [key]: value })).toBe(option));
});

test('what does not fit together is refused', () => {
  expect(refused({ sizeLowBytes: 10_001 })).toBe('--size-low');
  expect(refused({ seed: 2 ** 32 - 1 }, 2)).toBe('--seed');
  expect(refused({}, 0)).toBe('--processors');
  expect(refused({}, 61)).toBe('--processors');
  expect(refused({}, 60)).toBeUndefined();
});

test('an integer is what a user would call one', () => {
  expect([parseInteger('--x', '0'), parseInteger('--x', '-1'), parseInteger('--x', '0042')]).toEqual([
    0, -1, 42,
  ]);
  for (const text of ['', ' 1', '1 ', '1.5', '1e3', '0x10', '--1', 'one', '1_000', '9999999999999999']) {
    expect(() => parseInteger('--x', text)).toThrow(BenchOptionError);
  }
});

test('nothing is created before the options are checked', async () => {
  const parent = temporaryDirectory();
  const options = { ...DEFAULT_OPTIONS, number: 0 };
  const request = { options, modes: ['plain'] as const, processors: 1, parent, keep: true, verify: false };
  await expect(runPostmark(request, silentContext())).rejects.toThrow(BenchOptionError);
  expect(readdirSync(parent)).toEqual([]);
});
