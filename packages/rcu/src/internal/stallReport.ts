/**
 * What a stall report says, and how it reads in one line.
 */

/** A processor that holds up a grace period. */
export interface Blocker {
  readonly processor: number;
  readonly name: string | undefined;
  /**
   * `reader`: threads of the domain go on; `unresponsive`: its event loop has not run for 100 ms; `callbacks`: none of
   * these, only callbacks are left to run.
   */
  readonly kind: 'reader' | 'unresponsive' | 'callbacks';
  /** Names of threads waited for, at most 32; those counted by hand have none. */
  readonly threads: readonly string[];
  /** Threads waited for, those without a name included. */
  readonly threadCount: number;
  /** They have lasted at least so many milliseconds; undefined if not known. */
  readonly atLeastMs: number | undefined;
  readonly callbacksPending: number;
}

export interface StallReport {
  readonly domain: string;
  /** The processor that waits. */
  readonly waiting: number;
  readonly blockers: readonly Blocker[];
}

/** A report in one line. */
export function stallToString({ blockers }: StallReport): string {
  if (blockers.length === 0) return 'nothing holds it up any more';
  return blockers
    .map(({ processor, name, kind, threads, threadCount, atLeastMs, callbacksPending }) => {
      const who = name === undefined ? `processor ${processor}` : `processor ${processor} (${name})`;
      if (kind === 'unresponsive') return `${who}: its event loop does not run`;
      if (kind === 'callbacks') return `${who}: ${callbacksPending} callbacks to run`;
      const names = threads.length === 0 ? 'without a name' : threads.join(', ');
      const age = atLeastMs === undefined ? '' : `, for at least ${Math.round(atLeastMs)} ms`;
      return `${who}: ${threadCount} threads (${names})${age}`;
    })
    .join('; ');
}
