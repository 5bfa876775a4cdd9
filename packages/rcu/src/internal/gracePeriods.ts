/**
 * Grace periods across processors.
 *
 * A grace period ends when every thread that was live on any processor at the request has ended. The requester looks
 * at each processor's BUSY word; an idle one needs no message. A busy one is asked by a system message, waits for two
 * generation swaps of its own (`threads.ts`) and answers. A processor that dies has elapsed.
 *
 * All requests of one turn share one grace period: their callbacks are collected and stamped when the request goes
 * out, in a later task. None is ever added to a batch that has already been stamped (K42's call_rcu did that).
 */
import { currentProcessor, onAttach } from './current.ts';
import type { Processor } from './processor.ts';
import { threads } from './threads.ts';

const ASK = 'rcu/grace-ask';
const ANSWER = 'rcu/grace-answer';

interface Request {
  /** Processors that have not answered yet. */
  readonly waitingFor: Set<number>;
  readonly callbacks: readonly (() => void)[];
}

class GracePeriods {
  readonly #processor: Processor;
  readonly #requests = new Map<number, Request>();
  #lastRequest = 0;
  #batch: (() => void)[] = [];

  constructor(processor: Processor) {
    this.#processor = processor;
    processor.onSystemMessage(ASK, (from, id) => threads.whenElapsed(() => processor.post(from, ANSWER, id)));
    processor.onSystemMessage(ANSWER, (from, id) => this.#elapsed(id as number, from));
    processor.onGone((number) => {
      for (const id of [...this.#requests.keys()]) this.#elapsed(id, number);
    });
    processor.onClose(() => this.#drained());
  }

  call(callback: () => void): void {
    this.#batch.push(callback);
    if (this.#batch.length === 1) setImmediate(() => this.#request());
  }

  /** The processors that hold up the grace periods in progress. */
  waitingFor(): number[] {
    return [...new Set([...this.#requests.values()].flatMap((request) => [...request.waitingFor]))];
  }

  #request(): void {
    const callbacks = this.#batch;
    this.#batch = [];
    const id = ++this.#lastRequest;
    const processor = this.#processor;
    // BUSY is read after whatever the callers unlinked: pairs with the stores in Threads.begin() and end().
    const busy = processor
      .liveProcessors()
      .filter((number) => number === processor.number || !processor.isIdle(number));
    this.#requests.set(id, { waitingFor: new Set(busy), callbacks });
    for (const number of busy) {
      if (number === processor.number) threads.whenElapsed(() => this.#elapsed(id, number));
      else processor.post(number, ASK, id);
    }
    // A processor that was live above may have gone before its message: it will not answer.
    for (const number of busy) if (!processor.isLive(number)) this.#elapsed(id, number);
  }

  #elapsed(id: number, processor: number): void {
    const request = this.#requests.get(id);
    if (request === undefined || !request.waitingFor.delete(processor) || request.waitingFor.size !== 0)
      return;
    this.#requests.delete(id);
    for (const callback of request.callbacks) {
      // Each in a microtask of its own: one that throws is an uncaught exception and does not lose the others.
      queueMicrotask(callback);
    }
  }

  /** Settles when every callback handed in so far, and every one those hand in, has run. */
  async #drained(): Promise<void> {
    while (this.#requests.size !== 0 || this.#batch.length !== 0) {
      await new Promise<void>((resolve) => this.call(resolve));
    }
  }
}

const instances = new WeakMap<Processor, GracePeriods>();
onAttach((processor) => instances.set(processor, new GracePeriods(processor)));

/** The grace periods of the current processor. @throws NotAttachedError */
export function gracePeriods(): GracePeriods {
  return instances.get(currentProcessor()) as GracePeriods;
}
