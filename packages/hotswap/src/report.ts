/** What a processor saw of a swap. Times in milliseconds. */
export interface ProcessorReport {
  /** Calls forwarded to the old object, synchronous ones included. */
  forwarded: number;
  /** Calls that waited for the outcome. */
  queued: number;
  /** Longest time a call waited. */
  longestBlockMs: number;
  /** Longest time the processor was held still. */
  longestStopMs: number;
}

export function emptyReport(): ProcessorReport {
  return { forwarded: 0, queued: 0, longestBlockMs: 0, longestStopMs: 0 };
}
