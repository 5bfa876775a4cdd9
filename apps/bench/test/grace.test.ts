/**
 * Goal: the suite `grace` answers with every claim, in figures that can be, and fails where grace periods or callbacks do.
 * Method: all its measurements on real machines, with sizes that prove nothing about time; then invented findings.
 */
import { describe, expect, test } from 'vitest';
import { type Finding, ratios, row } from '../src/measure/finding.ts';
import type { Measurement } from '../src/measure/findings.ts';
import { type GraceSizes, QUICK } from '../src/suites/grace/sizes.ts';
import { runGrace } from '../src/suites/grace.ts';
import { silentContext } from './support.ts';

const TINY: GraceSizes = {
  repeats: 2,
  syncThreads: 1_000,
  asyncThreads: 1_000,
  synchronizes: 300,
  roundTrips: 20,
  waitMs: 30,
  waits: 2,
  blocks: 2,
  blockSize: 10,
  floodMs: 30,
  floods: 2,
  processors: [1, 3],
  live: [1, 2_000],
  liveRepeats: 2,
};

test('every claim, and every figure a number', async () => {
  const context = silentContext();
  const { document, text, failure } = await runGrace(TINY, context);

  expect(failure).toBeUndefined();
  expect(document.claims.map((claim) => claim.id)).toEqual([
    'grace.faults',
    'grace.thread-sync',
    'grace.thread-async',
    'grace.thread-flat',
    'grace.synchronize-idle',
    'grace.waiting-cpu',
    'grace.synchronize-busy',
    'grace.callbacks',
    'grace.callbacks-grace-periods',
    'grace.callbacks-memory',
  ]);
  for (const { id, value, target, spread, statement } of document.claims) {
    expect([id, Number.isFinite(value), Number.isFinite(target)]).toEqual([id, true, true]);
    if (spread === null) continue;
    expect(statement).toMatch(/(lower|higher) is better/);
    expect(spread.min).toBeLessThanOrEqual(spread.median);
    expect(spread.median).toBeLessThanOrEqual(spread.max);
    expect(spread.samples).toBe(2);
  }
  const rows = document.runs as ReturnType<typeof row>[];
  for (const { measure, variant, samples } of rows) {
    const good = samples.length > 0 && samples.every((sample) => Number.isFinite(sample) && sample >= 0);
    expect([measure, variant, good]).toEqual([measure, variant, true]);
  }
  const names = rows.map(({ measure, variant }) => `${measure}: ${variant}`);
  expect(new Set(names).size).toBe(names.length);
  for (const name of ['processors 1', 'processors 3', 'threads-among 1', 'threads-among 2,000'])
    expect(names.some((known) => known.startsWith(`${name}:`))).toBe(true);
  expect(structuredClone(document)).toEqual(JSON.parse(JSON.stringify(document)));
  for (const { id } of document.claims) expect(text).toContain(id);
  expect(context.said).toHaveLength(8);
});

describe('invented findings', () => {
  const run = (measure: Measurement<GraceSizes>[1]): ReturnType<typeof runGrace> =>
    runGrace(QUICK, silentContext(), [['invented', measure]]);
  const finding = (faults: string[]): Finding => ({ rows: [row('a', 'b', 'ns', [1])], claims: [], faults });

  test('a fault fails the run, and is told', async () => {
    const { document, failure } = await run(async () => finding(['a grace period ended too early']));
    expect(document.claims).toMatchObject([{ id: 'grace.faults', value: 1, holds: false }]);
    expect(failure).toMatchObject({ code: 'K42_BENCH_WRONG_RESULT', claims: ['grace.faults'] });
    expect(failure?.message).toContain('a grace period ended too early');
  });

  test('without one the run does not fail', async () => {
    expect((await run(async () => finding([]))).failure).toBeUndefined();
  });

  test('an error of the layer keeps its code', async () => {
    const late = Object.assign(new Error('late'), { code: 'K42_GRACE_PERIOD_DEADLINE' });
    await expect(run(() => Promise.reject(late))).rejects.toMatchObject({
      code: 'K42_GRACE_PERIOD_DEADLINE',
    });
  });
});

test('ratios are taken within a repeat', () => {
  expect(ratios([2, 30], [1, 10])).toEqual([2, 3]);
});
