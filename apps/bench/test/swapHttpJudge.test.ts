/**
 * Goal: whoever judges the record of an HTTP load blames a killed worker for its own connections and for nothing else, and sees
 * every counter that was lost, doubled or raised by nobody.
 * Method: invented records.
 */
import { expect, test } from 'vitest';
import { type Accepted, judgeRequests, type Killed, sessionFaults } from '../src/swap/http/judge.ts';
import type { LoadSeen, Lost } from '../src/swap/http/load.ts';
import { latencies } from '../src/swap/http/measure.ts';

const KILLED: Killed = { serial: 2, port: 80, sharesPort: true, atMs: 1_000 };
const ACCEPTED: readonly Accepted[] = [
  { serial: 0, port: 500, atMs: 10 },
  { serial: 2, port: 502, atMs: 11 },
  // Used by the killed one first, and by another after it.
  { serial: 2, port: 503, atMs: 12 },
  { serial: 0, port: 503, atMs: 1_050 },
];

function lost(changed: Partial<Lost>): Lost {
  const usual = { session: 'own-1', port: 502, serverPort: 80, begunMs: 999, endedMs: 1_001 };
  return { ...usual, reason: 'ECONNRESET', ...changed };
}

function blamed(request: Lost, killed: Killed = KILLED): 'the kill' | 'us' | 'nobody' {
  const { failed, takenAlong } = judgeRequests({ refusals: [], lost: [request] }, ACCEPTED, [killed]);
  expect(failed.length + takenAlong).toBeLessThanOrEqual(1);
  return failed.length > 0 ? 'us' : takenAlong > 0 ? 'the kill' : 'nobody';
}

test('a killed worker is blamed for its own connections only', () => {
  expect(blamed(lost({}))).toBe('the kill');
  expect(blamed(lost({ reason: 'closed' }))).toBe('the kill');
  expect(blamed(lost({ port: 500 }))).toBe('us');
  expect(blamed(lost({ port: 500, reason: 'timeout' }))).toBe('us');
  // Before it died, or long after.
  expect(blamed(lost({ begunMs: 980, endedMs: 990 }))).toBe('us');
  expect(blamed(lost({ begunMs: 2_500, endedMs: 2_501 }))).toBe('us');
  // In the queue of a socket that nobody emptied.
  expect(blamed(lost({ port: 777, begunMs: 1_001, endedMs: 1_002 }))).toBe('the kill');
  expect(blamed(lost({ port: 503 }))).toBe('the kill');
  expect(blamed(lost({ port: 503, begunMs: 1_060, endedMs: 1_070 }))).toBe('us');
  expect(blamed(lost({ reason: 'end' }))).toBe('nobody');
});

test('a refused connection is excused only where the port was the killed server’s alone', () => {
  const refused = lost({ port: 0, reason: 'ECONNREFUSED' });
  expect(blamed(refused)).toBe('us');
  expect(blamed(refused, { ...KILLED, sharesPort: false })).toBe('the kill');
  expect(blamed({ ...refused, serverPort: 81 }, { ...KILLED, sharesPort: false })).toBe('us');
});

test('an answer that says no is a failure, unless a dying worker has given it', () => {
  const refusal = {
    session: 'own-1',
    answered: 'own-1',
    server: 0,
    status: 500,
    error: 'no',
    endedMs: 1_001,
  };
  const failed = (changed: object): number =>
    judgeRequests({ refusals: [{ ...refusal, ...changed }], lost: [] }, ACCEPTED, [KILLED]).failed.length;
  expect(failed({})).toBe(1);
  expect(failed({ status: 200, answered: 'own-2' })).toBe(1);
  expect(failed({ server: 2, endedMs: 999 })).toBe(1);
  expect(failed({ server: 2 })).toBe(0);
});

function faultsOf(counts: readonly number[], stored: number, unanswered = 0, session = 'own-1'): string[] {
  const answers: LoadSeen['answers'] = {
    sessions: counts.map(() => session),
    counts: [...counts],
    servers: counts.map(() => 0),
    begunMs: counts.map((_count, index) => index),
    endedMs: counts.map((_count, index) => index + 1),
  };
  const open = Array.from({ length: unanswered }, () => lost({ session }));
  return sessionFaults({ answers, refusals: [], lost: open }, new Map([[session, stored]]));
}

test('the store must hold what the answers say, and what may have been done without one', () => {
  expect(faultsOf([1, 2, 3], 3)).toEqual([]);
  expect(faultsOf([1, 2, 4], 4, 1)).toEqual([]);
  expect(faultsOf([1, 2, 3], 4, 1)).toEqual([]);
  // Not done at all.
  expect(faultsOf([1, 2, 3], 3, 1)).toEqual([]);
  expect(faultsOf([2, 1, 3], 3, 0, 'shared-0')).toEqual([]);

  expect(faultsOf([1, 2, 3], 2)).not.toEqual([]);
  expect(faultsOf([1, 2, 3], 0)).not.toEqual([]);
  expect(faultsOf([1, 2, 2], 2)).not.toEqual([]);
  expect(faultsOf([1, 2, 1, 2], 4)).not.toEqual([]);
  expect(faultsOf([1, 2, 3], 4)).not.toEqual([]);
  expect(faultsOf([1, 2, 4], 4)).not.toEqual([]);
  expect(faultsOf([1, 2, 3], 5, 1)).not.toEqual([]);
  expect(faultsOf([2, 1, 3], 3)).not.toEqual([]);
  expect(faultsOf([], 1)).not.toEqual([]);
  expect(faultsOf([1, 2, Number.NaN], 3, 0)).not.toEqual([]);
});

test('a session that the store does not know is lost', () => {
  const answers = { sessions: ['own-1'], counts: [1], servers: [0], begunMs: [0], endedMs: [1] };
  expect(sessionFaults({ answers, refusals: [], lost: [] }, new Map())).toHaveLength(1);
});

test('latencies are sorted by what happened meanwhile', () => {
  const requests: readonly (readonly [number, number])[] = [
    [1, 2],
    [12, 13],
    [19, 21],
    [20, 40],
    [27, 28],
    [31, 32],
    [38, 39],
    [51, 53],
  ];
  const answers = {
    ...{ sessions: [], counts: [], servers: [] },
    begunMs: requests.map(([begun]) => begun),
    endedMs: requests.map(([, ended]) => ended),
  };
  const swaps = [
    { begunMs: 20, endedMs: 25 },
    { begunMs: 30, endedMs: 35, inKill: true },
    { begunMs: 45, endedMs: 50 },
  ];
  const load = { answers, refusals: [], lost: [], autocannon: { answered: 0, errors: 0, timeouts: 0 } };
  expect(
    latencies({ beginsMs: 10, swaps, load, takenAlong: 0, failed: [], lostState: [], faults: [] }),
  ).toEqual({
    before: [1],
    'during a swap': [2],
    'as a worker dies in a swap': [20, 1],
    'between swaps': [1, 1],
    after: [2],
  });
});
