/**
 * Goal: the suite `counter` answers with every claim, in figures that can be, and fails where a count is not exact.
 * Method: the whole race on a real machine, with sizes that prove nothing about time; then invented laps.
 */
import { expect, test } from 'vitest';
import type { LapResult } from '../src/counter/lap.ts';
import { VARIANTS, type Variant } from '../src/counter/track.ts';
import type { row } from '../src/measure/finding.ts';
import { lapFaults } from '../src/suites/counter/race.ts';
import type { CounterSizes } from '../src/suites/counter/sizes.ts';
import { runCounter } from '../src/suites/counter.ts';
import { silentContext } from './support.ts';

const TINY: CounterSizes = { repeats: 2, lapMs: 3, processors: [1, 2, 3], readings: 1_000 };

test('every claim, and every figure a number', async () => {
  const context = silentContext();
  const { document, text, failure } = await runCounter(TINY, context);

  expect(failure).toBeUndefined();
  expect(document.claims.map((claim) => claim.id)).toEqual([
    'counter.faults',
    'counter.distributed-2',
    'counter.over-shared',
  ]);
  for (const { id, value, target, spread, statement } of document.claims) {
    expect([id, Number.isFinite(value), Number.isFinite(target)]).toEqual([id, true, true]);
    if (spread === null) continue;
    expect(statement).toMatch(/higher is better/);
    expect(spread.samples).toBe(2);
  }
  const rows = document.runs as ReturnType<typeof row>[];
  for (const { measure, variant, samples } of rows) {
    const good = samples.length === 2 && samples.every((sample) => Number.isFinite(sample) && sample > 0);
    expect([measure, variant, good]).toEqual([measure, variant, true]);
  }
  const names = rows.map(({ measure, variant }) => `${measure}: ${variant}`);
  expect(new Set(names).size).toBe(names.length);
  for (const name of ['processors 1', 'processors 2', 'processors 3', 'reading'])
    expect(names.some((known) => known.startsWith(name))).toBe(true);
  expect(structuredClone(document)).toEqual(JSON.parse(JSON.stringify(document)));
  for (const { id } of document.claims) expect(text).toContain(id);
  expect(context.said).toHaveLength(1);
});

test('without 2 processors there is nothing to claim', async () => {
  const failing = runCounter({ ...TINY, processors: [1] }, silentContext());
  await expect(failing).rejects.toMatchObject({ code: 'K42_BENCH_INTERNAL' });
});

test('a count that is not exact is a fault', () => {
  const lap = (count: number): LapResult => ({ count, seconds: 1 });
  const counts = (changed: Partial<Record<Variant, number>> = {}): Record<Variant, number> => ({
    ...{ bare: 1, shared: 2, distributed: 3, ownAtomic: 4, ownPlain: 5 },
    ...changed,
  });
  const laps = [lap(10), lap(20)];

  expect(lapFaults('shared', laps, counts(), counts({ shared: 32 }))).toEqual([]);
  for (const variant of VARIANTS) {
    const after = (made: number): Record<Variant, number> => counts({ [variant]: counts()[variant] + made });
    expect(lapFaults(variant, laps, counts(), after(30))).toEqual([]);
    for (const wrong of [29, 31, 0]) expect(lapFaults(variant, laps, counts(), after(wrong))).toHaveLength(1);
  }
  // Counted in another way than its own, as well.
  expect(lapFaults('shared', laps, counts(), counts({ shared: 32, ownPlain: 6 }))).toHaveLength(1);
  // A word of 32 bits wraps; an object's count does not.
  const nearlyFull = 2 ** 32 - 10;
  expect(lapFaults('bare', laps, counts({ bare: nearlyFull }), counts({ bare: 20 }))).toEqual([]);
  expect(lapFaults('shared', laps, counts({ shared: nearlyFull }), counts({ shared: 20 }))).toHaveLength(1);
});
