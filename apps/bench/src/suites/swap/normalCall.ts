/**
 * Normal calls after swaps: nothing of a swap is left on the call path.
 *
 * Each process starts anew, because a call costs what V8 has learnt about it, and stands for one sample: the medians of its
 * repeats. Where V8 puts its code differs from process to process, so ratios are taken within one.
 */
import { median } from 'simple-statistics';
import { measuredClaim, reportedClaim } from '../../cli/document.ts';
import { type Finding, type Row, ratios, row } from '../../measure/finding.ts';
import type { NormalCallResult, NormalWay } from '../../swap/normal/calls.ts';
import { runApart } from './apart.ts';
import type { SwapSizes } from './sizes.ts';

type Say = (line: string) => void;

export type RunApart = typeof runApart;

export async function measureNormalCalls(
  sizes: SwapSizes,
  say: Say,
  run: RunApart = runApart,
): Promise<Finding> {
  const results = new Map<number, NormalCallResult[]>(sizes.implementations.map((count) => [count, []]));
  for (let process = 0; process < sizes.processes; process++) {
    say(`  process ${process + 1} of ${sizes.processes} for each number of implementations`);
    for (const [implementations, list] of results)
      list.push(await run({ implementations, repeats: sizes.repeats, calls: sizes.calls }));
  }
  return judgeNormalCalls(results);
}

/** @param results by the number of implementations, one of each process */
export function judgeNormalCalls(results: ReadonlyMap<number, readonly NormalCallResult[]>): Finding {
  const rows: Row[] = [];
  const faults: string[] = [];
  const [overStill, overDirect]: [number[][], number[][]] = [[], []];
  for (const [implementations, list] of results) {
    const measure = `normal-call ${implementations}`;
    const of = (way: NormalWay): number[] => list.map(({ samples }) => median(samples[way]));
    const [swapped, still, direct, forwarder] = [of('swapped'), of('still'), of('direct'), of('forwarder')];
    overStill.push(ratios(swapped, still));
    overDirect.push(ratios(swapped, direct));
    rows.push(
      row(measure, 'handle, after the swaps', 'ns', swapped),
      row(measure, 'handle, the same classes, never swapped', 'ns', still),
      row(measure, 'plain object, the same classes', 'ns', direct),
      row(measure, 'forwarding object, target replaced as often', 'ns', forwarder),
      row(measure, 'after the swaps over never swapped', 'x', ratios(swapped, still)),
      row(measure, 'after the swaps over plain object', 'x', ratios(swapped, direct)),
      row(measure, 'after the swaps over forwarding object', 'x', ratios(swapped, forwarder)),
    );
    for (const { strays, swaps, forwarded } of list) {
      if (strays !== 0) faults.push(`${measure}: ${strays} objects have lost what they knew in swaps`);
      if (forwarded === 0) faults.push(`${measure}: the site met no mediator in ${swaps} swaps`);
    }
  }
  const numbers = [...results.keys()].join(', ');
  const after = `normal calls at a site through which ${numbers} implementations have been swapped, mediators met`;
  const spread = 'worst of these numbers; lower is better; median and spread over fresh processes';
  return {
    rows,
    claims: [
      measuredClaim(
        'swap.normal-call',
        `Time of ${after}, over that at a fresh site of V8 that has met the same classes through handles without a swap ` +
          `(${spread})`,
        worst(overStill),
        'ratio',
        'at most',
        1.1,
      ),
      reportedClaim(
        'swap.normal-call-direct',
        `The same over that of calls on plain objects of the same classes: what handles cost, too (${spread})`,
        worst(overDirect),
        'ratio',
      ),
    ],
    faults,
  };
}

/** The list with the largest median. */
function worst(lists: readonly number[][]): number[] {
  return lists.reduce((most, list) => (median(list) > median(most) ? list : most));
}
