/**
 * The same upgrade of one stateful object, done in several ways (`ways.ts`), and what each costs (`trial.ts`).
 *
 * The object is a table of session counters that must be carried over into another layout (`tables.ts`). All ways run in one process
 * one after the other, in an order that changes from repeat to repeat, under the same load. A way that loses state, or fails
 * calls, although it should keep all, is a fault. Where others are better than ours, the table says so, and by how much.
 */
import { quantile } from 'simple-statistics';
import { type Claim, reportedClaim } from '../../cli/document.ts';
import { type Finding, type Row, ratios, row } from '../../measure/finding.ts';
import { rotated } from '../../measure/timing.ts';
import { runTrial, type Trial, type TrialSizes, type Upgrade, WINDOW_MS } from './trial.ts';
import { KEEPS_STATE, NAMES, WAYS, type Way } from './ways.ts';

export interface PeerSizes extends TrialSizes {
  readonly repeats: number;
}

export const QUICK: PeerSizes = {
  repeats: 1,
  sessions: 2 ** 18,
  timedCalls: { synchronous: 200_000, asynchronous: 300 },
  turnMs: 1,
  callsPerTurn: 4,
  upgrades: 3,
  quietMs: 50,
  seed: 42,
};

export const FULL: PeerSizes = {
  ...QUICK,
  repeats: 5,
  sessions: 2 ** 20,
  timedCalls: { synchronous: 2_000_000, asynchronous: 3_000 },
  upgrades: 6,
  quietMs: 150,
};

/** A call is delayed if it takes so much longer than half of the calls in quiet do. */
const DELAYED_MS = 5;

export async function measurePeers(sizes: PeerSizes, say: (line: string) => void): Promise<Finding> {
  const trials = Object.fromEntries(WAYS.map((way): [Way, Trial[]] => [way, []])) as Record<Way, Trial[]>;
  for (let repeat = 0; repeat < sizes.repeats; repeat++)
    for (const way of rotated(WAYS, repeat)) {
      say(`peers: ${NAMES[way]}${sizes.repeats > 1 ? `, repeat ${repeat + 1} of ${sizes.repeats}` : ''}`);
      trials[way].push(await runTrial(way, sizes));
    }
  const found = WAYS.map((way): [Way, Figures] => [way, figuresOf(trials[way])]);
  return {
    rows: [...describe(found), ...standing(found)],
    claims: claims(new Map(found)),
    faults: WAYS.flatMap((way) => trials[way].flatMap((trial) => faultsOf(way, trial))),
  };
}

/** What a trial shows to be wrong, in words. */
export function faultsOf(way: Way, { lost, doubled, record }: Trial): string[] {
  const failed = record.failedMs.length;
  const name = `peers, ${NAMES[way]}`;
  const faults: string[] = [];
  // A call that failed may have been made.
  if (doubled > failed)
    faults.push(`${name}: ${doubled} raises without a result, and ${failed} calls failed`);
  if (KEEPS_STATE[way] && lost > 0) faults.push(`${name}: ${lost} raises lost`);
  if (KEEPS_STATE[way] && failed > 0) faults.push(`${name}: ${failed} calls failed, ${record.failure}`);
  return faults;
}

/** Samples by quantity. */
interface Figures {
  readonly callNs: readonly number[];
  readonly quietP99Ms: readonly number[];
  readonly quietLongestMs: readonly number[];
  readonly p50Ms: readonly number[];
  readonly p99Ms: readonly number[];
  readonly longestMs: readonly number[];
  readonly delayed: readonly number[];
  readonly failed: readonly number[];
  readonly lost: readonly number[];
  readonly upgradeMs: readonly number[];
  readonly duringMib: readonly number[];
  readonly afterMib: readonly number[];
}

/** Latencies: a sample per upgrade. State and memory: one per trial. */
function figuresOf(trials: readonly Trial[]): Figures {
  const noticed = trials.map(noticedOf);
  const quiet = noticed.map((trial) => trial.quietMs);
  const upgrades = noticed.flatMap((trial) => trial.upgrades);
  const MIB = 2 ** 20;
  return {
    callNs: trials.flatMap(({ callNs }) => callNs),
    quietP99Ms: quiet.map((latencies) => at(latencies, 0.99)),
    quietLongestMs: quiet.map((latencies) => at(latencies, 1)),
    p50Ms: upgrades.map(({ addedMs }) => at(addedMs, 0.5)),
    p99Ms: upgrades.map(({ addedMs }) => at(addedMs, 0.99)),
    longestMs: upgrades.map(({ addedMs }) => at(addedMs, 1)),
    delayed: upgrades.map(({ addedMs }) => addedMs.filter((added) => added > DELAYED_MS).length),
    failed: upgrades.map(({ failed }) => failed),
    lost: trials.map(({ lost }) => lost),
    upgradeMs: trials.flatMap((trial) => trial.upgrades.map(({ begunMs, endedMs }) => endedMs - begunMs)),
    duringMib: trials.map(({ bytes }) => (bytes.during - bytes.before) / MIB),
    afterMib: trials.map(({ bytes }) => (bytes.after - bytes.before) / MIB),
  };
}

function at(samples: readonly number[], p: number): number {
  return samples.length === 0 ? 0 : quantile([...samples], p);
}

/** What callers notice of upgrades. */
export interface Noticed {
  /** How long calls in quiet have taken. */
  readonly quietMs: readonly number[];
  readonly upgrades: readonly {
    /** How much longer than half of the calls in quiet calls in this upgrade have taken. */
    readonly addedMs: readonly number[];
    readonly failed: number;
  }[];
}

export function noticedOf({ upgrades, record }: Pick<Trial, 'upgrades' | 'record'>): Noticed {
  const until = ({ begunMs, endedMs }: Upgrade): number => Math.max(endedMs, begunMs + WINDOW_MS);
  const indexOf = (fromMs: number, toMs: number): number =>
    upgrades.findIndex((upgrade) => fromMs <= until(upgrade) && toMs >= upgrade.begunMs);
  const quietMs: number[] = [];
  const inUpgrades: number[][] = upgrades.map(() => []);
  record.dueMs.forEach((dueMs, call) => {
    const endedMs = record.endedMs[call] as number;
    (inUpgrades[indexOf(dueMs, endedMs)] ?? quietMs).push(endedMs - dueMs);
  });
  const usual = at(quietMs, 0.5);
  return {
    quietMs,
    upgrades: inUpgrades.map((latencies, index) => ({
      addedMs: latencies.map((latency) => latency - usual),
      failed: record.failedMs.filter((dueMs) => indexOf(dueMs, dueMs) === index).length,
    })),
  };
}

/** Lower is better for all of them. */
const QUANTITIES: readonly (readonly [keyof Figures, string, string])[] = [
  ['callNs', 'a call and its result', 'ns'],
  ['quietP99Ms', 'latency in quiet, p99', 'ms'],
  ['quietLongestMs', 'latency in quiet, longest', 'ms'],
  ['p50Ms', 'added in an upgrade, p50', 'ms'],
  ['p99Ms', 'added in an upgrade, p99', 'ms'],
  ['longestMs', 'added in an upgrade, longest', 'ms'],
  ['delayed', `calls delayed by over ${DELAYED_MS} ms`, 'calls'],
  ['failed', 'calls failed in an upgrade', 'calls'],
  ['lost', 'raises lost in all upgrades', 'raises'],
  ['upgradeMs', 'the upgrade', 'ms'],
  ['duringMib', 'memory more in an upgrade', 'MiB'],
  ['afterMib', 'memory more afterwards', 'MiB'],
];

function describe(found: readonly (readonly [Way, Figures])[]): Row[] {
  return QUANTITIES.flatMap(([quantity, what, unit]) =>
    found.map(([way, figures]) => row(`peers ${what}`, NAMES[way], unit, figures[quantity])),
  );
}

/** Where in the field ours stands. */
const RANKED: readonly (keyof Figures)[] = ['callNs', 'p99Ms', 'longestMs', 'upgradeMs', 'duringMib'];

/** For each quantity ours less the best of the others, by medians: above 0, that one wins. */
function standing(found: readonly (readonly [Way, Figures])[]): Row[] {
  const ours = found.find(([way]) => way === 'swapped')?.[1];
  if (ours === undefined) return [];
  return QUANTITIES.filter(([quantity]) => RANKED.includes(quantity)).map(([quantity, what, unit]) => {
    const others = found
      .filter(([way]) => way !== 'swapped')
      .map(([way, figures]) => ({ way, median: at(figures[quantity], 0.5) }))
      .sort((one, other) => one.median - other.median);
    const [best] = others as [(typeof others)[number]];
    const difference = at(ours[quantity], 0.5) - best.median;
    const state = KEEPS_STATE[best.way] ? '' : ', which loses the state';
    return row(
      'peers ours less the best other (above 0: it wins)',
      `${what}: ${NAMES[best.way]}${state}`,
      unit,
      [difference],
    );
  });
}

function claims(found: ReadonlyMap<Way, Figures>): Claim[] {
  const figures = (way: Way): Figures => found.get(way) as Figures;
  const ours = figures('swapped');
  const how = '(lower is better; median and spread over samples of two threads calling at once)';
  return [
    reportedClaim(
      'swap.peers-call-lock',
      `A call through a handle over one under a reader-writer lock ${how}`,
      ratios(ours.callNs, figures('locked').callNs),
      'ratio',
    ),
    reportedClaim(
      'swap.peers-call-front',
      `A call through a handle over one through a forwarding front end in the same thread ${how}`,
      ratios(ours.callNs, figures('front').callNs),
      'ratio',
    ),
    reportedClaim(
      'swap.peers-added',
      'The longest that a swap, with the state carried over into another layout, has held up a call of an open load (lower is better; median and spread over upgrades)',
      ours.longestMs,
      'ms',
    ),
  ];
}
