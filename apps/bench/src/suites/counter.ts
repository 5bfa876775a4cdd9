/**
 * `bench counter`: what many processors can count together, with the counters of `@k42/clustered` and by hand.
 *
 * All variants are interleaved in one machine: a repeat samples every one once, ratios are taken within a repeat, and medians
 * over repeats with their spread are what is reported. Every lap is checked: no increment may be lost or counted twice.
 */
import { type Measurement, runMeasurements } from '../measure/findings.ts';
import { measureRace } from './counter/race.ts';
import { type CounterSizes, FULL, QUICK } from './counter/sizes.ts';
import type { Outcome, Suite, SuiteContext } from './suite.ts';

export const counterSuite: Suite = {
  name: 'counter',
  summary: 'counting on several processors: the counters of @k42/clustered against one shared word',
  addOptions: () => {},
  run: (context) => runCounter(context.quick ? QUICK : FULL, context),
};

const FAULTS = 'Laps after which a count was not exact (must be none; nothing varies)';

const MEASUREMENTS: readonly Measurement<CounterSizes>[] = [['counting and reading', measureRace]];

/** @throws BenchError */
export function runCounter(
  sizes: CounterSizes,
  context: Pick<SuiteContext, 'say'>,
  measurements: readonly Measurement<CounterSizes>[] = MEASUREMENTS,
): Promise<Outcome> {
  return runMeasurements({ suite: 'counter', faults: FAULTS, sizes, measurements }, context);
}
