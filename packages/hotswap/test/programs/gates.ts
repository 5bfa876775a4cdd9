/**
 * What scenes and processors tell each other in machine memory: gates at which somebody stands until the scene opens them,
 * counts of what has happened, and failures that are asked for.
 *
 * A gate is shut for one processor. Where it can, the code there waits turn by turn; at a gate that is shut *hard* the whole
 * processor stands still.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { currentProcessor, type MachineMemory } from '@k42/rcu';

export const GATE = {
  CALL: 0,
  OTHER_CALL: 1,
  THIRD_CALL: 2,
  THREAD: 3,
  TURN: 4,
  FREEZE: 5,
  EXPORT: 6,
  IMPORT: 7,
  ADOPT: 8,
} as const;
export type Gate = (typeof GATE)[keyof typeof GATE];

/** What is counted, for each processor. */
export const COUNT = {
  IMPORTS: 0,
  VALIDATIONS: 1,
  ADOPTIONS: 2,
  THAWS: 3,
  RECLAIMED_ONE: 4,
  RECLAIMED_TWO: 5,
} as const;
export type Count = (typeof COUNT)[keyof typeof COUNT];

const STATE = { OPEN: 0, SHUT: 1, HARD: 2 } as const;
const PROCESSORS = 8;
const GATES = 16;
const COUNTS = 16;
/** 32-bit words: of each gate its state and how many stand there, of each count its value; each times the processors. */
const WORD = {
  STATES: 0,
  STANDING: GATES * PROCESSORS,
  COUNTS: 2 * GATES * PROCESSORS,
  FAILURE: (2 * GATES + COUNTS) * PROCESSORS,
} as const;
/** Nobody stands longer, whatever has become of the scene. */
const STAND_MS = 60_000;

export class Gates {
  readonly #i32: Int32Array;
  readonly #base: number;

  constructor({ memory }: { readonly memory: MachineMemory }) {
    this.#i32 = memory.i32;
    this.#base = memory.block('test/gates-of-scenes', (WORD.FAILURE + 1) * 4) / 4;
  }

  /** Of the current processor. */
  static here(): Gates {
    return new Gates(currentProcessor());
  }

  shut(gate: Gate, processor: number, how: 'hard' | 'gently' = 'gently'): void {
    const state = how === 'hard' ? STATE.HARD : STATE.SHUT;
    Atomics.store(this.#i32, this.#state(gate, processor), state);
  }

  open(gate: Gate, processor: number): void {
    const at = this.#state(gate, processor);
    Atomics.store(this.#i32, at, STATE.OPEN);
    Atomics.notify(this.#i32, at);
  }

  /** How many stand at a gate. */
  standing(gate: Gate, processor: number): number {
    return Atomics.load(this.#i32, this.#standing(gate, processor));
  }

  /** Stands at a gate until it is open: in this very turn if it is shut hard, or nothing else is possible. */
  pass(gate: Gate, mayWait: boolean): Promise<void> | undefined {
    const { number } = currentProcessor();
    const state = Atomics.load(this.#i32, this.#state(gate, number));
    if (state === STATE.OPEN) return undefined;
    if (mayWait && state === STATE.SHUT) return this.#passLater(gate, number);
    Atomics.add(this.#i32, this.#standing(gate, number), 1);
    Atomics.wait(this.#i32, this.#state(gate, number), state, STAND_MS);
    Atomics.sub(this.#i32, this.#standing(gate, number), 1);
    return undefined;
  }

  async #passLater(gate: Gate, number: number): Promise<void> {
    Atomics.add(this.#i32, this.#standing(gate, number), 1);
    while (Atomics.load(this.#i32, this.#state(gate, number)) !== STATE.OPEN) await nextTurn();
    Atomics.sub(this.#i32, this.#standing(gate, number), 1);
  }

  add(count: Count): void {
    Atomics.add(this.#i32, this.#count(count, currentProcessor().number), 1);
  }

  /** On one processor, or on all. */
  count(count: Count, processor?: number): number {
    if (processor !== undefined) return Atomics.load(this.#i32, this.#count(count, processor));
    let sum = 0;
    for (let number = 0; number < PROCESSORS; number++) sum += this.count(count, number);
    return sum;
  }

  /** From now on new objects find that they are not as they should be. */
  set invalid(isInvalid: boolean) {
    Atomics.store(this.#i32, this.#base + WORD.FAILURE, isInvalid ? 1 : 0);
  }

  get invalid(): boolean {
    return Atomics.load(this.#i32, this.#base + WORD.FAILURE) === 1;
  }

  #state(gate: Gate, processor: number): number {
    return this.#base + WORD.STATES + gate * PROCESSORS + processor;
  }

  #standing(gate: Gate, processor: number): number {
    return this.#base + WORD.STANDING + gate * PROCESSORS + processor;
  }

  #count(count: Count, processor: number): number {
    return this.#base + WORD.COUNTS + count * PROCESSORS + processor;
  }
}
