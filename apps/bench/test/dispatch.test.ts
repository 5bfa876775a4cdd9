/**
 * Goal: the suite `dispatch` answers with every claim, in figures that can be, and fails where a call reaches the wrong object.
 * Method: all its measurements on real machines, with sizes that prove nothing about time; then objects made and called here,
 * rightly and wrongly.
 */
import { Machine } from '@k42/rcu';
import { expect, onTestFinished, test } from 'vitest';
import {
  createObjects,
  OBJECTS,
  plainObjects,
  StandIn,
  strayCalls,
  VARIETIES,
} from '../src/dispatch/shift.ts';
import type { row } from '../src/measure/finding.ts';
import { sampleRepeats } from '../src/measure/timing.ts';
import { type DispatchSizes, QUICK } from '../src/suites/dispatch/sizes.ts';
import { strayFaults } from '../src/suites/dispatch/strays.ts';
import { runDispatch } from '../src/suites/dispatch.ts';
import { silentContext } from './support.ts';

const TINY: DispatchSizes = { workers: 2, repeats: 2, calls: 10 * OBJECTS, asyncCalls: 100, met: [2, 8] };

test('every claim, and every figure a number', async () => {
  const context = silentContext();
  const { document, text, failure } = await runDispatch(TINY, context);

  expect(failure).toBeUndefined();
  expect(document.claims.map((claim) => claim.id)).toEqual([
    'dispatch.faults',
    'dispatch.handle',
    'dispatch.dref',
    'dispatch.rwlock',
    'dispatch.forwarder',
    'dispatch.polymorphic-8',
    'dispatch.async-count',
  ]);
  for (const { id, value, target, spread, statement } of document.claims) {
    expect([id, Number.isFinite(value), Number.isFinite(target)]).toEqual([id, true, true]);
    if (spread === null) continue;
    expect(statement).toMatch(/(lower|higher) is better/);
    expect(spread.min).toBeLessThanOrEqual(spread.median);
    expect(spread.median).toBeLessThanOrEqual(spread.max);
    expect(spread.samples).toBe(TINY.workers * TINY.repeats);
  }
  const rows = document.runs as ReturnType<typeof row>[];
  for (const { measure, variant, samples } of rows) {
    const good = samples.length === TINY.workers * TINY.repeats && samples.every(Number.isFinite);
    expect([measure, variant, good]).toEqual([measure, variant, true]);
    if (measure !== 'async-count') expect(Math.min(...samples)).toBeGreaterThan(0);
  }
  const names = rows.map(({ measure, variant }) => `${measure}: ${variant}`);
  expect(new Set(names).size).toBe(names.length);
  for (const name of [
    'calls: Proxy',
    'calls: EventEmitter',
    'polymorphic-2',
    'polymorphic-8',
    'one of eight',
  ])
    expect(names.some((known) => known.startsWith(name))).toBe(true);
  expect(structuredClone(document)).toEqual(JSON.parse(JSON.stringify(document)));
  for (const { id } of document.claims) expect(text).toContain(id);
  expect(context.said).toHaveLength(4);
});

test('a call that reaches another object is a fault, and fails the run', async () => {
  const machine = await Machine.boot({ processors: 1 });
  onTestFinished(() => machine.close());
  const coids = createObjects(VARIETIES);
  expect(strayCalls(coids)).toBe(0);
  // Each object where its neighbour belongs.
  expect(strayCalls([...coids.slice(1), ...coids.slice(0, 1)])).toBe(OBJECTS);
  expect(strayFaults('calls', 0)).toEqual([]);

  const { document, failure } = await runDispatch(QUICK, silentContext(), [
    ['invented', async () => ({ rows: [], claims: [], faults: strayFaults('calls', 3) })],
  ]);
  expect(document.claims).toMatchObject([{ id: 'dispatch.faults', value: 1, holds: false }]);
  expect(failure).toMatchObject({ code: 'K42_BENCH_WRONG_RESULT', claims: ['dispatch.faults'] });
  expect(failure?.message).toContain('3 handles lead to another object than theirs');
});

test('eight implementations and the stand-in share no method, and are met in turn', () => {
  const classes = [...plainObjects(VARIETIES).slice(0, VARIETIES.length), new StandIn()];
  expect(new Set(classes.map((object) => object.shift)).size).toBe(9);
  const objects = plainObjects(VARIETIES.slice(0, 3));
  expect(objects).toHaveLength(OBJECTS);
  expect(objects[4]).toBeInstanceOf(objects[1]?.constructor);
  expect(objects[4]).not.toBeInstanceOf(objects[0]?.constructor);
});

test('warm-ups do not count, and the order of the variants changes', async () => {
  const order: string[] = [];
  const measure = (name: string): (() => number) => {
    return () => order.push(name);
  };
  const samples = await sampleRepeats({ a: measure('a'), b: measure('b') }, { repeats: 2, warmUps: 1 });
  expect(order.join('')).toBe('ababba');
  expect(samples).toEqual({ a: [3, 6], b: [4, 5] });
});
