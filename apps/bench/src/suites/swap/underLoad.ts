/**
 * Swaps under load on two processors: what callers notice, how long processors stop, and whether any call goes astray.
 *
 * Windows with swaps and windows without are interleaved, under the same load. Then the same with more and more state, and
 * with another processor whose turns are longer and longer. All windows run on one machine and are audited alike.
 */
import { quantile } from 'simple-statistics';
import { exactClaim, measuredClaim, reportedClaim } from '../../cli/document.ts';
import type { Finding } from '../../measure/finding.ts';
import { onMachine } from '../../onMachine.ts';
import { measureLatencies, type Probes } from './latencies.ts';
import type { SwapSizes } from './sizes.ts';
import { measureStates } from './states.ts';
import { measureTurns } from './turns.ts';
import { Audit, type SwapProgram } from './window.ts';

type Program = typeof import('../../swap.ts');

/** What every part of this measurement gets. */
export interface Stage {
  readonly program: SwapProgram;
  readonly sizes: SwapSizes;
  readonly audit: Audit;
  readonly say: (line: string) => void;
}

interface Seen {
  readonly rows: Finding['rows'];
  readonly probes: Probes;
}

export async function measureUnderLoad(sizes: SwapSizes, say: (line: string) => void): Promise<Finding> {
  const audit = new Audit();
  const { rows, probes } = await onTwo(async (program) => {
    const stage = { program, sizes, audit, say };
    const latencies = await measureLatencies(stage);
    const others = [...(await measureStates(stage)), ...(await measureTurns(stage))];
    return { rows: [...latencies.rows, ...others], probes: latencies.probes };
  });
  return { rows, claims: claims(probes, sizes, audit), faults: audit.faults };
}

/** A machine of two processors. @throws what `use` throws, also where the machine cannot be closed after that */
async function onTwo(use: (program: SwapProgram) => Promise<Seen>): Promise<Seen> {
  try {
    return await onMachine<Program, Seen>({ processors: 2, program: 'swap' }, use);
  } catch (error) {
    throw error instanceof SuppressedError ? error.suppressed : error;
  }
}

function claims({ blocks, stops, added }: Probes, sizes: SwapSizes, audit: Audit): Finding['claims'] {
  const p99 = (lists: readonly (readonly number[])[]): number[] =>
    lists.map((values) => quantile([...values], 0.99));
  const load =
    `under load on two processors, interfaces with and without synchronous methods, calls of ${sizes.callsMs.join(', ')} ms ` +
    `(0: one turn), ${sizes.swaps} swaps in a window`;
  return [
    measuredClaim(
      'swap.block-p99',
      'Longest time that a call of a small object was queued in a swap, beyond the length of the calls in flight, p99 over the ' +
        `swaps of a window, by the callers' own clock, ${load} (the worst kind of window; lower is better; median and spread ` +
        'over repeats)',
      worst(blocks.map(p99)),
      'ms',
      'at most',
      1,
    ),
    reportedClaim(
      'swap.stop-p99',
      'Longest stop of a processor in a swap, p99 over the swaps of a window, as reported, ' +
        `${load} (the worst kind of window; lower is better; median and spread over repeats)`,
      worst(stops.map(p99)),
      'ms',
    ),
    reportedClaim(
      'swap.added-p99',
      `Latency of calls, p99, with a swap every ${sizes.pauseMs} ms less that without, same load, ${load} (the worst kind of ` +
        'window; lower is better; median and spread over interleaved repeats)',
      worst(added),
      'ms',
    ),
    exactClaim(
      'swap.lost',
      `Calls lost, doubled, reordered, misdirected or miscounted, by the ledger of every caller: ${audit.calls} calls, ` +
        `synchronous and asynchronous, in ${audit.swaps} swaps (nothing varies)`,
      audit.wrong,
      'calls',
      0,
    ),
  ];
}

/** The list with the largest median. */
function worst(lists: readonly number[][]): number[] {
  const middle = (list: number[]): number => quantile(list, 0.5);
  return lists.reduce((most, list) => (middle(list) > middle(most) ? list : most));
}
