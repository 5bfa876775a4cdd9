/**
 * How swaps grow with the turns of the other processor, which is never interrupted in one.
 *
 * An interface with synchronous methods needs both processors to stop at the same time, for at most as long as the user
 * allows: here twice a turn, and no less than the default. A swap that does not get that far by its deadline leaves the old
 * object serving, and is counted. An interface without synchronous methods needs no stops.
 */
import { type Row, row } from '../../measure/finding.ts';
import { blocksBeyond } from '../../swap/load/analysis.ts';
import { INTERFACES } from '../../swap/load/objects.ts';
import { DEADLINE_MS, MAX_PAUSE_MS } from './latencies.ts';
import { LOAD } from './sizes.ts';
import type { Stage } from './underLoad.ts';
import { runWindow } from './window.ts';

export async function measureTurns({ program, sizes, audit, say }: Stage): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of INTERFACES) {
    for (const turnMs of sizes.turnsMs) {
      const measure = `other's turns of ${turnMs} ms, ${name}`;
      say(`  ${measure}`);
      const load = { ...LOAD, syncCallers: name === 'mixed' ? LOAD.syncCallers : 0 };
      const { swaps, loads } = await runWindow(
        program,
        {
          name: measure,
          object: { interface: name, transfer: 'reference' },
          loads: [load, { ...load, turnMs }],
          ballastBytes: 0,
          swaps: {
            count: sizes.turnSwaps,
            pauseMs: sizes.pauseMs,
            budgetMs: sizes.windowBudgetMs,
            maxPauseMs: maxPauseFor(turnMs),
            deadlineMs: DEADLINE_MS,
          },
          swapping: true,
        },
        audit,
      );
      const each = (of: (swap: (typeof swaps)[number]) => number): number[] => swaps.map(of);
      rows.push(
        row(
          measure,
          'swap',
          'ms',
          each(({ beganAt, endedAt }) => endedAt - beganAt),
        ),
        row(measure, 'a call queued', 'ms', blocksBeyond(swaps, loads)),
        row(
          measure,
          'stop of a processor',
          'ms',
          each(({ stopMs }) => stopMs),
        ),
        row(measure, 'ended by the deadline', 'swaps', [swaps.filter(({ late }) => late).length]),
      );
    }
  }
  return rows;
}

/** As a user would set it who knows how long the turns are. */
export function maxPauseFor(turnMs: number): number {
  return Math.max(MAX_PAUSE_MS, 2 * turnMs);
}
