/**
 * What a swap waits for on one processor, in the processor's own words: for the error at a deadline, and for whoever asks
 * about swaps in progress.
 */

/** What a swap waits for on one processor. */
export interface Hindrance {
  readonly processor: number;
  /**
   * `threads`: threads older than the swap live on; `open calls`: waiting calls or iterators from before it are open;
   * `calls`: calls that it has forwarded are not over; `freeze`: the object's background work has not stopped; `stop`: the
   * processor does not come to a stop point with the others; `share`: its part of the state is not moved; `queue`: calls that
   * waited are not all begun; `silent`: the processor does not answer, its event loop does not run; `nothing`: it has done
   * all it can do before the others have done theirs.
   */
  readonly kind:
    | 'threads'
    | 'open calls'
    | 'calls'
    | 'freeze'
    | 'stop'
    | 'share'
    | 'queue'
    | 'silent'
    | 'nothing';
  /** Names: of the processor's threads that have one, or of the methods called, with how long they have lasted. At most 16. */
  readonly names: readonly string[];
  /** How many there are, those without a name included. */
  readonly count: number;
  /** How long the longest of them has lasted, or the processor has been late, as far as it is known. */
  readonly milliseconds: number | undefined;
}

export const NAMES_MAX = 16;

/** A hindrance in a few words. */
export function hindranceToString({ processor, kind, names, count, milliseconds }: Hindrance): string {
  const age = milliseconds === undefined ? '' : ` for ${Math.round(milliseconds)} ms`;
  const named = names.length === 0 ? '' : ` (${names.join(', ')})`;
  const what: Readonly<Record<Hindrance['kind'], string>> = {
    threads: `${count} threads older than the swap${named}${age}`,
    'open calls': `${count} waiting calls and iterators that are open`,
    calls: `${count} forwarded calls${named}${age}`,
    freeze: `its background work to stop${age}`,
    stop: `a stop point, which it has reached ${count} times in vain${age}`,
    share: `its share of the state${age}`,
    queue: `${count} calls that have waited`,
    silent: 'its event loop, which does not run',
    nothing: 'nothing any more',
  };
  return `${what[kind]} on processor ${processor}`;
}
