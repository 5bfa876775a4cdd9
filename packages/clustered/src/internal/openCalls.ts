/**
 * Calls that may stay open for hours: of waiting methods, and iterators that are not at their end.
 *
 * They are counted on the slot they were made through, so that they hold up the destruction or the exchange of that object
 * and nothing else. When a slot is reset for an exchange it gets a new count, linked to the one before: calls made
 * from then on are the exchange's own business, those of before are what it waits for. Calls of *transferable* waiting
 * methods it does not wait for: it takes them along, so they have a count of their own, which goes with the slot.
 */
import type { AnySlot } from './slots.ts';

export class OpenCalls {
  #count = 0;
  #earlier: OpenCalls | undefined;
  #waiting: (() => void)[] = [];
  #transferable: OpenCalls | undefined;

  constructor(earlier?: OpenCalls) {
    if (earlier === undefined) return;
    // One on which nothing has begun adds nothing: exchanges that fail one after the other make no longer chain.
    this.#earlier = earlier.#count === 0 ? earlier.#earlier : earlier;
    this.#transferable = earlier.#transferable;
  }

  /** Calls that are open, those of earlier counts included, transferable ones not. */
  get count(): number {
    return this.#count + (this.#earlier?.count ?? 0);
  }

  /** The count of waiting calls that an exchange takes along: only a destruction waits for them. */
  get transferable(): OpenCalls {
    this.#transferable ??= new OpenCalls();
    return this.#transferable;
  }

  /** Whether no call at all is open. */
  get isOver(): boolean {
    return this.count === 0 && (this.#transferable?.count ?? 0) === 0;
  }

  /** Calls back when no call at all is open: now, if it is so. */
  whenOver(callback: () => void): void {
    this.whenNone(() => {
      if (this.#transferable === undefined) callback();
      else this.#transferable.whenNone(callback);
    });
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
export function countOpenPromise(result: PromiseLike<unknown>, open: OpenCalls): Promise<unknown> {
  return Promise.resolve(result).then(
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

/** Runs a step of an iterator, and gives what that gives. */
export type Around = (step: () => unknown) => unknown;

/**
 * An iterator that counts itself out when it is at its end, returned or failed. After that it gives nothing any more, and
 * does not touch the Rep's iterator, whatever that would still give.
 */
class CountedIterator extends Iterator<unknown, unknown, unknown> {
  readonly #open: OpenCalls;
  readonly #around: Around | undefined;
  #iterator: AnyIterator<Result> | undefined;

  constructor(iterator: AnyIterator<Result>, open: OpenCalls, around: Around | undefined) {
    super();
    this.#iterator = iterator;
    this.#open = open;
    this.#around = around;
  }

  override next(...value: [] | [unknown]): Result {
    const iterator = this.#iterator;
    if (iterator === undefined) return { done: true, value: undefined };
    return this.#step(() => iterator.next(...value));
  }

  override return(value?: unknown): Result {
    const iterator = this.#iterator;
    if (iterator === undefined) return { done: true, value };
    // Without `return` of its own it is just not used any more.
    return this.#step(() => iterator.return?.(value) ?? { done: true, value });
  }

  override throw(error?: unknown): Result {
    const iterator = this.#iterator;
    if (iterator === undefined) throw error;
    return this.#step(() => {
      if (iterator.throw !== undefined) return iterator.throw(error);
      iterator.return?.();
      throw error;
    });
  }

  #step(take: () => Result): Result {
    let done = true;
    try {
      const result = this.#around === undefined ? take() : (this.#around(take) as Result);
      done = result.done === true;
      return result;
    } finally {
      if (done) this.#end();
    }
  }

  #end(): void {
    if (this.#iterator === undefined) return;
    this.#iterator = undefined;
    this.#open.end();
  }
}

/** The same for an iterator of promises: at its end when that has been said and no step is under way any more. */
class CountedAsyncIterator implements AsyncIterableIterator<unknown> {
  readonly #open: OpenCalls;
  readonly #around: Around | undefined;
  #iterator: AnyIterator<PromiseLike<Result>> | undefined;
  #steps = 0;

  constructor(iterator: AnyIterator<PromiseLike<Result>>, open: OpenCalls, around: Around | undefined) {
    this.#iterator = iterator;
    this.#open = open;
    this.#around = around;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(...value: [] | [unknown]): Promise<Result> {
    const iterator = this.#iterator;
    if (iterator === undefined) return { done: true, value: undefined };
    return this.#step(() => iterator.next(...value));
  }

  async return(value?: unknown): Promise<Result> {
    const iterator = this.#iterator;
    if (iterator === undefined) return { done: true, value };
    return this.#step(() => iterator.return?.(value) ?? Promise.resolve({ done: true, value }));
  }

  async throw(error?: unknown): Promise<Result> {
    const iterator = this.#iterator;
    if (iterator === undefined) throw error;
    return this.#step(async () => {
      if (iterator.throw !== undefined) return iterator.throw(error);
      await iterator.return?.();
      throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** A step that ends it: nobody begins another one, and the last one that is under way counts it out. */
  async #step(take: () => PromiseLike<Result>): Promise<Result> {
    this.#steps++;
    let done = true;
    try {
      const result = (await (this.#around === undefined ? take() : this.#around(take))) as Result;
      done = result.done === true;
      return result;
    } finally {
      this.#steps--;
      if (done) this.#iterator = undefined;
      if (this.#iterator === undefined && this.#steps === 0) this.#open.end();
    }
  }
}

export function isIterator(value: unknown): value is AnyIterator<never> {
  return typeof value === 'object' && value !== null && 'next' in value && typeof value.next === 'function';
}

/**
 * Counts an iterator until its end, also one that something iterable gives; anything else that a method gives is not
 * counted. `around`, if given, runs each of its steps.
 */
export function countOpenIterator(
  result: unknown,
  open: OpenCalls,
  asynchronous: boolean,
  around?: Around,
): unknown {
  let iterator: AnyIterator<never> | undefined;
  try {
    iterator = isIterator(result) ? result : iteratorOf(result, asynchronous);
  } catch (error) {
    open.end();
    throw error;
  }
  if (iterator === undefined) {
    open.end();
    return result;
  }
  return asynchronous
    ? new CountedAsyncIterator(iterator, open, around)
    : new CountedIterator(iterator, open, around);
}

function iteratorOf(value: unknown, asynchronous: boolean): AnyIterator<never> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const iterable: Partial<AsyncIterable<unknown> & Iterable<unknown>> = value;
  const iterator = asynchronous ? iterable[Symbol.asyncIterator]?.() : iterable[Symbol.iterator]?.();
  return isIterator(iterator) ? iterator : undefined;
}
