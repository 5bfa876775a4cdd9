/**
 * What the suite `grace` runs on the processors of its machines: the program that each of them loads.
 *
 * Called by name, with arguments and results that travel in messages. What is timed to the nanosecond runs in a worker that
 * has been started for it alone, so that V8 has learnt nothing about `@k42/rcu` from other measurements.
 */
export { timeAsyncThreads } from './grace/asyncThreads.ts';
export { flood } from './grace/flood.ts';
export { echo, holdThread, isHolding } from './grace/others.ts';
export { startReaders, stopReaders } from './grace/readers.ts';
export { timeSyncThreads } from './grace/syncThreads.ts';
export { timeThreadsAmong } from './grace/threadsAmong.ts';
