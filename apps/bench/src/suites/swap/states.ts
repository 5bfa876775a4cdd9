/**
 * How a swap grows with the state that it moves: by reference and by value, on two processors under load.
 */
import { median } from 'simple-statistics';
import { type Row, row } from '../../measure/finding.ts';
import { blocksBeyond } from '../../swap/load/analysis.ts';
import { TRANSFERS, type Transfer } from '../../swap/load/objects.ts';
import { DEADLINE_MS, MAX_PAUSE_MS } from './latencies.ts';
import { LOAD } from './sizes.ts';
import type { Stage } from './underLoad.ts';
import { runWindow, type Window } from './window.ts';

const KIB = 2 ** 10;

export async function measureStates({ program, sizes, audit, say }: Stage): Promise<Row[]> {
  const rows: Row[] = [];
  const growth: Row[] = [];
  for (const transfer of TRANSFERS) {
    const medians: number[] = [];
    for (const bytes of sizes.stateBytes) {
      const measure = `state of ${sizeName(bytes)} by ${transfer}`;
      say(`  ${measure}`);
      const window = await runWindow(program, windowOf(measure, transfer, bytes), audit);
      const swapMs = window.swaps.map(({ beganAt, endedAt }) => endedAt - beganAt);
      medians.push(median(swapMs));
      rows.push(
        row(measure, 'swap', 'ms', swapMs),
        row(measure, 'queued beyond calls in flight', 'ms', blocksBeyond(window.swaps, window.loads)),
        row(measure, 'stop of a processor', 'ms', stopsOf(window)),
      );
    }
    const [smallest, largest] = [medians[0], medians[medians.length - 1]] as [number, number];
    const names = [sizes.stateBytes[sizes.stateBytes.length - 1], sizes.stateBytes[0]] as [number, number];
    const over = names.map(sizeName).join(' over ');
    growth.push(row('state growth', `swap by ${transfer}, ${over}`, 'x', [largest / smallest]));
  }
  return [...rows, ...growth];

  function windowOf(name: string, transfer: Transfer, ballastBytes: number): Parameters<typeof runWindow>[1] {
    return {
      name,
      object: { interface: 'mixed', transfer },
      loads: [LOAD, LOAD],
      ballastBytes,
      swaps: {
        count: sizes.stateSwaps,
        pauseMs: sizes.pauseMs,
        budgetMs: sizes.windowBudgetMs,
        maxPauseMs: MAX_PAUSE_MS,
        deadlineMs: DEADLINE_MS,
      },
      swapping: true,
    };
  }
}

function stopsOf({ swaps }: Window): number[] {
  return swaps.map(({ stopMs }) => stopMs);
}

function sizeName(bytes: number): string {
  return bytes < KIB * KIB ? `${bytes / KIB} KiB` : `${bytes / KIB / KIB} MiB`;
}
