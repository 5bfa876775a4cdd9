/**
 * Goal: the workload is PostMark, to the last byte.
 * Method: the golden counts of the reference binary, count-only and on real files; then, that the comparison does tell a
 * wrong run from a right one.
 */
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runInstance } from '../src/instance.ts';
import { countOnly } from '../src/postmark/countOnly.ts';
import { differences } from '../src/postmark/counts.ts';
import { GOLDEN_ROWS, goldenCounts } from '../src/postmark/golden.ts';
import { DEFAULT_OPTIONS } from '../src/postmark/options.ts';
import { plainSpec } from './support.ts';

describe.each(GOLDEN_ROWS)(
  'seed $options.seed, $options.number files, $options.transactions transactions',
  (row) => {
    test('count-only', async () => {
      const { counts, transactions } = await countOnly(row.options, row.options.seed, false);
      expect(counts).toEqual(row.counts);
      expect(transactions).toBe(row.options.transactions);
    });

    test('on real files, verified, leaving nothing', async () => {
      const spec = plainSpec(row.options, { verify: true });
      const result = await runInstance(spec);
      expect(result.counts).toEqual(row.counts);
      expect(result.verification).toMatchObject({ files: row.counts.deletedAlone, mismatches: 0 });
      expect(result.verification?.pieces).toBeGreaterThan(row.counts.read);
      expect(readdirSync(spec.directory)).toEqual([]);
      expect(readdirSync(dirname(spec.directory)).sort()).toEqual(['journal', 'p0']);
    });
  },
);

test('the third row is exact where single-precision sums are not', () => {
  expect(GOLDEN_ROWS[2]?.counts).toMatchObject({ bytesRead: 33_042_712, bytesWritten: 35_033_845 });
});

test('a row is found by options and seed, and only then', () => {
  expect(goldenCounts({ ...DEFAULT_OPTIONS, seed: 0 }, 1)).toEqual(GOLDEN_ROWS[1]?.counts);
  expect(goldenCounts(DEFAULT_OPTIONS, 43)).toBeUndefined();
  expect(goldenCounts({ ...DEFAULT_OPTIONS, subdirectories: 3 }, 42)).toBeUndefined();
});

test('another seed, or one draw more, makes other counts, and the difference is named', async () => {
  const { counts } = await countOnly(DEFAULT_OPTIONS, 43, false);
  const golden = GOLDEN_ROWS[0]?.counts ?? counts;
  expect(differences(counts, golden)).toContainEqual(
    expect.stringMatching(/^bytesRead: \d+, expected 1430770$/),
  );
  expect(differences(golden, golden)).toEqual([]);
  const drawsOneMore = await countOnly({ ...DEFAULT_OPTIONS, subdirectories: 2 }, 42, false);
  expect(drawsOneMore.counts).not.toEqual(golden);
});

test('the result of an instance survives a message', async () => {
  const result = await runInstance(plainSpec({ number: 20, transactions: 50 }, { verify: true }));
  expect(structuredClone(result)).toEqual(result);
});
