/**
 * Calls that wait for the outcome of a swap, in the order they came, each with the asynchronous context of its caller.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

interface QueuedCall {
  readonly method: string;
  readonly args: unknown[];
  readonly since: number;
  /** Runs something in the caller's asynchronous context. */
  readonly inContext: (run: () => void) => void;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

export class CallQueue {
  readonly #calls: QueuedCall[] = [];

  get length(): number {
    return this.#calls.length;
  }

  /** Appends a call; the promise settles as the call will. */
  append(method: string, args: unknown[]): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#calls.push({
      method,
      args,
      since: performance.now(),
      inContext: AsyncLocalStorage.snapshot(),
      resolve,
      reject,
    });
    return promise;
  }

  /**
   * Starts every call in order, also those appended meanwhile; gives the longest wait in milliseconds. A call that
   * throws instead of rejecting rejects.
   */
  run(call: (method: string, args: unknown[]) => unknown): number {
    let longest = 0;
    for (let next = 0; next < this.#calls.length; next++) {
      const queued = this.#calls[next] as QueuedCall;
      longest = Math.max(longest, performance.now() - queued.since);
      queued.inContext(() => {
        try {
          queued.resolve(call(queued.method, queued.args));
        } catch (error) {
          queued.reject(error);
        }
      });
    }
    this.#calls.length = 0;
    return longest;
  }
}
