/** How much the suite `dispatch` measures. */
export interface DispatchSizes {
  /** Fresh workers on which each measurement is made. */
  readonly workers: number;
  /** Samples of each variant on each worker. */
  readonly repeats: number;
  /** Calls in one sample of calls that take nanoseconds. */
  readonly calls: number;
  /** Asynchronous calls in one sample. */
  readonly asyncCalls: number;
  /** Numbers of implementations that a site has met, the default object among them, ascending; 8 is among them. */
  readonly met: readonly number[];
}

export const FULL: DispatchSizes = {
  workers: 9,
  repeats: 5,
  calls: 4_000_000,
  asyncCalls: 200_000,
  met: [2, 3, 4, 8],
};

/** Finishes within 30 seconds, with every claim. */
export const QUICK: DispatchSizes = {
  workers: 5,
  repeats: 3,
  calls: 600_000,
  asyncCalls: 40_000,
  met: [2, 3, 4, 8],
};
