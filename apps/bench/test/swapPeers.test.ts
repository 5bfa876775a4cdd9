/**
 * Goal: the comparison of upgrades answers with every way and every figure, says where others are better, and calls it a fault if a
 * way that should keep its state loses some.
 * Method: all ways on real machines, in sizes that prove nothing about time; then invented trials. That what is lost is seen where
 * it really is lost, the ways that restart workers show.
 */
import { expect, test } from 'vitest';
import { faultsOf, measurePeers, noticedOf, type PeerSizes } from '../src/swap/peers/measure.ts';
import { carryOver, localTable } from '../src/swap/peers/tables.ts';
import { compare, type Trial, WINDOW_MS } from '../src/swap/peers/trial.ts';
import { KEEPS_STATE, NAMES, WAYS } from '../src/swap/peers/ways.ts';

const TINY: PeerSizes = {
  repeats: 1,
  sessions: 2_048,
  timedCalls: { synchronous: 2_000, asynchronous: 20 },
  turnMs: 1,
  callsPerTurn: 4,
  upgrades: 2,
  quietMs: 30,
  seed: 42,
};

test('every way, and every figure a number', async () => {
  const said: string[] = [];
  const { rows, claims, faults } = await measurePeers(TINY, (line) => said.push(line));

  expect(faults).toEqual([]);
  expect(said).toHaveLength(WAYS.length);
  expect(claims.map(({ id }) => id)).toEqual([
    'swap.peers-call-lock',
    'swap.peers-call-front',
    'swap.peers-added',
  ]);
  for (const { statement, value } of claims) {
    expect(Number.isFinite(value)).toBe(true);
    expect(statement).toMatch(/lower is better/);
  }
  const names = rows.map(({ measure, variant }) => `${measure}: ${variant}`);
  expect(new Set(names).size).toBe(names.length);
  for (const { samples } of rows)
    expect(samples.length > 0 && samples.every((sample) => Number.isFinite(sample))).toBe(true);
  const samplesOf = (measure: string, variant: string): readonly number[] =>
    rows.find((row) => row.measure === measure && row.variant === variant)?.samples ?? [];
  for (const way of WAYS) {
    expect(samplesOf('peers the upgrade', NAMES[way])).toHaveLength(TINY.upgrades);
    // Calls went on all the time, and who keeps the state has lost none of them; who does not has.
    const [lost = -1] = samplesOf('peers raises lost in all upgrades', NAMES[way]);
    if (KEEPS_STATE[way]) expect([way, lost]).toEqual([way, 0]);
    else expect(lost).toBeGreaterThan(0);
  }
  expect(rows.filter(({ measure }) => /it wins/.test(measure))).toHaveLength(5);
  expect(structuredClone(rows)).toEqual(JSON.parse(JSON.stringify(rows)));
});

test('counters against results', () => {
  expect(compare([0, 3, 5], [0, 3, 5])).toEqual({ lost: 0, doubled: 0 });
  expect(compare([0, 3, 5], [0, 1, 5])).toEqual({ lost: 2, doubled: 0 });
  // One session's loss is not made good by another.
  expect(compare([0, 3, 5], [1, 1, 8])).toEqual({ lost: 2, doubled: 4 });
});

function trial(changed: Partial<Trial> & { failedMs?: number[] }): Trial {
  const { failedMs = [], ...others } = changed;
  const record = { dueMs: [1], endedMs: [2], failedMs, failure: failedMs.length > 0 ? 'gone' : undefined };
  const bytes = { before: 1, during: 1, after: 1 };
  return { callNs: [1], upgrades: [], record, lost: 0, doubled: 0, bytes, ...others };
}

test('a way that should keep its state and does not is a fault', () => {
  expect(faultsOf('swapped', trial({}))).toEqual([]);
  for (const way of WAYS) {
    const kept = KEEPS_STATE[way];
    expect(faultsOf(way, trial({ lost: 1 }))).toHaveLength(kept ? 1 : 0);
    expect(faultsOf(way, trial({ failedMs: [5] }))).toHaveLength(kept ? 1 : 0);
    // A call that failed may have been made, but nobody made one twice.
    expect(faultsOf(way, trial({ doubled: 1 }))).toHaveLength(1);
    expect(faultsOf(way, trial({ doubled: 1, failedMs: [5] }))).toHaveLength(kept ? 1 : 0);
  }
});

test('a call belongs to the upgrade that was going on at any time of it', () => {
  const upgrades = [
    { begunMs: 100, endedMs: 101 },
    { begunMs: 200, endedMs: 300 },
  ];
  const calls: readonly (readonly [number, number])[] = [
    [10, 11],
    [50, 51],
    [98, 100.5],
    [100 + WINDOW_MS - 1, 100 + WINDOW_MS + 3],
    [100 + WINDOW_MS + 1, 100 + WINDOW_MS + 2],
    [190, 290],
    [299, 350],
    [301, 302],
  ];
  const record = {
    dueMs: calls.map(([due]) => due),
    endedMs: calls.map(([, ended]) => ended),
    failedMs: [250, 400],
    failure: 'gone',
  };
  expect(noticedOf({ upgrades, record })).toEqual({
    quietMs: [1, 1, 1, 1],
    upgrades: [
      { addedMs: [1.5, 3], failed: 0 },
      { addedMs: [99, 50], failed: 1 },
    ],
  });
});

test('an upgrade carries every counter over, in both directions', () => {
  const sessions = 100;
  const first = localTable(1, sessions);
  for (let session = 0; session < sessions; session++)
    for (let count = 0; count < session % 7; count++) expect(first.bump(session)).toBe(count + 1);
  const second = localTable(2, sessions);
  carryOver(first, second);
  expect(second.bump(13)).toBe((13 % 7) + 1);
  const third = localTable(1, sessions);
  carryOver(second, third);
  for (let session = 0; session < sessions; session++)
    expect(third.count(session)).toBe((session % 7) + (session === 13 ? 1 : 0));
});
