/**
 * What the suite `objects` runs on the processors of its machines: the program that each of them loads.
 *
 * Called by name, on a worker that has been started for it alone, so that neither its heap nor what V8 has learnt is that of
 * other measurements.
 */
export { measurePopulations } from './objects/populations.ts';
