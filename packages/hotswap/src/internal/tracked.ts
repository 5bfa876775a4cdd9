/**
 * Calls that run on the old object and are not over: promises that have not settled, iterators that are not at their end. No
 * processor that has any is ready for the transfer.
 */
import { countOpenIterator, OpenCalls } from '@k42/clustered/interpose';
import { NAMES_MAX } from '../hindrance.ts';
import { runMarked } from './marks.ts';

interface TrackedCall {
  readonly method: string;
  readonly since: number;
}

export class TrackedCalls {
  readonly #calls = new Set<TrackedCall>();
  readonly #noneLeft: () => void;

  /** @param noneLeft told each time the last one is over */
  constructor(noneLeft: () => void) {
    this.#noneLeft = noneLeft;
  }

  get none(): boolean {
    return this.#calls.size === 0;
  }

  get count(): number {
    return this.#calls.size;
  }

  /** The calls that have lasted longest, with their ages. */
  names(): string[] {
    const now = performance.now();
    return [...this.#calls]
      .slice(0, NAMES_MAX)
      .map(({ method, since }) => `${method} for ${Math.round(now - since)} ms`);
  }

  /** Milliseconds since the oldest one began. */
  get longestMs(): number | undefined {
    // A set keeps the order in which they came.
    for (const { since } of this.#calls) return performance.now() - since;
    return undefined;
  }

  /** Runs an asynchronous call, marked, and counts it until it settles. */
  run(method: string, call: () => unknown): unknown {
    const tracked = this.#begin(method);
    return runMarked(call, () => this.#end(tracked));
  }

  /** Counts an iterator that a call has given until its end; its steps run marked. */
  iterator(method: string, result: unknown, asynchronous: boolean): unknown {
    const tracked = this.#begin(method);
    const open = new OpenCalls();
    open.begin();
    const counted = countOpenIterator(result, open, asynchronous, (step) => runMarked(step, () => {}));
    open.whenNone(() => this.#end(tracked));
    return counted;
  }

  #begin(method: string): TrackedCall {
    const tracked = { method, since: performance.now() };
    this.#calls.add(tracked);
    return tracked;
  }

  #end(tracked: TrackedCall): void {
    this.#calls.delete(tracked);
    if (this.none) this.#noneLeft();
  }
}
