/**
 * What it costs to read a counter, while nobody counts: the price that the distributed one pays for its increments.
 *
 * Nanoseconds per reading. All called by name.
 */
import { type Coid, handle } from '@k42/clustered';
import type { Counter } from '@k42/clustered/standard';
import { nanosecondsEach } from '../measure/timing.ts';

export function timeValue(coid: Coid<Counter>, readings: number): number {
  const counter = handle(coid);
  const expected = counter.value();
  let right = 0;
  const begun = performance.now();
  for (let i = 0; i < readings; i++) if (counter.value() === expected) right++;
  return nanosecondsEach(begun, readings, right);
}

export function timeApproximate(coid: Coid<Counter>, readings: number): number {
  const counter = handle(coid);
  const expected = counter.approximate();
  let right = 0;
  const begun = performance.now();
  for (let i = 0; i < readings; i++) if (counter.approximate() === expected) right++;
  return nanosecondsEach(begun, readings, right);
}
