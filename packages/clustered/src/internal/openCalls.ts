/**
 * Calls that may stay open for hours: of waiting methods, and iterators that are not at their end.
 *
 * They are counted on the slot they were made through, so that they hold up the destruction or the exchange of that object
 * and nothing else. When a slot is reset for an exchange it gets a new count, linked to the one before: calls made
 * from then on are the exchange's own business, those of before are what it waits for.
 */
import type { AnySlot } from './slots.ts';

export class OpenCalls {
  #count = 0;
  #earlier: OpenCalls | undefined;
  #waiting: (() => void)[] = [];

  constructor(earlier?: OpenCalls) {
    this.#earlier = earlier;
  }

  /** Calls that are open, those of earlier counts included. */
  get count(): number {
    return this.#count + (this.#earlier?.count ?? 0);
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    if (--this.#count !== 0 || this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const callback of waiting) this.whenNone(callback);
  }

  /** Calls back when no call is open, earlier ones included: now, if it is so. */
  whenNone(callback: () => void): void {
    if (this.#count !== 0) {
      this.#waiting.push(callback);
      return;
    }
    const earlier = this.#earlier;
    if (earlier === undefined || earlier.count === 0) {
      this.#earlier = undefined;
      callback();
      return;
    }
    // Calls of this count may begin meanwhile.
    earlier.whenNone(() => this.whenNone(callback));
  }
}

/** The count of a slot, made when it is first needed. */
export function openCallsOf(slot: AnySlot): OpenCalls {
  slot.$open ??= new OpenCalls();
  return slot.$open;
}

/** Counts the call of a waiting method out when its result settles. */
export function countOpenPromise(result: PromiseLike<unknown>, open: OpenCalls): PromiseLike<unknown> {
  return result.then(
    (value) => {
      open.end();
      return value;
    },
    (error: unknown) => {
      open.end();
      throw error;
    },
  );
}

/** What an iterator has at least. */
interface AnyIterator<R> {
  next(...value: [] | [unknown]): R;
  return?(value?: unknown): R;
  throw?(error?: unknown): R;
}

type Result = IteratorResult<unknown>;

/** An iterator that counts itself out when it is at its end, returned or failed. */
class CountedIterator extends Iterator<unknown, unknown, unknown> {
  readonly #iterator: AnyIterator<Result>;
  readonly #open: OpenCalls;
  #ended = false;

  constructor(iterator: AnyIterator<Result>, open: OpenCalls) {
    super();
    this.#iterator = iterator;
    this.#open = open;
  }

  override next(...value: [] | [unknown]): Result {
    return this.#step(() => this.#iterator.next(...value));
  }

  override return(value?: unknown): Result {
    const iterator = this.#iterator;
    // Without `return` of its own it is just not used any more.
    return this.#step(() => iterator.return?.(value) ?? { done: true, value });
  }

  override throw(error?: unknown): Result {
    const iterator = this.#iterator;
    return this.#step(() => {
      if (iterator.throw !== undefined) return iterator.throw(error);
      iterator.return?.();
      throw error;
    });
  }

  #step(take: () => Result): Result {
    let done = true;
    try {
      const result = take();
      done = result.done === true;
      return result;
    } finally {
      if (done) this.#end();
    }
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#open.end();
  }
}

/** The same for an iterator of promises. */
class CountedAsyncIterator implements AsyncIterableIterator<unknown> {
  readonly #iterator: AnyIterator<Promise<Result>>;
  readonly #open: OpenCalls;
  #ended = false;

  constructor(iterator: AnyIterator<Promise<Result>>, open: OpenCalls) {
    this.#iterator = iterator;
    this.#open = open;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(...value: [] | [unknown]): Promise<Result> {
    return this.#step(() => this.#iterator.next(...value));
  }

  return(value?: unknown): Promise<Result> {
    const iterator = this.#iterator;
    return this.#step(() => iterator.return?.(value) ?? Promise.resolve({ done: true, value }));
  }

  throw(error?: unknown): Promise<Result> {
    const iterator = this.#iterator;
    return this.#step(async () => {
      if (iterator.throw !== undefined) return iterator.throw(error);
      await iterator.return?.();
      throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #step(take: () => Promise<Result>): Promise<Result> {
    let done = true;
    try {
      const result = await take();
      done = result.done === true;
      return result;
    } finally {
      if (done) this.#end();
    }
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#open.end();
  }
}

function isIterator(value: unknown): value is AnyIterator<never> {
  return typeof value === 'object' && value !== null && 'next' in value && typeof value.next === 'function';
}

/** Counts an iterator until its end; anything else that a method gives is not counted. */
export function countOpenIterator(result: unknown, open: OpenCalls, asynchronous: boolean): unknown {
  if (!isIterator(result)) {
    open.end();
    return result;
  }
  return asynchronous ? new CountedAsyncIterator(result, open) : new CountedIterator(result, open);
}
