/**
 * What callers notice of swaps: latencies with and without, how long calls were queued, throughput around a swap.
 */
import { median, quantile } from 'simple-statistics';
import { type Row, row } from '../../measure/finding.ts';
import { rotated } from '../../measure/timing.ts';
import {
  blocksBeyond,
  type Latency,
  latencyOf,
  type Timeline,
  throughputAround,
} from '../../swap/load/analysis.ts';
import { INTERFACES, type InterfaceName } from '../../swap/load/objects.ts';
import { LOAD } from './sizes.ts';
import type { Stage } from './underLoad.ts';
import { runWindow, type Window } from './window.ts';

/** What the claims are made of: for each kind of window, a list over repeats. */
export interface Probes {
  /** Of each swap. */
  readonly blocks: (readonly number[])[][];
  readonly stops: (readonly number[])[][];
  readonly added: number[][];
}

/** A row whose samples follow one another in time. */
interface SeriesRow extends Row {
  readonly series: Timeline;
}

export const MAX_PAUSE_MS = 20;
export const DEADLINE_MS = 10_000;
const BINS = { fromMs: -5, binMs: 0.5, bins: 40 } as const;

interface Kind {
  readonly name: InterfaceName;
  readonly callMs: number;
}

interface Repeat {
  readonly swapping: Window;
  readonly control: Window;
}

export async function measureLatencies(
  stage: Stage,
): Promise<{ readonly rows: Row[]; readonly probes: Probes }> {
  const { sizes } = stage;
  const kinds = INTERFACES.flatMap((name) => sizes.callsMs.map((callMs) => ({ name, callMs })));
  const repeats = new Map<Kind, Repeat[]>(kinds.map((kind) => [kind, []]));
  // The first repeat warms up.
  for (let repeat = 0; repeat <= sizes.loadRepeats; repeat++) {
    stage.say(
      repeat === 0 ? '  under load: warming up' : `  under load: repeat ${repeat} of ${sizes.loadRepeats}`,
    );
    for (const kind of rotated(kinds, repeat)) {
      const sampled = await sampleKind(stage, kind, repeat);
      if (repeat !== 0) repeats.get(kind)?.push(sampled);
    }
  }
  const probes: Probes = { blocks: [], stops: [], added: [] };
  const rows = [...repeats].flatMap(([kind, sampled]) => describe(kind, sampled, probes));
  return { rows, probes };
}

/** Both windows, in an order that changes from repeat to repeat. */
async function sampleKind(stage: Stage, kind: Kind, repeat: number): Promise<Repeat> {
  const windows: { swapping?: Window; control?: Window } = {};
  for (const which of rotated(['swapping', 'control'] as const, repeat))
    windows[which] = await sampleWindow(stage, kind, which === 'swapping');
  return windows as Repeat;
}

function sampleWindow(
  { program, sizes, audit }: Stage,
  { name, callMs }: Kind,
  swapping: boolean,
): Promise<Window> {
  const load = { ...LOAD, asyncMs: callMs, syncCallers: name === 'mixed' ? LOAD.syncCallers : 0 };
  return runWindow(
    program,
    {
      name: `${titleOf({ name, callMs })}, ${swapping ? 'with swaps' : 'without'}`,
      object: { interface: name, transfer: 'reference' },
      loads: [load, load],
      ballastBytes: 0,
      swaps: {
        count: sizes.swaps,
        pauseMs: sizes.pauseMs,
        budgetMs: sizes.windowBudgetMs,
        maxPauseMs: MAX_PAUSE_MS,
        deadlineMs: DEADLINE_MS,
      },
      swapping,
    },
    audit,
  );
}

function titleOf({ name, callMs }: Kind): string {
  return `load ${name}, calls of ${callMs === 0 ? 'one turn' : `${callMs} ms`}`;
}

function describe(kind: Kind, repeats: readonly Repeat[], probes: Probes): Row[] {
  const measure = titleOf(kind);
  const blocks = repeats.map(({ swapping }) => blocksBeyond(swapping.swaps, swapping.loads));
  const stops = repeats.map(({ swapping }) => swapping.swaps.map(({ stopMs }) => stopMs));
  probes.blocks.push(blocks);
  probes.stops.push(stops);
  const each = (of: (window: Window) => number): number[] => repeats.map(({ swapping }) => of(swapping));
  const swapMs = ({ swaps }: Window): number[] => swaps.map(({ beganAt, endedAt }) => endedAt - beganAt);
  const over = (values: readonly (readonly number[])[], q: number): number[] =>
    values.map((list) => quantile([...list], q));
  return [
    row(
      measure,
      'swap, p50',
      'ms',
      each((window) => median(swapMs(window))),
    ),
    row(
      measure,
      'swap, longest',
      'ms',
      each((window) => quantile(swapMs(window), 1)),
    ),
    row(measure, 'queued beyond calls in flight, p50', 'ms', over(blocks, 0.5)),
    row(measure, 'queued beyond calls in flight, p99', 'ms', over(blocks, 0.99)),
    row(
      measure,
      'longest block as reported, p99',
      'ms',
      each(({ swaps }) =>
        quantile(
          swaps.map(({ reportedBlockMs }) => reportedBlockMs),
          0.99,
        ),
      ),
    ),
    row(measure, 'stop of a processor, p50', 'ms', over(stops, 0.5)),
    row(measure, 'stop of a processor, p99', 'ms', over(stops, 0.99)),
    row(
      measure,
      'calls forwarded or queued per swap',
      'calls',
      each(
        ({ swaps }) =>
          swaps.reduce((sum, { forwarded, queued }) => sum + forwarded + queued, 0) / swaps.length,
      ),
    ),
    row(
      measure,
      'ended by the deadline',
      'swaps',
      each(({ swaps }) => swaps.filter(({ late }) => late).length),
    ),
    row(measure, 'calls due and not made, with swaps', 'calls', each(skippedCalls)),
    row(measure, 'longest turn, with swaps', 'ms', each(longestTurn)),
    row(
      measure,
      'longest turn, without',
      'ms',
      repeats.map(({ control }) => longestTurn(control)),
    ),
    ...latencyRows(measure, repeats, probes, false),
    ...(kind.name === 'mixed' ? latencyRows(measure, repeats, probes, true) : []),
    timelineOf(measure, repeats),
  ];
}

function skippedCalls({ loads }: Window): number {
  return loads.reduce((sum, { skipped }) => sum + skipped, 0);
}

function longestTurn({ loads }: Window): number {
  return Math.max(...loads.map(({ longestTurnMs }) => longestTurnMs));
}

function latencyRows(measure: string, repeats: readonly Repeat[], probes: Probes, sync: boolean): Row[] {
  const [withSwaps, without] = (['swapping', 'control'] as const).map((which) =>
    repeats.map((repeat) => latencyOf(repeat[which].loads, sync) as Latency),
  ) as [Latency[], Latency[]];
  const calls = sync ? 'synchronous calls' : 'asynchronous calls';
  const rows = (['p50', 'p99', 'longest'] as const).flatMap((figure) => {
    const [theirs, ours] = [without, withSwaps].map((list) => list.map((latency) => latency[figure])) as [
      number[],
      number[],
    ];
    const added = ours.map((value, repeat) => value - (theirs[repeat] as number));
    if (figure === 'p99') probes.added.push(added);
    return [
      row(measure, `${calls}, latency ${figure}, without swaps`, 'ms', theirs),
      row(measure, `${calls}, latency ${figure}, with`, 'ms', ours),
      row(measure, `${calls}, latency ${figure}, added`, 'ms', added),
    ];
  });
  return rows;
}

/** Throughput around a swap, in bins; mean over all swaps. */
function timelineOf(measure: string, repeats: readonly Repeat[]): SeriesRow {
  const lines = repeats.map(({ swapping: { swaps, loads } }) => throughputAround(swaps, loads, BINS));
  const mean = Array.from(
    { length: BINS.bins },
    (_, bin) => lines.reduce((sum, line) => sum + (line[bin] as number), 0) / lines.length,
  );
  const lengths = repeats.flatMap(({ swapping }) =>
    swapping.swaps.map(({ beganAt, endedAt }) => endedAt - beganAt),
  );
  return {
    ...row(measure, 'calls answered around a swap', 'per ms', mean),
    series: { fromMs: BINS.fromMs, binMs: BINS.binMs, swapMs: median(lengths) },
  };
}
