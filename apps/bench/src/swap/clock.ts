/**
 * One clock for several processes and threads: milliseconds since some moment in the past, the same moment for all of
 * them as long as the system runs.
 */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
