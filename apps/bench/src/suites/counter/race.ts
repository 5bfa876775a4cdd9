/**
 * The race: every way of counting, on each number of processors, and what reading costs afterwards.
 *
 * One machine for all of it. Its workers count; the host beside them only says what comes next, and reads after each lap what
 * was counted. Counting by hand, by the shared counter and by the distributed one have workers of their own, so that no V8
 * meets both counters; who has no lap is idle. A repeat runs all ways on one number of processors, then on the next, in an
 * order that changes from repeat to repeat.
 */
import { availableParallelism } from 'node:os';
import type { RemoteModule } from '@k42/rcu';
import { max } from 'simple-statistics';
import { measuredClaim } from '../../cli/document.ts';
import type { LapResult } from '../../counter/lap.ts';
import { type Track, VARIANTS, type Variant } from '../../counter/track.ts';
import { type Finding, type Row, ratios, row } from '../../measure/finding.ts';
import { rotated, sampleEach } from '../../measure/timing.ts';
import { onMachine } from '../../onMachine.ts';
import type { CounterSizes } from './sizes.ts';

type Program = typeof import('../../counter.ts');
type CounterProgram = RemoteModule<Program>;
/** Increments per second, of all processors together: a sample per repeat. */
type Rates = Record<Variant, number[]>;

/** Nanoseconds per reading. */
type ReadingSamples = Record<'shared' | 'distributed' | 'approximate', number[]>;

interface Samples {
  readonly rates: Rates;
  /** Of the processor time that the laps could have had, how much they got: on a machine that others use too, less than 1. */
  readonly shares: number[];
}

const HOST = 0;
const CLAIMED_PROCESSORS = 2;

const NAMES: Record<Variant, string> = {
  bare: 'Atomics.add on one shared word',
  shared: 'shared counter',
  distributed: 'distributed counter',
  ownAtomic: 'Atomics.add on a word per processor',
  ownPlain: 'plain addition to a word per processor',
};

/** Groups of workers, by the way in which they count. */
const GROUPS: Record<Variant, number> = { bare: 0, ownAtomic: 0, ownPlain: 0, shared: 1, distributed: 2 };

export async function measureRace(sizes: CounterSizes): Promise<Finding> {
  const samples = new Map(sizes.processors.map((parties) => [parties, noSamples()]));
  const readings = { shared: [], distributed: [], approximate: [] };
  const faults: string[] = [];
  const groupSize = max([...sizes.processors]);
  const processors = 1 + groupSize * (1 + max(Object.values(GROUPS)));
  await onMachine<Program, void>({ processors, program: 'counter' }, async (program) => {
    const track = await program.run(HOST, 'layTrack', []);
    const race = { program, track, groupSize, lapMs: sizes.lapMs, faults };
    // The first repeat warms up.
    for (const parties of sizes.processors) await sampleLaps(race, parties, noSamples());
    for (let repeat = 0; repeat < sizes.repeats; repeat++)
      for (const [parties, sampled] of rotated([...samples], repeat))
        await sampleLaps(race, parties, sampled);
    await sampleReadings(race, sizes.readings, structuredClone(readings));
    for (let repeat = 0; repeat < sizes.repeats; repeat++)
      await sampleReadings(race, sizes.readings, readings);
  });
  const claimed = samples.get(CLAIMED_PROCESSORS);
  if (claimed === undefined) throw new Error('counter: the claims are about 2 processors');
  const rows = [...samples].flatMap(([parties, sampled]) => describe(parties, sampled));
  return { rows: [...rows, ...describeReadings(readings)], claims: claims(claimed.rates), faults };
}

interface Race {
  readonly program: CounterProgram;
  readonly track: Track;
  /** Workers in each group. */
  readonly groupSize: number;
  readonly lapMs: number;
  readonly faults: string[];
}

function noSamples(): Samples {
  return { rates: { bare: [], shared: [], distributed: [], ownAtomic: [], ownPlain: [] }, shares: [] };
}

async function sampleLaps(race: Race, parties: number, { rates, shares }: Samples): Promise<void> {
  let usedSeconds = 0;
  const lap = async (variant: Variant): Promise<number> => {
    const { results, processorSeconds } = await runLap(race, parties, variant);
    usedSeconds += processorSeconds;
    return results.reduce((sum, { count, seconds }) => sum + count / seconds, 0);
  };
  await sampleEach<Variant>(rates, {
    bare: () => lap('bare'),
    shared: () => lap('shared'),
    distributed: () => lap('distributed'),
    ownAtomic: () => lap('ownAtomic'),
    ownPlain: () => lap('ownPlain'),
  });
  const lapsMs = VARIANTS.length * race.lapMs;
  shares.push((usedSeconds * 1000) / (lapsMs * Math.min(parties, availableParallelism())));
}

/** One lap, checked. */
async function runLap(
  { program, track, groupSize, lapMs: milliseconds, faults }: Race,
  parties: number,
  variant: Variant,
): Promise<{ results: LapResult[]; processorSeconds: number }> {
  const before = await program.run(HOST, 'readTrack', [track]);
  await program.run(HOST, 'closeGate', [track]);
  const first = firstOf(variant, groupSize);
  const used = process.cpuUsage();
  const spec = { variant, parties, milliseconds };
  const results = await Promise.all(
    Array.from({ length: parties }, (_, party) => program.run(first + party, 'runLap', [track, spec])),
  );
  const { user, system } = process.cpuUsage(used);
  const after = await program.run(HOST, 'readTrack', [track]);
  faults.push(...lapFaults(variant, results, before, after));
  return { results, processorSeconds: (user + system) / 1e6 };
}

/** The first worker of the group that counts in a way. */
function firstOf(variant: Variant, groupSize: number): number {
  return 1 + GROUPS[variant] * groupSize;
}

function sampleReadings(
  { program, track, groupSize }: Race,
  readings: number,
  samples: ReadingSamples,
): Promise<void> {
  const [shared, distributed] = [firstOf('shared', groupSize), firstOf('distributed', groupSize)];
  return sampleEach<keyof ReadingSamples>(samples, {
    shared: () => program.run(shared, 'timeValue', [track.shared, readings]),
    distributed: () => program.run(distributed, 'timeValue', [track.distributed, readings]),
    approximate: () => program.run(distributed, 'timeApproximate', [track.distributed, readings]),
  });
}

/** The words by hand have 32 bits and wrap, but not twice within a lap. */
const WORD_RANGE = 2 ** 32;

/** Whether a lap has counted exactly its increments, and in no other way than its own. */
export function lapFaults(
  variant: Variant,
  results: readonly LapResult[],
  before: Readonly<Record<Variant, number>>,
  after: Readonly<Record<Variant, number>>,
): string[] {
  const made = results.reduce((sum, { count }) => sum + count, 0);
  return VARIANTS.flatMap((way) => {
    const expected = way === variant ? made : 0;
    const change = after[way] - before[way];
    const isObject = way === 'shared' || way === 'distributed';
    const counted = isObject || change >= 0 ? change : change + WORD_RANGE;
    if (counted === expected) return [];
    return [`${results.length} processors, ${NAMES[way]}: ${counted} counted of ${expected}`];
  });
}

function describe(parties: number, { rates, shares }: Samples): Row[] {
  const cores = availableParallelism();
  const measure = `processors ${parties}${parties > cores ? ` on ${cores} cores` : ''}`;
  return [
    ...VARIANTS.map((variant) => row(measure, NAMES[variant], 'per s', rates[variant])),
    row(measure, 'distributed over one shared word', 'x', ratios(rates.distributed, rates.bare)),
    row(measure, 'distributed over shared counter', 'x', ratios(rates.distributed, rates.shared)),
    row(measure, 'distributed over plain addition', 'x', ratios(rates.distributed, rates.ownPlain)),
    row(measure, 'share of the processor time there is', 'x', shares),
  ];
}

function describeReadings({ shared, distributed, approximate }: ReadingSamples): Row[] {
  const measure = 'reading';
  return [
    row(measure, 'shared counter', 'ns', shared),
    row(measure, 'distributed counter', 'ns', distributed),
    row(measure, 'distributed counter, approximately', 'ns', approximate),
  ];
}

function claims({ distributed, bare, shared }: Rates): Finding['claims'] {
  const how =
    'on 2 processors, all increments together (ours over theirs, higher is better; median and spread over interleaved repeats)';
  return [
    measuredClaim(
      'counter.distributed-2',
      `Rate of the distributed counter over that of a bare loop of Atomics.add on one shared Int32 word, ${how}`,
      ratios(distributed, bare),
      'ratio',
      'at least',
      5,
    ),
    measuredClaim(
      'counter.over-shared',
      `Rate of the distributed counter over that of the shared counter, ${how}`,
      ratios(distributed, shared),
      'ratio',
      'at least',
      10,
    ),
  ];
}
