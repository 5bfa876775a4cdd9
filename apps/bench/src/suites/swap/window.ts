/**
 * A window of time in which callers on two processors call a fresh object, with swaps or without.
 *
 * Afterwards the ledger is audited: whatever the window was for, no call may be lost, doubled or out of order in it.
 */
import type { RemoteModule } from '@k42/rcu';
import { BenchWrongResultError } from '../../errors.ts';
import type { LoadResults, LoadSpec } from '../../swap/load/callers.ts';
import { auditPage, ledgerFaults, sumOfWrongs } from '../../swap/load/ledger.ts';
import type { ObjectSpec, SwapRecord, SwapsSpec } from '../../swap/load/swaps.ts';

type Program = typeof import('../../swap.ts');
export type SwapProgram = RemoteModule<Program>;

export interface WindowSpec {
  readonly name: string;
  readonly object: ObjectSpec;
  /** On processor 0, which initiates the swaps, and on processor 1. */
  readonly loads: readonly [LoadSpec, LoadSpec];
  readonly ballastBytes: number;
  /** Without swaps it lasts as long as their pauses would. */
  readonly swaps: SwapsSpec;
  readonly swapping: boolean;
}

export interface Window {
  readonly swaps: readonly SwapRecord[];
  readonly loads: readonly LoadResults[];
}

/** What all windows together have seen. */
export class Audit {
  calls = 0;
  swaps = 0;
  wrong = 0;
  lost = 0;
  readonly faults: string[] = [];

  add(name: string, { swaps, loads }: Window): void {
    const pages = loads.flatMap(({ results }) =>
      results.flatMap(({ records }) => records.map(({ page }) => page)),
    );
    this.swaps += swaps.length;
    for (const page of pages) {
      this.calls += page.made;
      const wrongs = auditPage(page);
      this.wrong += sumOfWrongs(wrongs);
      this.lost += wrongs.lost;
    }
    this.faults.push(...ledgerFaults(name, pages));
  }
}

const INITIATOR = 0;

/**
 * Runs a window, and destroys its object.
 * @throws BenchWrongResultError where a call is lost: its thread goes on for ever, and no more swaps can be measured
 */
export async function runWindow(program: SwapProgram, spec: WindowSpec, audit: Audit): Promise<Window> {
  const { object, swaps: swapsSpec, ballastBytes } = spec;
  const coid = await program.run(INITIATOR, 'createLoaded', [object]);
  const onBoth = <R>(run: (processor: number) => Promise<R>): Promise<R[]> => Promise.all([0, 1].map(run));
  await onBoth((processor) =>
    program.run(processor, 'startLoad', [
      coid,
      spec.loads[processor] as LoadSpec,
      { processor, ballastBytes },
    ]),
  );
  let swaps: SwapRecord[] = [];
  let loads: LoadResults[];
  try {
    if (spec.swapping) swaps = await program.run(INITIATOR, 'swapRepeatedly', [coid, object, swapsSpec]);
    else await program.run(INITIATOR, 'pauseRepeatedly', [swapsSpec]);
  } finally {
    // The host's callers would outlive the machine.
    loads = await onBoth((processor) => program.run(processor, 'stopLoad', []));
  }
  const window = { swaps, loads };
  audit.add(spec.name, window);
  if (audit.lost !== 0) throw new BenchWrongResultError(['swap.lost'], audit.faults);
  await program.run(INITIATOR, 'destroyLoaded', [coid]);
  return window;
}
