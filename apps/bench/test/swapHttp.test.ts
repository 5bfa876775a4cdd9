/**
 * Goal: the live HTTP server of the suite `swap` answers with its claims, notices every request that fails and every session that
 * is not what its clients were told, and leaves nothing behind.
 * Method: whole measurements on a real machine with a real load, in sizes that prove nothing about time; the same with sessions
 * changed behind the servers' back, with a death that nobody is told of, and with a port for each processor.
 */
import { connect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { handle } from '@k42/clustered';
import { expect, onTestFinished, test } from 'vitest';
import { judgeRequests } from '../src/swap/http/judge.ts';
import { type HttpSizes, measureHttp } from '../src/swap/http/measure.ts';
import { makeStore, type RoundSeen, runRound, type Store } from '../src/swap/http/round.ts';
import { session } from '../src/swap/http/server.ts';
import { Servers } from '../src/swap/http/servers.ts';

const TINY: HttpSizes = {
  processors: 3,
  rounds: 2,
  connections: 24,
  sharedSessions: 2,
  idleSessions: 50,
  warmUpMs: 20,
  beforeMs: 50,
  swaps: 4,
  betweenMs: 10,
  killIn: 1,
  afterMs: 50,
  seed: 42,
};
const WAIT_MS = 10_000;

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !condition(); await nextTurn())
    if (performance.now() > end) throw new Error(`waited ${WAIT_MS} ms in vain until ${what}`);
}

/** A round, and something that is done in the midst of it. */
async function roundWith(
  meddle: (store: Store, servers: Servers) => Promise<void>,
  options: { reusePort?: boolean } = {},
): Promise<{ seen: RoundSeen; servers: Servers; urls: string[] }> {
  await using servers = await Servers.boot(TINY.processors, options);
  const store = makeStore(TINY);
  const running = runRound(servers, store, TINY, { afterMs: undefined });
  // Awaited below.
  running.catch(() => {});
  await until(
    () => servers.urls.length > 0 && [0, 1, 2].every((index) => handle(store.coid).has(`own-${index}`)),
    'three clients have been served',
  );
  const { urls } = servers;
  await meddle(store, servers);
  return { seen: await running, servers, urls };
}

function faultsIn({ faults, failed, lostState }: RoundSeen): readonly string[] {
  return [...faults, ...failed, ...lostState];
}

test('every claim holds, and every figure is a number', async () => {
  const said: string[] = [];
  const { rows, claims, faults } = await measureHttp(TINY, (line) => said.push(line));

  expect(faults).toEqual([]);
  expect(claims.map(({ id }) => id)).toEqual(['swap.http-failed', 'swap.http-state', 'swap.http-p99']);
  for (const { id, holds, value } of claims)
    expect([id, holds, Number.isFinite(value)]).toEqual([id, true, true]);
  const names = rows.map(({ measure, variant }) => `${measure}: ${variant}`);
  expect(new Set(names).size).toBe(names.length);
  for (const { variant, samples } of rows) {
    const good = samples.length > 0 && samples.every((sample) => Number.isFinite(sample) && sample >= 0);
    expect([variant, good]).toEqual([variant, true]);
  }
  const samplesOf = (variant: string): readonly number[] | undefined =>
    rows.find((row) => row.variant === variant)?.samples;
  // The first worker was busy when it died, and the swap could not end without it.
  expect(samplesOf('under way when the worker was killed')?.[0]).toBe(1);
  expect(samplesOf('all of it')).toHaveLength(TINY.rounds * (TINY.swaps - 1));
  expect(said).toHaveLength(TINY.rounds);
  expect(structuredClone(rows)).toEqual(JSON.parse(JSON.stringify(rows)));
});

test('a session that is set back, dropped or raised behind the clients is a fault', async () => {
  const { seen } = await roundWith(async (store) => {
    const map = handle(store.coid);
    map.set('own-0', session(0));
    map.delete('own-1');
    map.set('own-2', session(1_000_000));
    map.set('idle-7', session(1));
  });
  for (const name of ['own-0', 'own-1', 'own-2'])
    expect(seen.lostState.some((fault) => fault.startsWith(`${name}:`))).toBe(true);
  expect(seen.lostState.filter((fault) => /sessions that nobody used/.test(fault))).toHaveLength(1);
  expect(seen.failed).toEqual([]);
});

test('requests that go with a worker nobody has killed are failed', async () => {
  const { seen, servers } = await roundWith(async () => {});
  expect(faultsIn(seen)).toEqual([]);
  expect(seen.takenAlong).toBeGreaterThan(0);
  // The same record, had nobody killed a worker; or another one, or this one later.
  const [kill] = servers.kills;
  if (kill === undefined) throw new Error('no worker was killed');
  const failedBy = (kills: typeof servers.kills): number =>
    judgeRequests(seen.load, servers.accepted(), kills).failed.length;
  expect(failedBy([kill])).toBe(0);
  expect(failedBy([])).toBe(seen.takenAlong);
  expect(failedBy([{ ...kill, serial: kill.serial + 100 }])).toBeGreaterThan(0);
  expect(failedBy([{ ...kill, atMs: kill.atMs + 5_000 }])).toBe(seen.takenAlong);
});

test('a port for each processor does as well', async () => {
  const { seen, urls } = await roundWith(async () => {}, { reusePort: false });
  expect(urls).toHaveLength(TINY.processors);
  expect(faultsIn(seen)).toEqual([]);
  expect(new Set(seen.load.answers.servers).size).toBeGreaterThanOrEqual(TINY.processors);
});

test('nothing listens afterwards', async () => {
  const { urls } = await roundWith(async () => {});
  expect(urls).toHaveLength(1);
  for (const url of urls) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    const refused = await new Promise((resolve) => {
      socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
      socket.once('connect', () => resolve('connected'));
    });
    expect(refused).toBe('ECONNREFUSED');
  }
});
