/**
 * The block of machine memory that torture works on: what readers and updaters race for, and what they count.
 *
 *     header | errors | counters, a row per processor | lanes
 *
 * A *lane* is one updater's: a pointer to its current element, its elements, and its ledger of portable callbacks. Even lanes
 * belong to the machine's domain, odd ones to a domain of torture's own. What goes wrong is written down here and not thrown:
 * the processor that sees it may be terminated in the next moment.
 */
import { currentProcessor, Domain, type MachineMemory, rcu } from '../../src/index.ts';

export const LANES_MAX = 16;
export const ELEMENTS = 12;
/** Words of an element: its age, its version and its payload. */
export const ELEMENT = { AGE: 0, VERSION: 1, PAYLOAD: 2, PAYLOAD_WORDS: 30, WORDS: 32 } as const;

const LEDGER_AT: number = 64 + ELEMENTS * ELEMENT.WORDS;
const LEDGER_WORDS = 512;

export const LANE: Readonly<
  Record<
    | 'POINTER'
    | 'LIFE'
    | 'STAGE'
    | 'PROGRESS'
    | 'IN_CALLBACK'
    | 'ELEMENTS'
    | 'LEDGER'
    | 'LEDGER_WORDS'
    | 'WORDS',
    number
  >
> = {
  /** 1 + number of the current element, 0 before there is one. */
  POINTER: 0,
  /** Which worker the lane is the work of, counted from 1, and how far that one has come; for the kill scenario. */
  LIFE: 16,
  STAGE: 17,
  PROGRESS: 18,
  IN_CALLBACK: 19,
  ELEMENTS: 64,
  LEDGER: LEDGER_AT,
  LEDGER_WORDS,
  WORDS: LEDGER_AT + LEDGER_WORDS,
};

/** In a word of a ledger, beside the number of times the callback has run: it has been handed in, for all the worker knows. */
export const ACCEPTED: number = 1 << 16;

export const HEADER = {
  STOP: 0,
  ERRORS: 1,
  /** Lanes that readers look at. */
  LANES: 2,
  /** For the scenarios, each to its own taste; see there. */
  FREE: 16,
  FREE_WORDS: 112,
  WORDS: 128,
} as const;

const ERROR_SLOTS = 8;
const ERROR_WORDS = 8;
const COUNTER_WORDS = 64;
const PROCESSORS = 60;
const ERRORS_AT: number = HEADER.WORDS;
const COUNTERS_AT: number = ERRORS_AT + ERROR_SLOTS * ERROR_WORDS;
const LANES_AT: number = COUNTERS_AT + PROCESSORS * COUNTER_WORDS;
const BLOCK_WORDS: number = LANES_AT + LANES_MAX * LANE.WORDS;

/** What may have been seen; a problem is its place in the list, and the numbers written with it. */
export const PROBLEMS = [
  'a reader saw age [0] of an element that it had found current: a grace period ended too early (lane [1], kind [2])',
  'a reader saw its element recycled, version [0] instead of [1] (lane [2])',
  'a reader saw word [1] of an element hold [0] instead of [2]: it was not initialised yet, or is recycled already (lane [3])',
  'callback [0] ran after callback [1] (lane [2])',
  'a barrier settled before a callback that had been handed in had run (lane [0])',
  'a portable callback of life [0] ran in life [1] (lane [2])',
  'a wait ([0]) settled while processor [1] held a thread that was live at the request',
  'forbidden outcome of a litmus pattern in round [0]: [1] [2] [3]',
  'a thread saw [0] swaps of its processor since it had begun; more than [1] are too many',
  'a thread that holds calls could announce a quiescent state',
  'more callbacks were pending ([0]) than back-pressure lets through ([1])',
  'something was thrown on processor [0]; see the output',
] as const;

export const PROBLEM = {
  AGE: 0,
  RECYCLED: 1,
  PAYLOAD: 2,
  ORDER: 3,
  BARRIER: 4,
  WRONG_LIFE: 5,
  EARLY: 6,
  FORBIDDEN: 7,
  SWAPS: 8,
  QUIESCENT: 9,
  PRESSURE: 10,
  THROWN: 11,
} as const;

export const COUNTER = {
  READS: 0,
  /** Reads that found nothing published. */
  EMPTY: 1,
  UPDATES: 2,
  /** By age of the element at the end of the read; ages from 2 are errors. */
  AGES: 8,
  /** Grace periods by form of wait; see `waits.ts`. */
  FORMS: 24,
} as const;

export class Words {
  readonly i32: Int32Array;
  readonly #base: number;
  readonly #processor: number;

  constructor(memory: MachineMemory, processor: number) {
    this.i32 = memory.i32;
    this.#base = memory.block('test/torture/words', BLOCK_WORDS * 4) / 4;
    this.#processor = processor;
  }

  /** Those of the calling processor. */
  static here(): Words {
    const { memory, number } = currentProcessor();
    return new Words(memory, number);
  }

  /** Index of a word of the header. */
  header(field: number): number {
    return this.#base + field;
  }

  /** Index of a word that a scenario may use as it likes. */
  free(index: number): number {
    if (index >= HEADER.FREE_WORDS) throw new RangeError(`No free word ${index}.`);
    return this.#base + HEADER.FREE + index;
  }

  lane(lane: number): number {
    return this.#base + LANES_AT + lane * LANE.WORDS;
  }

  element(lane: number, element: number): number {
    return this.lane(lane) + LANE.ELEMENTS + element * ELEMENT.WORDS;
  }

  get stopped(): boolean {
    return Atomics.load(this.i32, this.header(HEADER.STOP)) !== 0;
  }

  stop(): void {
    Atomics.store(this.i32, this.header(HEADER.STOP), 1);
  }

  count(counter: number): void {
    Atomics.add(this.i32, this.#base + COUNTERS_AT + this.#processor * COUNTER_WORDS + counter, 1);
  }

  /** A counter of one processor, or of all together. */
  counted(counter: number, processor?: number): number {
    if (processor !== undefined)
      return Atomics.load(this.i32, this.#base + COUNTERS_AT + processor * COUNTER_WORDS + counter);
    let sum = 0;
    for (let number = 0; number < PROCESSORS; number++) sum += this.counted(counter, number);
    return sum;
  }

  problem(problem: number, ...numbers: readonly number[]): void {
    const slot = Atomics.add(this.i32, this.header(HEADER.ERRORS), 1);
    if (slot >= ERROR_SLOTS) return;
    const at = this.#base + ERRORS_AT + slot * ERROR_WORDS;
    this.i32[at + 1] = this.#processor;
    for (const [index, number] of numbers.entries()) this.i32[at + 2 + index] = number;
    Atomics.store(this.i32, at, problem + 1);
  }

  get problems(): number {
    return Atomics.load(this.i32, this.header(HEADER.ERRORS));
  }

  /** @throws Error that says what has been seen, if anything has. */
  assertNoProblem(): void {
    const count = this.problems;
    if (count === 0) return;
    const seen: string[] = [];
    for (let slot = 0; slot < Math.min(count, ERROR_SLOTS); slot++) {
      const at = this.#base + ERRORS_AT + slot * ERROR_WORDS;
      const problem = PROBLEMS[Atomics.load(this.i32, at) - 1] ?? '(being written)';
      const text = problem.replace(/\[(\d)\]/g, (_match, index) => String(this.i32[at + 2 + Number(index)]));
      seen.push(`processor ${this.i32[at + 1]}: ${text}`);
    }
    throw new Error(`${count} problems, among them:\n  ${seen.join('\n  ')}`);
  }
}

/** Takes a failure of work that nobody may be there to hear of any more. */
export function reportThrown(error: unknown): void {
  console.error(error);
  try {
    const words = Words.here();
    words.problem(PROBLEM.THROWN, currentProcessor().number);
  } catch {
    // Not a processor any more: printed is all it can be.
  }
}

let torture: Domain | undefined;

/** The domain that a lane belongs to, by its parity. */
export function domainOf(lane: number): Domain {
  if (lane % 2 === 0) return rcu;
  torture ??= Domain.named('torture');
  return torture;
}
