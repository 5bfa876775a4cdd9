/**
 * `bench objects`: what objects of `@k42/clustered` cost besides calls, and whether any of it grows with their number.
 *
 * A repeat has a machine of its own and goes from few objects to many to none; ratios are taken within a repeat, and medians
 * over repeats with their spread are what is reported. The caches of the machine make many objects slower than few, whatever
 * they are: so the same loop over plain objects runs beside.
 */
import { type Measurement, runMeasurements } from '../measure/findings.ts';
import { measurePopulations } from './objects/populations.ts';
import { FULL, type ObjectsSizes, QUICK } from './objects/sizes.ts';
import type { Outcome, Suite, SuiteContext } from './suite.ts';

export const objectsSuite: Suite = {
  name: 'objects',
  summary: 'creating, first calling, calling and destroying objects of @k42/clustered, few and a million',
  addOptions: () => {},
  run: (context) => runObjects(context.quick ? QUICK : FULL, context),
};

const FAULTS =
  'Repeats with objects, Reps or bytes left when all are destroyed (must be none; nothing varies)';

const MEASUREMENTS: readonly Measurement<ObjectsSizes>[] = [['few objects and many', measurePopulations]];

/** @throws BenchError */
export function runObjects(
  sizes: ObjectsSizes,
  context: Pick<SuiteContext, 'say'>,
  measurements: readonly Measurement<ObjectsSizes>[] = MEASUREMENTS,
): Promise<Outcome> {
  return runMeasurements({ suite: 'objects', faults: FAULTS, sizes, measurements }, context);
}
