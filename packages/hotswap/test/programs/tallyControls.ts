/**
 * What the tests and the program of the tally share in machine memory: gates at which a processor stops, failures asked for, and
 * what the streams of calls have come to.
 *
 * A processor that stops at a gate sleeps there, so that it can be killed where it stands. A gate that is *held* keeps nobody's
 * event loop: whoever may wait asynchronously does so until it is opened.
 */
import { currentProcessor, type MachineMemory } from '@k42/rcu';

/** Where an implementation stops or fails. */
export const STEP = {
  FREEZE: 0,
  THAW: 1,
  EXPORT: 2,
  IMPORT: 3,
  VALIDATE: 4,
  ADOPT: 5,
  RELINQUISH: 6,
  RECLAIM: 7,
  INITIALISE: 8,
  CALL: 9,
  /** Not in a hook: at an atomic operation of the thread, or just after it has changed a swap's phase (`stopping.ts`). */
  ATOMIC: 10,
  PHASE: 11,
} as const;
export type Step = (typeof STEP)[keyof typeof STEP];

export const STREAM = { SYNC: 0, ASYNC: 1, NESTED: 2 } as const;
export const STREAMS = 3;
export const CALLERS_MAX = 1024;

/** Words. */
export const AT = {
  /** A gate's state, and how many are to pass before one stops. */
  GATE: 0,
  PASSES: 16,
  FAULT_STEP: 32,
  FAULT_COUNTDOWN: 33,
  /** Who fails; ANYBODY, if it does not matter. */
  FAULT_PROCESSOR: 34,
  /** Whether hooks of asynchronous interfaces take a turn, and fail in that. */
  FAULT_LATER: 35,
  STOP: 36,
  DISORDER: 37,
  WRONG: 38,
  ADOPTED: 39,
  RELINQUISHED: 40,
  /** What lingers does so while its word is not 0. */
  LINGER_THREAD: 41,
  LINGER_CALL: 44,
  /** 1 + the number of a processor that validates last, and how many do so before it. */
  LAST: 45,
  OTHERS: 46,
  VALIDATED: 47,
  /** What phase the one who stops at PHASE has just opened. */
  PHASE: 42,
  /** Atomic operations counted so far. */
  OPERATIONS: 43,
  /** What a module that is loaded later defines, and 1 + the number of the processor where it does not load. */
  LATER_VERSION: 48,
  NOT_ON: 49,
  LATER_LOADED: 51,
  /** How many calls may have been torn by the death of a processor in the midst of them. */
  TORN: 52,
  /** Promises that were rejected and that nobody has handled, on any processor. */
  REJECTIONS: 50,
  STREAMS: 64,
} as const;
const BYTES = (AT.STREAMS + CALLERS_MAX * STREAMS) * 4;

export const ANYBODY = -1;
const OPEN = 0;
export const STANDING = 1000;
const HELD = 2000;
/** Nobody stands longer, whatever has become of the test. */
const STAND_MS = 60_000;

const { load, store, add, sub, exchange, compareExchange, notify, wait } = Atomics;

/** The functions of Atomics are taken beforehand: a test may put others in their place. */
export class Controls {
  readonly #i32: Int32Array;
  readonly #base: number;
  readonly #me: number;

  constructor(memory: MachineMemory) {
    this.#i32 = memory.i32;
    this.#base = memory.block('test/tally', BYTES) / 4;
    this.#me = currentProcessor().number;
  }

  /** As they are at the beginning. */
  reset(): void {
    for (let at = 0; at < BYTES / 4; at++) this.set(at, 0);
  }

  /** Index of a word in machine memory, for whoever has no more than its buffer. */
  wordOf(at: number): number {
    return this.#base + at;
  }

  get(at: number): number {
    return load(this.#i32, this.#base + at);
  }

  set(at: number, value: number): void {
    store(this.#i32, this.#base + at, value);
  }

  add(at: number): void {
    add(this.#i32, this.#base + at, 1);
  }

  // Gates

  /** A processor that comes to the gate stops there, once, having passed it so many times. */
  arm(step: Step, processor: number, passes = 0): void {
    this.set(AT.PASSES + step, passes);
    this.set(AT.GATE + step, 1 + processor);
  }

  /** Whoever may wait asynchronously waits until the gate is opened. */
  hold(step: Step): void {
    this.set(AT.GATE + step, HELD);
  }

  open(step: Step): void {
    this.set(AT.GATE + step, OPEN);
    notify(this.#i32, this.#base + AT.GATE + step);
  }

  standsAt(step: Step): boolean {
    return this.get(AT.GATE + step) === STANDING;
  }

  /** One more atomic operation. */
  count(): void {
    this.add(AT.OPERATIONS);
  }

  pass(step: Step, maybeLater: boolean): Promise<void> | undefined {
    const at = this.#base + AT.GATE + step;
    const state = load(this.#i32, at);
    if (state === OPEN) return undefined;
    if (state === HELD) return maybeLater ? this.#opened(at) : undefined;
    if (state !== 1 + this.#me || sub(this.#i32, this.#base + AT.PASSES + step, 1) > 0) return undefined;
    // Pairs with arm(): one stops, once.
    if (compareExchange(this.#i32, at, state, STANDING) === state) wait(this.#i32, at, STANDING, STAND_MS);
    return undefined;
  }

  async #opened(at: number): Promise<void> {
    while (load(this.#i32, at) === HELD) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  // Failures

  /** The n-th time that a processor comes to a step it fails. */
  failAt(step: Step, nth: number, processor: number = ANYBODY): void {
    this.set(AT.FAULT_COUNTDOWN, nth);
    this.set(AT.FAULT_PROCESSOR, processor);
    this.set(AT.FAULT_STEP, 1 + step);
  }

  /** Whether it failed. */
  get hasFailed(): boolean {
    return this.get(AT.FAULT_COUNTDOWN) <= 0;
  }

  failNoMore(): void {
    this.set(AT.FAULT_STEP, 0);
  }

  fails(step: Step): boolean {
    if (this.get(AT.FAULT_STEP) !== 1 + step) return false;
    const who = this.get(AT.FAULT_PROCESSOR);
    if (who !== ANYBODY && who !== this.#me) return false;
    return sub(this.#i32, this.#base + AT.FAULT_COUNTDOWN, 1) === 1;
  }

  // Calls

  /** A call has begun to run; those of NESTED streams are in no order that was promised, and are only counted. */
  note(caller: number, stream: number, number: number): void {
    const at = this.#base + AT.STREAMS + caller * STREAMS + stream;
    if (stream === STREAM.NESTED) add(this.#i32, at, 1);
    else if (exchange(this.#i32, at, number) !== number - 1) this.add(AT.DISORDER);
  }

  /** What a caller's streams have come to. */
  streams(caller: number): number[] {
    return Array.from({ length: STREAMS }, (_, stream) => this.get(AT.STREAMS + caller * STREAMS + stream));
  }
}

const known = new WeakMap<Int32Array, Controls>();

export function controlsOf(memory: MachineMemory): Controls {
  let controls = known.get(memory.i32);
  if (controls === undefined) {
    controls = new Controls(memory);
    known.set(memory.i32, controls);
  }
  return controls;
}
