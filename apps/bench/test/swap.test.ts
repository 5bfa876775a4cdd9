/**
 * Goal: the suite `swap` answers with every claim, in figures that can be, and fails where a swap loses, doubles or misdirects
 * a call, or state.
 * Method: its measurements on real machines and in real processes, with sizes that prove nothing about time; then invented
 * findings. The ledger has tests of its own, and so have the parts that have a folder of their own.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BenchOptionError } from '../src/errors.ts';
import type { row } from '../src/measure/finding.ts';
import { judgeNormalCalls } from '../src/suites/swap/normalCall.ts';
import { QUICK, type SwapSizes } from '../src/suites/swap/sizes.ts';
import { maxPauseFor } from '../src/suites/swap/turns.ts';
import { partsNamed, runSwap, swapSuite } from '../src/suites/swap.ts';
import type { NormalCallResult } from '../src/swap/normal/calls.ts';
import { silentContext } from './support.ts';

const TINY: SwapSizes = {
  implementations: [2, 3],
  processes: 1,
  repeats: 2,
  calls: 10_000,
  idleRepeats: 2,
  idleSwaps: 5,
  roundTrips: 10,
  loadRepeats: 2,
  swaps: 4,
  pauseMs: 1,
  windowBudgetMs: 60_000,
  callsMs: [0, 2],
  stateBytes: [1024, 65_536],
  stateSwaps: 2,
  turnsMs: [1, 3],
  turnSwaps: 2,
  // Tested where they are.
  peers: QUICK.peers,
  http: QUICK.http,
};

const OWN = ['normal-call', 'idle', 'load'];

test('every claim, and every figure a number', { timeout: 120_000 }, async () => {
  const context = silentContext();
  const { document, text, failure } = await runSwap(TINY, context, OWN.flatMap(partsNamed));

  expect(failure).toBeUndefined();
  expect(document.claims.map((claim) => claim.id)).toEqual([
    'swap.faults',
    'swap.normal-call',
    'swap.normal-call-direct',
    'swap.idle-1',
    'swap.idle-2',
    'swap.block-p99',
    'swap.stop-p99',
    'swap.added-p99',
    'swap.lost',
  ]);
  for (const { id, value, target, spread, statement, direction } of document.claims) {
    const good = Number.isFinite(value) && (direction === 'reported' || Number.isFinite(target));
    expect([id, good]).toEqual([id, true]);
    if (spread === null) continue;
    expect(statement).toMatch(/(lower|higher) is better/);
    expect(spread.min).toBeLessThanOrEqual(spread.median);
    expect(spread.median).toBeLessThanOrEqual(spread.max);
  }
  const lost = document.claims.find(({ id }) => id === 'swap.lost');
  // Four kinds of windows thrice, two sizes in two ways, two lengths of turns for two interfaces.
  expect(lost?.statement).toContain(
    `in ${4 * 3 * TINY.swaps + 4 * TINY.stateSwaps + 4 * TINY.turnSwaps} swaps`,
  );
  const rows = document.runs as ReturnType<typeof row>[];
  for (const { measure, variant, samples } of rows) {
    const good = samples.length > 0 && samples.every(Number.isFinite);
    expect([measure, variant, good]).toEqual([measure, variant, true]);
  }
  const names = rows.map(({ measure, variant }) => `${measure}: ${variant}`);
  expect(new Set(names).size).toBe(names.length);
  for (const name of [
    'normal-call 2: plain object',
    'normal-call 3: handle, after the swaps',
    'idle 1: null swap',
    'idle 2: postMessage round trip',
    'load async, calls of one turn: queued beyond',
    'load mixed, calls of 2 ms: synchronous calls, latency p99, added',
    'load mixed, calls of one turn: calls answered around a swap',
    'state of 64 KiB by value: swap',
    'state growth: swap by reference, 64 KiB over 1 KiB',
    "other's turns of 3 ms, mixed: ended by the deadline",
  ])
    expect(names.filter((known) => known.startsWith(name))).not.toEqual([]);
  const series = rows.filter((each) => 'series' in each);
  expect(series).toHaveLength(4);
  for (const { samples } of series) expect(samples.reduce((sum, rate) => sum + rate, 0)).toBeGreaterThan(0);
  expect(structuredClone(document)).toEqual(JSON.parse(JSON.stringify(document)));
  for (const { id } of document.claims) expect(text).toContain(id);
  for (const part of ['normal calls after swaps', 'null swaps on idle processors', 'swaps under load'])
    expect(context.said).toContain(part);
});

describe('options', () => {
  test('one part by name', () => {
    expect(partsNamed('idle').map(({ name }) => name)).toEqual(['idle']);
    expect(partsNamed(undefined).map(({ name }) => name)).toEqual([...OWN, 'peers', 'http']);
  });

  test.each(['', 'idle,load', 'Idle', true])('--only %j is refused, and what there is is said', (name) => {
    expect(() => partsNamed(name)).toThrow(BenchOptionError);
    expect(() => partsNamed(name)).toThrow(
      /--only: there is no part '.*'; there are: normal-call, idle, load, /,
    );
    expect(() => swapSuite.run({ ...silentContext(), options: { only: name } })).toThrow(BenchOptionError);
  });

  test('the program refuses it before anything is measured', () => {
    const main = join(import.meta.dirname, '../src/main.ts');
    const argv = ['--conditions=@k42/source', main, 'swap', '--json', '--only', 'nothing'];
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^bench: K42_BENCH_OPTION: --only: there is no part 'nothing'/);
  });

  test('a pause is longer than the turns that it has to meet', () => {
    expect([1, 5, 10, 50].map(maxPauseFor)).toEqual([20, 20, 20, 100]);
  });
});

describe('invented processes', () => {
  const result = (swapped: number, changed: Partial<NormalCallResult> = {}): NormalCallResult => ({
    samples: { swapped: [swapped, swapped, 99], still: [2, 2, 1], direct: [1, 1, 1], forwarder: [4, 4, 4] },
    swaps: 256,
    forwarded: 256,
    strays: 0,
    ...changed,
  });

  test('the claim is the worst number of implementations, the median of its processes', () => {
    const { claims, faults } = judgeNormalCalls(
      new Map([
        [2, [result(2), result(2.1), result(8)]],
        [8, [result(2.4), result(2.4), result(2)]],
      ]),
    );
    expect(faults).toEqual([]);
    expect(claims).toMatchObject([
      { id: 'swap.normal-call', value: 1.2, holds: false, spread: { min: 1, max: 1.2, samples: 3 } },
      { id: 'swap.normal-call-direct', value: 2.4, target: null, holds: true },
    ]);
  });

  test('lost state, and sites that met no mediator, are faults', () => {
    const judge = (changed: Partial<NormalCallResult>): readonly string[] =>
      judgeNormalCalls(new Map([[2, [result(2, changed)]]])).faults;
    expect(judge({ strays: 3 })).toEqual([expect.stringContaining('3 objects have lost')]);
    expect(judge({ forwarded: 0 })).toEqual([expect.stringContaining('no mediator')]);
  });
});
