/**
 * What the suite `dispatch` runs on the processors of its machines: the program that each of them loads.
 *
 * Called by name, with arguments and results that travel in messages. What is timed runs in a worker that has been started for
 * it alone, so that V8 has learnt nothing about these calls from other measurements.
 */
export { timeAsyncCalls } from './dispatch/asyncCalls.ts';
export { timeCalls } from './dispatch/calls.ts';
export { timeAlone, timeMet } from './dispatch/implementations.ts';
