/** How much the suite `grace` measures. */
export interface GraceSizes {
  /** Counted repeats of whatever is interleaved. */
  readonly repeats: number;
  /** Synchronous threads in one sample, and asynchronous ones. */
  readonly syncThreads: number;
  readonly asyncThreads: number;
  /** Grace periods on an idle machine in one sample, and round trips in the one they are compared with. */
  readonly synchronizes: number;
  readonly roundTrips: number;
  /** How long the thread lasts that a grace period waits for while the time of the processors is counted, and how often. */
  readonly waitMs: number;
  readonly waits: number;
  /** Blocks of grace periods under readers, each with a median and a p99 of its own. */
  readonly blocks: number;
  readonly blockSize: number;
  /** How long callbacks are handed in, and how often. */
  readonly floodMs: number;
  readonly floods: number;
  /** Numbers of processors, ascending. */
  readonly processors: readonly number[];
  /** Numbers of live threads, ascending. */
  readonly live: readonly number[];
  readonly liveRepeats: number;
}

export const FULL: GraceSizes = {
  repeats: 15,
  syncThreads: 1_000_000,
  asyncThreads: 200_000,
  synchronizes: 5_000,
  roundTrips: 1_000,
  waitMs: 1_000,
  waits: 5,
  blocks: 9,
  blockSize: 300,
  floodMs: 3_000,
  floods: 5,
  processors: [1, 2, 4, 8],
  live: [1, 10, 100, 1_000, 10_000, 100_000],
  liveRepeats: 7,
};

/** Finishes within 30 seconds, with every claim. */
export const QUICK: GraceSizes = {
  repeats: 5,
  syncThreads: 200_000,
  asyncThreads: 50_000,
  synchronizes: 1_000,
  roundTrips: 200,
  waitMs: 500,
  waits: 3,
  blocks: 3,
  blockSize: 150,
  floodMs: 1_000,
  floods: 3,
  processors: [1, 8],
  live: [1, 100_000],
  liveRepeats: 3,
};
