/**
 * Goal: the ledger under load sees every way in which a swap could wrong a call, and what it says of times is so.
 * Method: an honest ledger, doctored in each way and by seeded chance; invented calls around invented swaps.
 */
import { pick, randomFrom } from '@k42/tooling/random';
import { describe, expect, test } from 'vitest';
import { Audit } from '../src/suites/swap/window.ts';
import { blocksBeyond, latencyOf, throughputAround } from '../src/swap/load/analysis.ts';
import type { LoadResults } from '../src/swap/load/callers.ts';
import { auditPage, emptyPage, ledgerFaults, type Page, sumOfWrongs } from '../src/swap/load/ledger.ts';
import type { CallTimes } from '../src/swap/load/records.ts';
import type { SwapRecord } from '../src/swap/load/swaps.ts';

function honestPage(made: number): Page {
  const page = emptyPage('caller 0');
  for (let call = 0; call < made; call++) {
    page.ran.push(call);
    page.answers.push([call, call]);
  }
  page.made = made;
  page.counted = made;
  return page;
}

describe('a doctored ledger is rejected', () => {
  const NONE = { lost: 0, doubled: 0, reordered: 0, misdirected: 0, failed: 0, miscounted: 0 };
  const doctored = (doctor: (page: Page) => void): Page => {
    const page = honestPage(10);
    doctor(page);
    return page;
  };

  test('an honest one is not', () => {
    expect(auditPage(honestPage(0))).toEqual(NONE);
    expect(auditPage(honestPage(10))).toEqual(NONE);
    // Answers may come in any order.
    expect(auditPage(doctored(({ answers }) => answers.reverse()))).toEqual(NONE);
    expect(ledgerFaults('here', [honestPage(10), honestPage(0)])).toEqual([]);
  });

  test.each<[string, (page: Page) => void, Partial<typeof NONE>]>([
    ['a call that did not run', ({ ran }) => ran.splice(4, 1), { lost: 1 }],
    ['the last call did not run', ({ ran }) => ran.pop(), { lost: 1 }],
    ['a call without an answer', ({ answers }) => answers.splice(4, 1), { lost: 1 }],
    ['a call that ran twice', ({ ran }) => ran.splice(4, 0, 4), { doubled: 1 }],
    ['a call that ran again later', ({ ran }) => ran.push(4), { doubled: 1, reordered: 1 }],
    ['a call answered twice', ({ answers }) => answers.push([4, 4]), { doubled: 1 }],
    ['two calls in the wrong order', ({ ran }) => ran.splice(4, 2, 5, 4), { reordered: 1 }],
    ["another call's answer", ({ answers }) => answers.splice(4, 1, [4, 5]), { misdirected: 1 }],
    ['a call that nobody made', ({ ran }) => ran.push(10), { misdirected: 1 }],
    ['a run on an object that was replaced', (page) => page.misdirected++, { misdirected: 1 }],
    ['state that a swap lost', (page) => (page.counted -= 3), { miscounted: 3 }],
    ['state that a swap took in twice', (page) => (page.counted += 10), { miscounted: 10 }],
    [
      'a call that failed',
      (page) => {
        page.answers.splice(4, 1);
        page.failures.push('Error: no');
      },
      { failed: 1 },
    ],
  ])('%s', (_what, doctor, wrongs) => {
    const page = doctored(doctor);
    expect(auditPage(page)).toEqual({ ...NONE, ...wrongs });
    const [fault, ...more] = ledgerFaults('load', [honestPage(3), page]);
    expect(more).toEqual([]);
    expect(fault).toContain('load, caller 0: of 10 calls');
    for (const what of Object.keys(wrongs)) expect(fault).toContain(what);
  });

  test('whatever is taken away, repeated or exchanged', () => {
    const seed = Number(process.env.K42_SEED ?? Date.now() % 2 ** 31);
    console.log(`K42_SEED=${seed}`);
    const random = randomFrom(seed);
    for (let round = 0; round < 500; round++) {
      const page = honestPage(2 + random(50));
      const at = random(page.made);
      const doctors = [
        () => page.ran.splice(at, 1),
        () => page.ran.splice(at, 0, pick(random, page.ran)),
        () => page.answers.splice(at, 1),
        () => page.answers.push([at, at]),
        () => page.ran.splice(0, page.made, ...page.ran.slice(1), page.ran[0] as number),
        () => page.answers.splice(at, 1, [at, (at + 1) % page.made]),
      ];
      pick(random, doctors)();
      expect(sumOfWrongs(auditPage(page)), `round ${round} of K42_SEED=${seed}`).toBeGreaterThan(0);
    }
  });
});

const times = (calls: readonly (readonly [made: number, ran: number, answered: number])[]): CallTimes => ({
  due: calls.map(([made]) => made - 0.5),
  made: calls.map(([made]) => made),
  ran: calls.map(([, ran]) => ran),
  answered: calls.map(([, , answered]) => answered),
});

const loads = (...callers: CallTimes[]): LoadResults[] =>
  callers.map((caller) => ({
    results: [
      { sync: false, records: [{ page: honestPage(caller.made.length), times: caller }] },
      { sync: true, records: [] },
    ],
    longestTurnMs: 1,
    turns: 1,
    skipped: 0,
  }));

const swapOf = (beganAt: number, endedAt: number): SwapRecord => ({
  beganAt,
  endedAt,
  late: false,
  reportedBlockMs: 0,
  stopMs: 0,
  forwarded: 0,
  queued: 0,
  participants: 2,
});

test('what all windows have seen is added up', () => {
  const audit = new Audit();
  audit.add('first', { swaps: [swapOf(0, 1)], loads: loads(times([[0, 0, 1]])) });
  const bad = loads(times([[0, 0, 1]]), times([[0, 0, 1]]));
  bad[1]?.results[0]?.records[0]?.page.ran.pop();
  audit.add('second', { swaps: [swapOf(0, 1), swapOf(2, 3)], loads: bad });
  expect(audit).toMatchObject({ calls: 3, swaps: 3, wrong: 1, lost: 1 });
  expect(audit.faults).toEqual([expect.stringContaining('second, caller 0: of 1 calls 1 lost')]);
});

describe('times', () => {
  test('a queued call waits beyond the calls that ran when it was made', () => {
    // One call runs from 100 to 107 on the other processor; a call of 102 is queued until 109.
    const other = times([[100, 100, 107]]);
    const own = times([
      [98, 98, 99],
      [102, 109, 110],
      [103, 109.5, 110],
    ]);
    expect(blocksBeyond([swapOf(101, 109)], loads(own, other))).toEqual([2.5]);
    // Without that one, all of the wait counts.
    expect(blocksBeyond([swapOf(101, 109)], loads(own))).toEqual([7]);
    // A call that is itself queued excuses nobody.
    expect(blocksBeyond([swapOf(101, 109)], loads(own, times([[101, 108, 130]])))).toEqual([7]);
    // Calls before and after a swap are not its.
    expect(blocksBeyond([swapOf(90, 97), swapOf(111, 112)], loads(own, other))).toEqual([0, 0]);
  });

  test('a swap with a hundred thousand calls around it is no matter of minutes', () => {
    const calls = Array.from({ length: 100_000 }, (_, call) => [call / 10, 10_001, 10_002] as const);
    const begun = performance.now();
    expect(blocksBeyond([swapOf(0, 10_000)], loads(times(calls)))).toEqual([10_001]);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });

  test('latency counts from when a call was due; without calls there is none', () => {
    const calls = Array.from(
      { length: 100 },
      (_, call) => [call, call, call + 0.5 + (call === 7 ? 9 : 0)] as const,
    );
    const latency = latencyOf(loads(times(calls)), false);
    expect(latency).toMatchObject({ p50: 1, longest: 10 });
    expect(latencyOf(loads(times(calls)), true)).toBeUndefined();
  });

  test('throughput is that of a mean swap, bin by bin', () => {
    const calls = [9, 10.2, 10.4, 12, 20.1, 20.2].map(
      (answered) => [answered - 1, answered - 1, answered] as const,
    );
    const swaps = [swapOf(10, 11), swapOf(20, 21)];
    expect(throughputAround(swaps, loads(times(calls)), { fromMs: -1, binMs: 1, bins: 4 })).toEqual([
      0.5, 2, 0, 0.5,
    ]);
  });
});
