/**
 * Calls that run on the old object and are not over: promises that have not settled, iterators that are not at their end. No
 * processor that has any is ready for the transfer.
 */
import { countOpenIterator, OpenCalls } from '@k42/clustered/interpose';
import { runMarked } from './marks.ts';

export class TrackedCalls {
  readonly #open = new OpenCalls();
  readonly #noneLeft: () => void;

  /** @param noneLeft told each time the last one is over */
  constructor(noneLeft: () => void) {
    this.#noneLeft = noneLeft;
  }

  get none(): boolean {
    return this.#open.count === 0;
  }

  /** Runs an asynchronous call, marked, and counts it until it settles. */
  run(call: () => unknown): unknown {
    this.#open.begin();
    return runMarked(call, () => {
      this.#open.end();
      if (this.none) this.#noneLeft();
    });
  }

  /** Counts an iterator that a call has given until its end. */
  iterator(result: unknown, asynchronous: boolean): unknown {
    this.#open.begin();
    const counted = countOpenIterator(result, this.#open, asynchronous);
    this.#open.whenNone(this.#noneLeft);
    return counted;
  }
}
