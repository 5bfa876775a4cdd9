/**
 * Callbacks: how many per second, with readers that never pause, and what they take of memory.
 */
import { measuredClaim } from '../../cli/document.ts';
import type { FloodResult } from '../../grace/flood.ts';
import { type GraceProgram, onMachine } from '../../graceMachine.ts';
import { type Finding, row } from '../../measure/finding.ts';
import type { GraceSizes } from './sizes.ts';
import { underReaders } from './synchronize.ts';

const READERS = 8;
const PROCESSORS = [0, 1];
/** Chosen, not derived: 2.7 kB for each of the 100 000 callbacks of the high-water mark, garbage and both threads included. */
const MEMORY_BYTES_MAX = 256 * 2 ** 20;

export async function measureCallbacks(sizes: GraceSizes): Promise<Finding> {
  const single: FloodResult[] = [];
  const both: FloodResult[][] = [];
  const flood = (program: GraceProgram, processor: number): Promise<FloodResult> =>
    program.run(processor, 'flood', [sizes.floodMs]);
  await onMachine(PROCESSORS.length, (program) =>
    underReaders(program, PROCESSORS, READERS, async () => {
      // The first repeat warms up.
      for (let repeat = 0; repeat <= sizes.floods; repeat++) {
        const one = await flood(program, 1);
        const two = await Promise.all(PROCESSORS.map((processor) => flood(program, processor)));
        if (repeat === 0) continue;
        single.push(one);
        both.push(two);
      }
    }),
  );
  const faults = [...single, ...both.flat()]
    .filter((result) => result.faults !== 0)
    .map((result) => `callbacks: ${result.faults} of ${result.callbacks} did not run, or not in their order`);
  return { rows: describe(single, both), claims: claims(single), faults };
}

function describe(single: readonly FloodResult[], both: readonly FloodResult[][]): Finding['rows'] {
  const measure = 'callbacks';
  const of = (what: (result: FloodResult) => number): number[] => single.map(what);
  return [
    row(measure, 'one processor hands them in', 'per s', of(rate)),
    row(
      measure,
      'both do, together',
      'per s',
      both.map((results) => results.reduce((sum, result) => sum + rate(result), 0)),
    ),
    row(
      measure,
      'grace periods',
      'count',
      of((result) => result.gracePeriods),
    ),
    row(
      measure,
      'times that call asked to wait',
      'count',
      of((result) => result.waits),
    ),
    row(
      measure,
      'peak growth of the heap',
      'bytes',
      of((result) => result.heapBytes),
    ),
    row(
      measure,
      'peak growth of resident memory',
      'bytes',
      of((result) => result.residentBytes),
    ),
  ];
}

function claims(single: readonly FloodResult[]): Finding['claims'] {
  const spread = 'median and spread over floods';
  const loop = 'one loop hands them in on one of 2 processors, with readers always running on both';
  const memory = single.map((result) => Math.max(result.heapBytes, result.residentBytes));
  return [
    measuredClaim(
      'grace.callbacks',
      `Callbacks run per second after their grace periods, while ${loop} (higher is better; ${spread})`,
      single.map(rate),
      'per second',
      'at least',
      1e6,
    ),
    measuredClaim(
      'grace.callbacks-grace-periods',
      `Grace periods that these callbacks took (higher is better; ${spread})`,
      single.map((result) => result.gracePeriods),
      'grace periods',
      'at least',
      100,
    ),
    measuredClaim(
      'grace.callbacks-memory',
      'Peak growth of memory meanwhile: of the heap and external memory of the thread that hands them in, or of the resident ' +
        `memory of the process, whichever is greater (lower is better; 256 MiB chosen; ${spread})`,
      memory,
      'bytes',
      'at most',
      MEMORY_BYTES_MAX,
    ),
  ];
}

function rate({ callbacks, seconds }: FloodResult): number {
  return callbacks / seconds;
}
