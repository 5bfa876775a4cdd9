/**
 * `bench grace`: the lowest layer, `@k42/rcu`. What a thread costs, what a grace period costs and how long it lasts, how
 * many callbacks it carries, and how that grows with processors and with live threads.
 *
 * Each measurement boots a machine of its own. What is compared is interleaved within it: a repeat samples every variant
 * once, ratios are taken within a repeat, and medians over repeats with their spread are what is reported. Everything
 * stands in the table, what was lost as well.
 */
import { type Measurement, runMeasurements } from '../measure/findings.ts';
import { measureCallbacks } from './grace/callbacks.ts';
import { FULL, type GraceSizes, QUICK } from './grace/sizes.ts';
import { measureBusy, measureIdle, measureProcessors, measureWaiting } from './grace/synchronize.ts';
import { measureAsyncThreads, measureSyncThreads, measureThreadsAmong } from './grace/threads.ts';
import type { Outcome, Suite, SuiteContext } from './suite.ts';

export const graceSuite: Suite = {
  name: 'grace',
  summary: 'threads, grace periods and callbacks of @k42/rcu: what each costs',
  addOptions: () => {},
  run: (context) => runGrace(context.quick ? QUICK : FULL, context),
};

const FAULTS =
  'Grace periods that ended too early, callbacks lost or out of order (must be none; nothing varies)';

const MEASUREMENTS: readonly Measurement<GraceSizes>[] = [
  ['synchronous threads', measureSyncThreads],
  ['asynchronous threads', measureAsyncThreads],
  ['threads among others', measureThreadsAmong],
  ['synchronize on an idle machine', measureIdle],
  ['waiting', measureWaiting],
  ['synchronize under readers', measureBusy],
  ['numbers of processors', measureProcessors],
  ['callbacks', measureCallbacks],
];

/** @throws BenchError */
export function runGrace(
  sizes: GraceSizes,
  context: Pick<SuiteContext, 'say'>,
  measurements: readonly Measurement<GraceSizes>[] = MEASUREMENTS,
): Promise<Outcome> {
  return runMeasurements({ suite: 'grace', faults: FAULTS, sizes, measurements }, context);
}
