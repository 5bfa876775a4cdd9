/** How much the suite `dispatch` measures. */
export interface DispatchSizes {
  /** Samples of each variant. */
  readonly repeats: number;
  /** Calls in one sample of calls that take nanoseconds. */
  readonly calls: number;
  /** Asynchronous calls in one sample. */
  readonly asyncCalls: number;
  /** Numbers of implementations that a site has met, the default object among them, ascending; 8 is among them. */
  readonly met: readonly number[];
}

export const FULL: DispatchSizes = {
  repeats: 25,
  calls: 4_000_000,
  asyncCalls: 200_000,
  met: [2, 3, 4, 8],
};

/** Finishes within 30 seconds, with every claim. */
export const QUICK: DispatchSizes = {
  repeats: 11,
  calls: 1_000_000,
  asyncCalls: 50_000,
  met: [2, 3, 4, 8],
};
