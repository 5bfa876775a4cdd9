/** How much the suite `swap` measures. */
import { FULL as FULL_HTTP, type HttpSizes, QUICK as QUICK_HTTP } from '../../swap/http/measure.ts';
import type { LoadSpec } from '../../swap/load/callers.ts';
import { FULL as FULL_PEERS, type PeerSizes, QUICK as QUICK_PEERS } from '../../swap/peers/measure.ts';

export interface SwapSizes {
  /** Normal calls: numbers of implementations that are swapped through a site, ascending. */
  readonly implementations: readonly number[];
  /** Fresh processes for each of them. */
  readonly processes: number;
  /** Samples of each way in each process, and calls in one. */
  readonly repeats: number;
  readonly calls: number;
  /** Null swaps on idle processors: samples, and swaps and round trips in one. */
  readonly idleRepeats: number;
  readonly idleSwaps: number;
  readonly roundTrips: number;
  /** Under load: repeats of every window, swaps in one, and the pause between them. */
  readonly loadRepeats: number;
  readonly swaps: number;
  readonly pauseMs: number;
  /** After so long a window begins no more swaps, and a sample of null swaps ends. */
  readonly windowBudgetMs: number;
  /** Lengths of the asynchronous calls, ascending; 0 is one turn. */
  readonly callsMs: readonly number[];
  /** Sizes of a processor's share of the state, ascending, and swaps of each. */
  readonly stateBytes: readonly number[];
  readonly stateSwaps: number;
  /** Lengths of the other processor's turns, ascending, and swaps of each. */
  readonly turnsMs: readonly number[];
  readonly turnSwaps: number;
  readonly peers: PeerSizes;
  readonly http: HttpSizes;
}

const KIB = 2 ** 10;
const MIB = 2 ** 20;

/** On each processor: twelve callers, twelve calls per millisecond. */
export const LOAD: LoadSpec = {
  asyncCallers: 8,
  syncCallers: 4,
  periodMs: 1,
  asyncMs: 0,
  syncMs: 0.01,
  turnMs: 0,
};

export const FULL: SwapSizes = {
  implementations: [2, 3, 8],
  processes: 9,
  repeats: 15,
  calls: 500_000,
  idleRepeats: 9,
  idleSwaps: 400,
  roundTrips: 1_000,
  loadRepeats: 5,
  swaps: 100,
  pauseMs: 10,
  windowBudgetMs: 10_000,
  callsMs: [0, 2, 10],
  stateBytes: [KIB, 32 * KIB, MIB, 8 * MIB, 64 * MIB],
  stateSwaps: 20,
  turnsMs: [1, 5, 50],
  turnSwaps: 20,
  peers: FULL_PEERS,
  http: FULL_HTTP,
};

/** Finishes within 30 seconds, with every claim. */
export const QUICK: SwapSizes = {
  implementations: [2, 3, 8],
  processes: 3,
  repeats: 9,
  calls: 100_000,
  idleRepeats: 3,
  idleSwaps: 300,
  roundTrips: 200,
  loadRepeats: 2,
  swaps: 25,
  pauseMs: 5,
  windowBudgetMs: 600,
  callsMs: [0, 2],
  stateBytes: [KIB, MIB, 64 * MIB],
  stateSwaps: 5,
  turnsMs: [1, 5, 50],
  turnSwaps: 3,
  peers: QUICK_PEERS,
  http: QUICK_HTTP,
};
