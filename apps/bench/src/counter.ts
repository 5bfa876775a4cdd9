/**
 * What the suite `counter` runs on the processors of its machines: the program that each of them loads.
 *
 * Called by name, with arguments and results that travel in messages. Only workers that have been started for it count, so
 * that V8 has learnt nothing about counters from other measurements.
 */
export { closeGate, runLap } from './counter/lap.ts';
export { timeApproximate, timeValue } from './counter/readings.ts';
export { layTrack, readTrack } from './counter/track.ts';
