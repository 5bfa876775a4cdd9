/**
 * A live HTTP server whose session store is upgraded under load, to and fro, and that loses a worker in the midst of it.
 *
 * Every processor serves (`server.ts`), the load is made by another process (`load.ts`), and the store is the shipped byte map,
 * swapped from the shared to the distributed implementation and back by reference. All of it several times (`round.ts`), with
 * another kind of death every other time. Latencies are taken by the client, from request to answer, and sorted by what happened
 * meanwhile.
 */
import { quantile } from 'simple-statistics';
import { type Claim, exactClaim, reportedClaim } from '../../cli/document.ts';
import { type Finding, type Row, ratios, row } from '../../measure/finding.ts';
import { Random } from '../../postmark/random.ts';
import { makeStore, type RoundSeen, type RoundSizes, runRound } from './round.ts';
import { Servers } from './servers.ts';

export interface HttpSizes extends RoundSizes {
  /** Processors that serve, that of the calling thread among them. At least 2. */
  readonly processors: number;
  readonly rounds: number;
  /** Of the moments at which workers are killed. */
  readonly seed: number;
}

export const QUICK: HttpSizes = {
  processors: 3,
  rounds: 2,
  connections: 24,
  sharedSessions: 4,
  idleSessions: 2_000,
  warmUpMs: 150,
  beforeMs: 350,
  swaps: 6,
  betweenMs: 40,
  killIn: 3,
  afterMs: 350,
  seed: 42,
};

export const FULL: HttpSizes = {
  ...QUICK,
  rounds: 6,
  idleSessions: 20_000,
  warmUpMs: 500,
  beforeMs: 1_500,
  swaps: 20,
  betweenMs: 100,
  killIn: 10,
  afterMs: 1_500,
};

/** A kill at random comes at most so many microseconds after the beginning of its swap. */
const RANDOM_KILL_US = 4_000;

export async function measureHttp(sizes: HttpSizes, say: (line: string) => void): Promise<Finding> {
  await using servers = await Servers.boot(sizes.processors);
  if (!servers.reusePort) say('http: sockets cannot share a port here, every processor has one of its own');
  const store = makeStore(sizes);
  const random = new Random(sizes.seed);
  const rounds: RoundSeen[] = [];
  for (let index = 0; index < sizes.rounds; index++) {
    const afterMs = index % 2 === 0 ? undefined : random.below(RANDOM_KILL_US) / 1_000;
    const when = afterMs === undefined ? 'in a long turn' : `${afterMs} ms into a swap`;
    say(`http: round ${index + 1} of ${sizes.rounds}, a worker is killed ${when}`);
    rounds.push(await runRound(servers, store, sizes, { afterMs }));
  }
  const found = rounds.map(latencies);
  return {
    rows: [...describeLatency(found), ...describeSwaps(rounds), ...describeLoad(rounds, servers.reusePort)],
    claims: claims(rounds, found),
    faults: rounds.flatMap((round, index) =>
      [...round.faults, ...round.failed, ...round.lostState].map(
        (fault) => `http, round ${index + 1}: ${fault}`,
      ),
    ),
  };
}

const PERIODS = ['before', 'during a swap', 'as a worker dies in a swap', 'between swaps', 'after'] as const;
type Period = (typeof PERIODS)[number];
type Latencies = Readonly<Record<Period, readonly number[]>>;

/** Milliseconds from request to answer, by what happened at any time of it, or else when it began. */
export function latencies({ beginsMs, swaps, load: { answers } }: RoundSeen): Latencies {
  const found: Record<Period, number[]> = {
    before: [],
    'during a swap': [],
    'as a worker dies in a swap': [],
    'between swaps': [],
    after: [],
  };
  const first = swaps[0]?.begunMs ?? Number.POSITIVE_INFINITY;
  const last = swaps.at(-1)?.endedMs ?? Number.POSITIVE_INFINITY;
  answers.begunMs.forEach((begun, index) => {
    const ended = answers.endedMs[index] as number;
    if (begun < beginsMs) return;
    const met = swaps.filter((seen) => begun <= seen.endedMs && ended >= seen.begunMs);
    let period: Period = begun < first ? 'before' : begun > last ? 'after' : 'between swaps';
    if (met.length > 0)
      period = met.some(({ inKill }) => inKill) ? 'as a worker dies in a swap' : 'during a swap';
    found[period].push(ended - begun);
  });
  return found;
}

/** A sample per round in which there was any such request. */
function quantiles(found: readonly Latencies[], period: Period, p: number): number[] {
  return found.map((round) => round[period]).flatMap((of) => (of.length === 0 ? [] : [quantile([...of], p)]));
}

/** Rows without samples have nothing to say. */
function rowsOf(measure: string, rows: readonly (readonly [string, string, readonly number[]])[]): Row[] {
  return rows.flatMap(([variant, unit, samples]) =>
    samples.length === 0 ? [] : [row(measure, variant, unit, samples)],
  );
}

function describeLatency(found: readonly Latencies[]): Row[] {
  return PERIODS.flatMap((period) =>
    rowsOf('http latency', [
      [`${period}, p50`, 'ms', quantiles(found, period, 0.5)],
      [`${period}, p99`, 'ms', quantiles(found, period, 0.99)],
      [`${period}, longest`, 'ms', quantiles(found, period, 1)],
      [`${period}, requests`, 'requests', found.map((round) => round[period].length)],
    ]),
  );
}

function describeSwaps(rounds: readonly RoundSeen[]): Row[] {
  const swaps = rounds.flatMap((round) => round.swaps);
  const reports = swaps.flatMap(({ inKill, report }) => (inKill || report === undefined ? [] : [report]));
  const kills = swaps.filter(({ inKill }) => inKill);
  return rowsOf('http swap', [
    ['all of it', 'ms', reports.map(({ milliseconds }) => milliseconds)],
    ['longest stop of a processor', 'ms', reports.map(({ longestStopMs }) => longestStopMs)],
    ['calls forwarded', 'calls', reports.map(({ forwarded }) => forwarded)],
    ['all of it, a worker dying in it', 'ms', kills.map(({ begunMs, endedMs }) => endedMs - begunMs)],
    ['completed although a worker died in it', 'yes or no', kills.map(({ report }) => (report ? 1 : 0))],
    ['under way when the worker was killed', 'yes or no', kills.map(({ underWay }) => (underWay ? 1 : 0))],
  ]);
}

function describeLoad(rounds: readonly RoundSeen[], reusePort: boolean): Row[] {
  const loads = rounds.map(({ load }) => load);
  return rowsOf('http requests', [
    ['answered', 'per s', loads.map(({ answers }) => rateOf(answers))],
    ['answered by the busiest server', 'share', loads.map(({ answers }) => shareOfBusiest(answers.servers))],
    ['in flight on a worker when it was killed', 'requests', rounds.map(({ takenAlong }) => takenAlong)],
    [
      'cut off by the end of the load',
      'requests',
      loads.map(({ lost }) => lost.filter(({ reason }) => reason === 'end').length),
    ],
    [
      'failed, as the load generator counts them',
      'requests',
      loads.map(({ autocannon }) => autocannon.errors),
    ],
    ['served on one port by all processors', 'yes or no', [reusePort ? 1 : 0]],
  ]);
}

function rateOf({ begunMs, endedMs }: RoundSeen['load']['answers']): number {
  const seconds = ((endedMs.at(-1) ?? 0) - (begunMs[0] ?? 0)) / 1_000;
  return seconds > 0 ? endedMs.length / seconds : 0;
}

function shareOfBusiest(servers: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const server of servers) counts.set(server, (counts.get(server) ?? 0) + 1);
  return Math.max(0, ...counts.values()) / Math.max(1, servers.length);
}

function claims(rounds: readonly RoundSeen[], found: readonly Latencies[]): Claim[] {
  const swaps = rounds.flatMap((round) => round.swaps);
  const done = swaps.filter(({ report }) => report !== undefined).length;
  const answered = rounds.reduce((sum, { load }) => sum + load.answers.counts.length, 0);
  const under =
    `of ${answered} and more to servers on all processors, whose session store was swapped ${done} times meanwhile, ` +
    `${rounds.length} of these with a worker killed in the midst`;
  const failed = rounds.flatMap((round) => round.failed).length;
  const lostState = rounds.flatMap((round) => round.lostState).length;
  const both = found.filter((round) => round.before.length > 0 && round['during a swap'].length > 0);
  if (both.length === 0) throw new Error('swap: no request was answered before a swap, or during one');
  return [
    exactClaim(
      'swap.http-failed',
      `HTTP requests that failed, ${under}; but for those on the killed workers' own connections (must be none; nothing varies)`,
      failed,
      'requests',
      0,
    ),
    exactClaim(
      'swap.http-state',
      'Counters of sessions that are at the end not what the clients were told, in the same runs (must be none; nothing varies)',
      lostState,
      'sessions',
      0,
    ),
    reportedClaim(
      'swap.http-p99',
      'HTTP latency, p99 of requests during a swap over p99 of requests before the first (lower is better; median and spread over rounds)',
      ratios(quantiles(both, 'during a swap', 0.99), quantiles(both, 'before', 0.99)),
      'ratio',
    ),
  ];
}
