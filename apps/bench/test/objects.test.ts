/**
 * Goal: the suite `objects` answers with every claim, in figures that can be, and fails where something is left of objects.
 * Method: whole repeats on real machines, with sizes that prove nothing about time; then invented repeats.
 */
import { describe, expect, test } from 'vitest';
import type { row } from '../src/measure/finding.ts';
import type { PopulationTimes, StageSamples } from '../src/objects/populations.ts';
import { judge } from '../src/suites/objects/populations.ts';
import type { ObjectsSizes } from '../src/suites/objects/sizes.ts';
import { runObjects } from '../src/suites/objects.ts';
import { silentContext } from './support.ts';

const TINY: ObjectsSizes = {
  repeats: 2,
  few: 10,
  many: 500,
  samples: 2,
  cycles: 3,
  cycleObjects: 20,
  oneByOne: 3,
  batch: 100,
  calls: 1_000,
  seed: 1,
};

test('every claim, and every figure a number', async () => {
  const context = silentContext();
  const { document, text, failure } = await runObjects(TINY, context);

  expect(failure).toBeUndefined();
  expect(document.claims.map((claim) => claim.id)).toEqual([
    'objects.faults',
    'objects.call-growth',
    'objects.create-growth',
  ]);
  for (const { id, value, target, spread, statement } of document.claims) {
    expect([id, Number.isFinite(value), Number.isFinite(target)]).toEqual([id, true, true]);
    if (spread === null) continue;
    expect(statement).toMatch(/lower is better/);
    // What was measured, not what the full run would have measured.
    expect(statement).toMatch(/\b500 objects/);
    expect(spread.samples).toBe(TINY.repeats * TINY.samples);
  }
  const rows = document.runs as ReturnType<typeof row>[];
  for (const { measure, variant, samples } of rows) {
    const good = samples.length > 0 && samples.every(Number.isFinite);
    expect([measure, variant, good]).toEqual([measure, variant, true]);
    if (measure !== 'memory per object') expect(Math.min(...samples)).toBeGreaterThan(0);
  }
  const names = rows.map(({ measure, variant }) => `${measure}: ${variant}`);
  expect(new Set(names).size).toBe(names.length);
  for (const name of ['with 10 objects', 'with 500 objects', 'many over few', 'memory per object'])
    expect(names.some((known) => known.startsWith(`${name}:`))).toBe(true);
  expect(structuredClone(document)).toEqual(JSON.parse(JSON.stringify(document)));
  for (const { id } of document.claims) expect(text).toContain(id);
  expect(context.said).toHaveLength(1);
});

describe('invented repeats', () => {
  const stage = (nanoseconds: { create: number; handle: number; plain: number }): StageSamples => {
    const { create, handle, plain } = nanoseconds;
    const calls = { handle: [handle], dref: [handle], plain: [plain] };
    return {
      calls: { creation: calls, random: calls },
      life: [{ create, handle: 1, firstCall: 1, destroy: 1 }],
      destroyOneByOne: [1],
    };
  };
  const use = { heap: 1, machine: 1, reserved: 1 };
  const repeat = (changed: Partial<PopulationTimes> = {}): PopulationTimes => ({
    few: stage({ create: 100, handle: 2, plain: 1 }),
    many: stage({ create: 120, handle: 12, plain: 4 }),
    bulk: { create: 1, handle: 1, firstCall: 1, destroy: 1 },
    created: use,
    handled: use,
    called: use,
    left: { objects: 0, reps: 0, bytes: 0, reservedBytes: 4096 },
    ...changed,
  });

  test('growth of calls is divided by that of plain objects, growth of creates is not', () => {
    const { claims, faults } = judge(TINY, [repeat()]);
    expect(faults).toEqual([]);
    expect(claims).toMatchObject([
      { id: 'objects.call-growth', value: 1.5, holds: true },
      { id: 'objects.create-growth', value: 1.2, holds: true },
    ]);
  });

  test('beyond the targets they do not hold', () => {
    const many = stage({ create: 151, handle: 13, plain: 4 });
    expect(judge(TINY, [repeat({ many })]).claims.map(({ holds }) => holds)).toEqual([false, false]);
  });

  test.each(['objects', 'reps', 'bytes'])(
    '%s that are left are a fault, what is set aside is none',
    (kind) => {
      const left = { objects: 0, reps: 0, bytes: 0, reservedBytes: 0, [kind]: 7 };
      const { faults } = judge(TINY, [repeat(), repeat({ left })]);
      expect(faults).toHaveLength(1);
      expect(faults[0]).toContain('7');
    },
  );
});
