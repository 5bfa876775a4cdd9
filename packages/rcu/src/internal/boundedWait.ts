/**
 * A wait that ends in time: by its deadline, with a report of what held it up, or by a signal.
 */
import { GracePeriodDeadlineError } from '../errors.ts';
import { assertDeadline } from './deadline.ts';
import type { Processor } from './processor.ts';
import { describeStall } from './stall.ts';

export interface WaitOptions {
  /** Milliseconds to wait at most. Default 30 000. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

const DEADLINE_MS = 30_000;

/** Fails a promise that has not settled in time. Begin to `watch`, and `end` when it has settled. */
export class BoundedWait {
  readonly #reject: (error: unknown) => void;
  readonly #deadlineMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #processor: Processor;
  readonly #domain: string;
  readonly #waitingFor: () => number[];
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  /**
   * @param reject fails the promise; @param waitingFor the processors that hold it up.
   * @throws InvalidArgumentError; the signal's reason if it is aborted already
   */
  constructor(
    reject: (error: unknown) => void,
    { deadlineMs = DEADLINE_MS, signal }: WaitOptions,
    processor: Processor,
    domain: string,
    waitingFor: () => number[],
  ) {
    assertDeadline(deadlineMs);
    signal?.throwIfAborted();
    this.#reject = reject;
    this.#deadlineMs = deadlineMs;
    this.#signal = signal;
    this.#processor = processor;
    this.#domain = domain;
    this.#waitingFor = waitingFor;
  }

  readonly #onAbort = (): void => this.#reject(this.#signal?.reason);

  watch(): void {
    if (this.#over) return;
    this.#timer = setTimeout(() => void this.#late(), this.#deadlineMs);
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    // Between its making and now.
    if (this.#signal?.aborted) this.#onAbort();
  }

  end(): void {
    this.#over = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  async #late(): Promise<void> {
    const report = await describeStall(this.#processor, this.#domain, this.#waitingFor());
    if (!this.#over) this.#reject(new GracePeriodDeadlineError(this.#domain, report, this.#deadlineMs));
  }
}
