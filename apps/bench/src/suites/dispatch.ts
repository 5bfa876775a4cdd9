/**
 * `bench dispatch`: what a call costs that goes through `@k42/clustered`, beside a direct one and what people use otherwise.
 *
 * Each measurement runs on fresh workers of machines of its own, because a call costs what V8 has learnt about it. What is compared is interleaved: a repeat samples every variant once, ratios are taken within a repeat, and medians over
 * repeats with their spread are what is reported. Everything stands in the table, what was lost as well.
 */
import { type Measurement, runMeasurements } from '../measure/findings.ts';
import { measureAsyncCalls } from './dispatch/asyncCalls.ts';
import { measureCalls } from './dispatch/calls.ts';
import { measureAlone, measureMet } from './dispatch/implementations.ts';
import { type DispatchSizes, FULL, QUICK } from './dispatch/sizes.ts';
import type { Outcome, Suite, SuiteContext } from './suite.ts';

export const dispatchSuite: Suite = {
  name: 'dispatch',
  summary: 'calls through handles and DREF of @k42/clustered, against direct calls and the alternatives',
  addOptions: () => {},
  run: (context) => runDispatch(context.quick ? QUICK : FULL, context),
};

const FAULTS = 'Handles that lead to another object than theirs (must be none; nothing varies)';

const MEASUREMENTS: readonly Measurement<DispatchSizes>[] = [
  ['calls', measureCalls],
  ['sites that have met several implementations', measureMet],
  ['sites that meet one of eight', measureAlone],
  ['asynchronous calls', measureAsyncCalls],
];

/** @throws BenchError */
export function runDispatch(
  sizes: DispatchSizes,
  context: Pick<SuiteContext, 'say'>,
  measurements: readonly Measurement<DispatchSizes>[] = MEASUREMENTS,
): Promise<Outcome> {
  return runMeasurements({ suite: 'dispatch', faults: FAULTS, sizes, measurements }, context);
}
