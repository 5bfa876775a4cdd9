/**
 * Standard objects: a counter, a histogram and a map from strings to bytes, each in a shared and a distributed implementation.
 *
 * Importing this module defines them on this JavaScript thread; every processor that uses one has to import it.
 */
export * from './byteMap.ts';
export * from './counter.ts';
export * from './errors.ts';
export * from './histogram.ts';
