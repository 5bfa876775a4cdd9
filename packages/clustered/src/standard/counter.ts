/**
 * Counters that all processors count on.
 *
 * ## Shared
 * One word, added to atomically. Reading is one load; counting costs an atomic operation, on a cache line that all processors
 * fight for.
 *
 * ## Distributed
 * A word per processor, its share, which only its owner writes; the value is the sum. Counting is a plain store:
 * - nobody else writes the word, so no addition is lost;
 * - it is an aligned 64-bit store, which no processor that Node runs on tears, although the language would allow it;
 * - a reader may see it late, but not if the count *happened before* the reading (the counting thread sent a message or did an
 *   atomic operation afterwards that the reader has seen): then it must see it, by the language's own rules.
 * The Rep keeps its count in two parts, a base and a small integer, and stores their sum: it never loads what it has just stored
 * to add to it, which would be the longest wait in the whole operation. What the shares hold is the truth; a Rep begins from it.
 *
 * *Approximate reading.* Reading a word that another processor writes all the time takes its cache line away. Therefore each
 * processor also *reports*: when its count is `batch` away from what it reported last, it stores it into a second word, beside
 * the reports of the others. The sum of the reports is less than `batch` times the number of processors from the value, and its
 * cache lines seldom change. (Linux's percpu_counter adds what has not been reported to one central word instead. A processor
 * killed between that addition and the note that it was made would leave the word wrong for ever; a store can be repeated.)
 *
 * *Departure and death.* A share stays when its processor goes, and so does its report; who has the number next goes on from
 * the share. A processor killed between the two stores has counted and not reported: a difference like any other.
 *
 * ## Swapping
 * When a counter is swapped nobody calls it, and whoever moves the state has seen the last stores of all: the value is exact,
 * and is all there is to move. The new counter begins with it.
 */
import { InvalidArgumentError, PROCESSORS_MAX } from '@k42/rcu';
import { defineImplementation, type Implementation } from '../implementations.ts';
import { defineInterface, type Interface } from '../interfaces.ts';
import type { RootContext } from '../root.ts';
import { DistributedRoot, SharedRoot } from '../roots.ts';
import { carriesState, type Part } from './parts.ts';

/** A counter of whole numbers, exact as long as no value, and no processor's part of it, is beyond 2^53. */
export interface Counter {
  inc(): void;
  dec(): void;
  /** @throws InvalidArgumentError if `by` is no safe integer. */
  add(by: number): void;
  /**
   * The value: exact for all calls that happened before this one. No snapshot: of calls that go on meanwhile on several processors,
   * a later one may be in it and an earlier one not.
   */
  value(): number;
  /** About the value, without disturbing those who count. */
  approximate(): number;
}

export const Counter: Interface<Counter> = defineInterface<Counter>('k42/counter', {
  inc: 'sync',
  dec: 'sync',
  add: 'sync',
  value: 'sync',
  approximate: 'sync',
});

export interface CounterOptions {
  /** What it begins with, unless it takes the place of another counter. Default 0. */
  readonly start?: number;
}

export interface DistributedCounterOptions extends CounterOptions {
  /** How far a processor's count may be from what it has reported: 1 to 2^30. Default 64. */
  readonly batch?: number;
}

const BATCH = 64;
const BATCH_MAX = 2 ** 30;

function checkWhole(what: string, value: number): void {
  if (!Number.isSafeInteger(value))
    throw new InvalidArgumentError(`${what} is a whole number of at most 2^53 - 1, not ${value}.`);
}

function checkBatch(batch: number): void {
  if (!Number.isInteger(batch) || batch < 1 || batch > BATCH_MAX)
    throw new InvalidArgumentError(`batch is a whole number from 1 to ${BATCH_MAX}, not ${batch}.`);
}

/** 64-bit words of the state. */
const STATE = {
  /** Shared: the value, an integer. Distributed: what the counter began with, a float. */
  VALUE: 0,
  /** A float; 0: the default. The shared counter has no use for it. */
  BATCH: 1,
  /** Distributed, on lines of their own: a report per processor number. */
  REPORTS: 8,
} as const;

const TOTAL = 'k42/counter-total@1';

/** What goes over in a swap. */
interface Total {
  readonly total: number;
  readonly batch?: number | undefined;
}

function batchOf({ memory, stateOffset }: RootContext): number | undefined {
  const batch = memory.f64[stateOffset / 8 + STATE.BATCH] as number;
  return batch === 0 ? undefined : batch;
}

/** Takes over what no argument has said. Plain: nobody else has the object yet. */
function takeBatch(context: RootContext, batch: number | undefined): void {
  if (batch === undefined || batchOf(context) !== undefined) return;
  checkBatch(batch);
  context.memory.f64[context.stateOffset / 8 + STATE.BATCH] = batch;
}

class SharedCounterRep implements Counter {
  readonly #words: BigInt64Array;
  readonly #at: number;

  constructor({ memory, stateOffset }: RootContext) {
    this.#words = memory.i64;
    this.#at = stateOffset / 8 + STATE.VALUE;
  }

  inc(): void {
    // Pairs with the load in value() and the additions of others, of which none is lost. The same in dec() and add().
    Atomics.add(this.#words, this.#at, 1n);
  }

  dec(): void {
    Atomics.sub(this.#words, this.#at, 1n);
  }

  add(by: number): void {
    checkWhole('What is added', by);
    Atomics.add(this.#words, this.#at, BigInt(by));
  }

  value(): number {
    // Pairs with the additions.
    return Number(Atomics.load(this.#words, this.#at));
  }

  approximate(): number {
    return this.value();
  }
}

class SharedCounterRoot extends SharedRoot<Counter> {
  static readonly exports: readonly string[] = [TOTAL];
  static readonly imports: readonly string[] = [TOTAL];

  protected override createRep(): Counter {
    return new SharedCounterRep(this.context);
  }

  exportPart(_protocol: string, part: Part): Total | undefined {
    if (!carriesState(part)) return undefined;
    return { total: new SharedCounterRep(this.context).value(), batch: batchOf(this.context) };
  }

  importPart(_protocol: string, _part: Part, { total, batch }: Total): void {
    checkWhole('A total', total);
    const { memory, stateOffset } = this.context;
    takeBatch(this.context, batch);
    // Plain: whoever calls it next has seen the swap decided.
    memory.i64[stateOffset / 8 + STATE.VALUE] = BigInt(total);
  }
}

/** One word all processors add to: exact at any time, for counts that are read often and seldom change. */
export const SharedCounter: Implementation<Counter, CounterOptions | undefined> = defineImplementation<
  Counter,
  CounterOptions | undefined
>({
  name: 'k42/counter-shared@1',
  interface: Counter,
  module: import.meta.url,
  Root: SharedCounterRoot,
  stateBytes: (STATE.BATCH + 1) * 8,
  initialise: ({ memory, stateOffset }, { start = 0 } = {}) => {
    checkWhole('start', start);
    // Plain: nobody else has the object yet.
    memory.i64[stateOffset / 8 + STATE.VALUE] = BigInt(start);
  },
});

/** The value of a distributed counter. */
function sumOf(context: RootContext): number {
  const words = context.memory.f64;
  let sum = words[context.stateOffset / 8 + STATE.VALUE] as number;
  // Plain: see the header.
  for (const offset of context.shareOffsets()) sum += words[offset / 8] as number;
  return sum;
}

class DistributedCounterRep implements Counter {
  readonly #context: RootContext;
  readonly #words: Float64Array;
  /** Our share, and our report. */
  readonly #share: number;
  readonly #report: number;
  readonly #start: number;
  readonly #batch: number;
  /** Our count is their sum; `#low` is what has been counted since the last report. */
  #base: number;
  #low: number;

  constructor(context: RootContext) {
    const { memory, processor, stateOffset, shareOffset } = context;
    const words = memory.f64;
    const state = stateOffset / 8;
    this.#context = context;
    this.#words = words;
    this.#share = shareOffset / 8;
    this.#report = state + STATE.REPORTS + processor;
    this.#start = words[state + STATE.VALUE] as number;
    this.#batch = batchOf(context) ?? BATCH;
    // Plain: a predecessor of our number, if there was one, is gone. Where it has not reported, we do.
    this.#base = words[this.#share] as number;
    this.#low = 0;
    words[this.#report] = this.#base;
  }

  inc(): void {
    const low = this.#low + 1;
    this.#low = low;
    // Plain: see the header. The same in dec() and add().
    this.#words[this.#share] = this.#base + low;
    if (low >= this.#batch) this.#doReport();
  }

  dec(): void {
    const low = this.#low - 1;
    this.#low = low;
    this.#words[this.#share] = this.#base + low;
    if (low <= -this.#batch) this.#doReport();
  }

  add(by: number): void {
    checkWhole('What is added', by);
    const low = this.#low + by;
    if (low > -this.#batch && low < this.#batch) {
      this.#low = low;
      this.#words[this.#share] = this.#base + low;
    } else {
      // Into the base at once, so that `#low` stays a small integer.
      this.#base += by;
      this.#words[this.#share] = this.#base + this.#low;
      this.#doReport();
    }
  }

  value(): number {
    return sumOf(this.#context);
  }

  approximate(): number {
    const words = this.#words;
    const first = this.#report - this.#context.processor;
    const end = first + this.#context.processors;
    let sum = this.#start;
    // Plain, as the shares are. Numbers that nobody has had have reported 0.
    for (let report = first; report < end; report++) sum += words[report] as number;
    return sum;
  }

  #doReport(): void {
    this.#base += this.#low;
    this.#low = 0;
    this.#words[this.#report] = this.#base;
  }
}

class DistributedCounterRoot extends DistributedRoot<Counter> {
  static readonly exports: readonly string[] = [TOTAL];
  static readonly imports: readonly string[] = [TOTAL];

  protected override createRep(): Counter {
    return new DistributedCounterRep(this.context);
  }

  exportPart(_protocol: string, part: Part): Total | undefined {
    if (!carriesState(part)) return undefined;
    return { total: sumOf(this.context), batch: batchOf(this.context) };
  }

  importPart(_protocol: string, _part: Part, { total, batch }: Total): void {
    checkWhole('A total', total);
    const { memory, stateOffset } = this.context;
    takeBatch(this.context, batch);
    // Plain: whoever calls it next has seen the swap decided. No share is made before.
    memory.f64[stateOffset / 8 + STATE.VALUE] = total;
  }
}

/** A word per processor: counting costs no atomic operation, reading is adding up. */
export const DistributedCounter: Implementation<Counter, DistributedCounterOptions | undefined> =
  defineImplementation<Counter, DistributedCounterOptions | undefined>({
    name: 'k42/counter-distributed@1',
    interface: Counter,
    module: import.meta.url,
    Root: DistributedCounterRoot,
    stateBytes: (STATE.REPORTS + PROCESSORS_MAX) * 8,
    shareBytes: 8,
    initialise: ({ memory, stateOffset }, { start = 0, batch } = {}) => {
      checkWhole('start', start);
      if (batch !== undefined) checkBatch(batch);
      // Plain: nobody else has the object yet.
      memory.f64[stateOffset / 8 + STATE.VALUE] = start;
      memory.f64[stateOffset / 8 + STATE.BATCH] = batch ?? 0;
    },
  });
