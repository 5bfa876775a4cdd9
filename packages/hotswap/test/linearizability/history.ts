/**
 * Recorded histories: who called what, when, and what came of it, as it happened on several processors.
 *
 * The records lie in machine memory, a log for each processor number, so that those of a processor that is killed are
 * there. Times are tickets from one atomic count: one is drawn before the call, one after it. If a call returned before
 * another was made, its second ticket was drawn before the other's first one, and is smaller; so the order of tickets is exact
 * where it says that one call came after another, and says nothing else.
 *
 * A record is written before its call is made. Where the call does not return, the record says so by having no second ticket.
 */
import { currentProcessor } from '@k42/rcu';
import type { Operation } from './checker.ts';

/** 32-bit words of a record. */
const RECORD = { CALLED: 0, OBJECT: 1, NAME: 2, A: 3, B: 4, RETURNED: 5, RESULT: 6, WORDS: 8 } as const;
/** Words of the block: the next ticket, then a log per processor number, which begins with how many records it has. */
const BLOCK = { TICKET: 0, LOGS: 16 } as const;
const NUMBERS = 6;
const RECORDS_MAX = 8000;
const LOG = { LENGTH: 0, RECORDS: 16, WORDS: 16 + RECORDS_MAX * RECORD.WORDS } as const;

/** Names of operations, by the number that a record has. */
export const NAMES = [
  'read',
  'write',
  'add',
  'compareAndSet',
  'has',
  'delete',
  'inc',
  'value',
  'push',
  'pop',
  'tryPop',
  'size',
] as const;
export type Name = (typeof NAMES)[number];

/** An argument that there is not. */
const ABSENT = -(2 ** 31);

function block(): { readonly words: Int32Array; readonly base: number } {
  const { memory } = currentProcessor();
  return {
    words: memory.i32,
    base: memory.block('test/history', (BLOCK.LOGS + NUMBERS * LOG.WORDS) * 4) / 4,
  };
}

/** Writes the log of this processor. A number that another had before goes on where that one stopped. */
export class Recorder {
  readonly #words: Int32Array;
  readonly #base: number;
  readonly #log: number;
  #length: number;

  constructor() {
    const { words, base } = block();
    this.#words = words;
    this.#base = base;
    this.#log = logAt(base, currentProcessor().number);
    this.#length = words[this.#log + LOG.LENGTH] as number;
  }

  get isFull(): boolean {
    return this.#length === RECORDS_MAX;
  }

  /** Calls recorded in this log. */
  get length(): number {
    return this.#length;
  }

  /** Records a call that is synchronous. What it throws passes through, and the call is one that did not return. */
  record(object: number, name: Name, args: readonly number[], call: () => number): number {
    const record = this.#begin(object, name, args);
    const result = call();
    this.#end(record, result);
    return result;
  }

  /** Records a call whose promise settles when it is over. */
  async recordLater(
    object: number,
    name: Name,
    args: readonly number[],
    call: () => Promise<number>,
  ): Promise<number> {
    const record = this.#begin(object, name, args);
    const result = await call();
    this.#end(record, result);
    return result;
  }

  #begin(object: number, name: Name, args: readonly number[]): number {
    if (this.isFull) throw new Error(`no room for more than ${RECORDS_MAX} records`);
    const words = this.#words;
    const record = recordAt(this.#log, this.#length);
    // Plain: whoever reads them does so after this processor has stopped or is dead.
    words[record + RECORD.OBJECT] = object;
    words[record + RECORD.NAME] = NAMES.indexOf(name);
    words[record + RECORD.A] = args[0] ?? ABSENT;
    words[record + RECORD.B] = args[1] ?? ABSENT;
    words[record + RECORD.CALLED] = this.#ticket();
    this.#length++;
    // Atomic, so that it is done before the call begins: a call that has an effect has a record.
    Atomics.store(words, this.#log + LOG.LENGTH, this.#length);
    return record;
  }

  #end(record: number, result: number): void {
    this.#words[record + RECORD.RESULT] = result;
    Atomics.store(this.#words, record + RECORD.RETURNED, this.#ticket());
  }

  #ticket(): number {
    return Atomics.add(this.#words, this.#base + BLOCK.TICKET, 1) + 1;
  }
}

function logAt(base: number, number: number): number {
  return base + BLOCK.LOGS + number * LOG.WORDS;
}

function recordAt(log: number, index: number): number {
  return log + LOG.RECORDS + index * RECORD.WORDS;
}

/** How many calls have been made until now. */
export function callsMade(): number {
  const { words, base } = block();
  let sum = 0;
  for (let number = 0; number < NUMBERS; number++)
    sum += Atomics.load(words, logAt(base, number) + LOG.LENGTH);
  return sum;
}

/** The histories of all objects, by the numbers that the recorders gave them. Nobody may be recording any more. */
export function histories(): Map<number, Operation[]> {
  const { words, base } = block();
  const found = new Map<number, Operation[]>();
  for (let number = 0; number < NUMBERS; number++) {
    const log = logAt(base, number);
    const length = Atomics.load(words, log + LOG.LENGTH);
    for (let index = 0; index < length; index++) {
      const record = recordAt(log, index);
      const word = (field: number): number => words[record + field] as number;
      const returned = Atomics.load(words, record + RECORD.RETURNED);
      const operation: Operation = {
        name: NAMES[word(RECORD.NAME)] as Name,
        args: [word(RECORD.A), word(RECORD.B)].filter((value) => value !== ABSENT),
        called: word(RECORD.CALLED),
        returned: returned === 0 ? undefined : returned,
        result: returned === 0 ? undefined : word(RECORD.RESULT),
        by: number,
      };
      const object = word(RECORD.OBJECT);
      const history = found.get(object);
      if (history === undefined) found.set(object, [operation]);
      else history.push(operation);
    }
  }
  return found;
}
