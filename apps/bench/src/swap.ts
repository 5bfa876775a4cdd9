/**
 * What the suite `swap` runs on the processors of its machines: the program that each of them loads.
 *
 * Called by name, with arguments and results that travel in messages. It defines the objects that are swapped, so that every
 * processor has their implementations.
 */
export { echo } from './grace/others.ts';
export { createNull, touchNull } from './swap/idle.ts';
export { startLoad, stopLoad } from './swap/load/callers.ts';
export { createLoaded, destroyLoaded, pauseRepeatedly, swapRepeatedly } from './swap/load/swaps.ts';
export { OBJECTS } from './swap/normal/varieties.ts';
