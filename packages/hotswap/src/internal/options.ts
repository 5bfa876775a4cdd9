/**
 * What a swap is asked to do, checked.
 */
import { InvalidArgumentError } from '@k42/rcu';

export interface SwapOptions<A> {
  /** Given to the new implementation's `initialise`. */
  readonly argument?: A;
  /**
   * Module that defines the implementation, where the other processors may not have loaded it yet. Default: the one its
   * definition names (`module: import.meta.url`).
   */
  readonly module?: URL;
  /** Milliseconds for the whole swap, preparations included; default 10 000. When they pass the old object serves on. */
  readonly deadlineMs?: number;
  /** Gives the swap up when it is raised, unless the swap is decided by then. */
  readonly signal?: AbortSignal;
  /** If the object is being swapped already: `refuse` (the default), or `queue` until that swap is over. */
  readonly ifInProgress?: 'refuse' | 'queue';
  /**
   * Longest time a processor is held still to let the others catch up, in milliseconds, default 20. Only interfaces
   * with synchronous methods need it; it must exceed the usual length of a turn on the other processors.
   */
  readonly maxPauseMs?: number;
  /** Milliseconds for the transfer of state alone, default 2000. */
  readonly transferDeadlineMs?: number;
  /** Calls that may wait on one processor; one more, and the swap is given up. Default 65 536. */
  readonly queueBound?: number;
}

/** Numbers that are decided when the swap begins. */
export interface Limits {
  readonly deadlineMs: number;
  readonly maxPauseMs: number;
  readonly transferDeadlineMs: number;
  readonly queueBound: number;
}

/** Only the argument's type differs between implementations. */
export type AnySwapOptions = SwapOptions<unknown>;

/** The limits, with defaults. @throws InvalidArgumentError */
export function checkOptions(options: AnySwapOptions): Limits {
  const limits: Limits = {
    deadlineMs: options.deadlineMs ?? 10_000,
    maxPauseMs: options.maxPauseMs ?? 20,
    transferDeadlineMs: options.transferDeadlineMs ?? 2_000,
    queueBound: options.queueBound ?? 65_536,
  };
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 30) {
      const unit = name.endsWith('Ms') ? 'number of milliseconds' : 'number';
      throw new InvalidArgumentError(`${name} must be a whole ${unit}, at least 1, not ${value}.`);
    }
  }
  const { ifInProgress = 'refuse', module, signal } = options;
  if (ifInProgress !== 'refuse' && ifInProgress !== 'queue')
    throw new InvalidArgumentError(
      `ifInProgress must be refuse or queue, not ${JSON.stringify(ifInProgress)}.`,
    );
  if (module !== undefined && !(module instanceof URL))
    throw new InvalidArgumentError('module must be a URL, as import.meta.url makes one.');
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new InvalidArgumentError('signal must be an AbortSignal.');
  return limits;
}
