/** How much the suite `counter` measures. */
export interface CounterSizes {
  /** Counted repeats, in each of which every number of processors counts in every way once. */
  readonly repeats: number;
  /** How long a processor counts in one way. */
  readonly lapMs: number;
  /** Numbers of processors, ascending; 2 is among them, because the claims are about it. */
  readonly processors: readonly number[];
  /** Readings of a counter in one sample. */
  readonly readings: number;
}

export const FULL: CounterSizes = {
  repeats: 15,
  lapMs: 200,
  processors: [1, 2, 4],
  readings: 1_000_000,
};

/** Finishes within 30 seconds, with every claim. */
export const QUICK: CounterSizes = {
  repeats: 7,
  lapMs: 80,
  processors: [1, 2, 4],
  readings: 300_000,
};
