/**
 * How calls are timed here: in passes over a list of objects, each pass a call on each.
 *
 * What V8 learns about a call belongs to its place in the source. So each variant has a loop of its own in the source, and is
 * timed in a worker that was started for this measurement.
 */
import { nanosecondsEach } from '../measure/timing.ts';
import { OBJECTS } from './shift.ts';

/** Repeats that do not count: V8 takes more than one to have compiled all of it. */
export const WARM_UPS = 4;

/** One pass: calls every object of a list with 1, and adds up what the calls return. */
export type Pass = () => number;

/** Nanoseconds per call, over at least so many calls. */
export function timePasses(calls: number, pass: Pass): number {
  const passes = Math.ceil(calls / OBJECTS);
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < passes; i++) done += pass();
  return nanosecondsEach(begun, passes * OBJECTS, done);
}

export interface Result<Way extends string> {
  /** Nanoseconds per call, a sample per repeat. */
  readonly samples: Record<Way, number[]>;
  /** Calls that reached the wrong object. */
  readonly strays: number;
}
