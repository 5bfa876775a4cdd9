/**
 * What the measurement `peers` of the suite `swap` runs on the processors of its machines: the ways of upgrading an object
 * in use, and the load on it.
 */
// Whoever calls an object has loaded what serves it.
import './swap/peers/swapped.ts';

export { closeClient, openClient, timeCalls } from './swap/peers/clients.ts';
export { pauseFront, resumeFront } from './swap/peers/front.ts';
export { runLoad, stopLoad } from './swap/peers/load.ts';
export { becomeOwner, closeOwner, openPort, ownerCounts, upgradeOwner } from './swap/peers/owner.ts';
