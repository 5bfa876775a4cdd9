/**
 * Who owns what in machine memory, and whether it is still there.
 *
 * An owner is a processor number together with its incarnation: a number that is given out again is another owner.
 * The token packs both into the low 28 bits of a lock word. Asking whether an owner is alive must work for somebody
 * whose event loop stands still (a thread that sleeps on a lock hears of no death by events), so it looks at the
 * processor table and, where the platform shows it (Linux), at the thread itself.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { PROCESSOR, PROCESSOR_STATE, PROCESSORS_MAX, processorWord } from './layout.ts';

const NUMBER_BITS = 6;
const NUMBER_MASK: number = (1 << NUMBER_BITS) - 1;
const INCARNATION_MASK: number = (1 << 22) - 1;
/** Bits of a word that a token may occupy; a lock keeps its flags above. */
export const OWNER_TOKEN_MASK: number = (1 << 28) - 1;

/** An owner taken apart, for messages. */
export interface Owner {
  readonly processor: number;
  /** Modulo 2^22. */
  readonly incarnation: number;
}

/** What a lock needs to know of those who hold it. A processor's is `processor.owner`. */
export interface LockOwner {
  /** This owner as it stands in a lock word: positive, at most 28 bits. */
  readonly token: number;
  /** Whether the owner of a token may still release what it holds. Costs up to some 30 µs: ask before sleeping only. */
  isAlive(token: number): boolean;
}

export function ownerOf(token: number): Owner {
  return { processor: (token & NUMBER_MASK) - 1, incarnation: (token >>> NUMBER_BITS) & INCARNATION_MASK };
}

export function tokenOf(number: number, incarnation: number): number {
  return ((incarnation & INCARNATION_MASK) << NUMBER_BITS) | (number + 1);
}

/** The owner that a processor of a machine is. */
export class ProcessorOwner implements LockOwner {
  readonly token: number;
  readonly #words: Int32Array;

  constructor(machineWords: Int32Array, number: number, incarnation: number) {
    this.#words = machineWords;
    this.token = tokenOf(number, incarnation);
  }

  isAlive(token: number): boolean {
    const { processor, incarnation } = ownerOf(token);
    if (processor < 0 || processor >= PROCESSORS_MAX) return false;
    const read = (field: number): number => Atomics.load(this.#words, processorWord(processor, field));
    const state = read(PROCESSOR.STATE);
    if (state === PROCESSOR_STATE.ABSENT || state === PROCESSOR_STATE.GONE) return false;
    if ((read(PROCESSOR.INCARNATION) & INCARNATION_MASK) !== incarnation) return false;
    return isTaskAlive(read(PROCESSOR.TASK), read(PROCESSOR.TASK_STARTED));
  }
}

/** The calling thread as the operating system names it: `{ task: 0, started: 0 }` where it cannot be known. */
export function currentTask(): { task: number; started: number } {
  try {
    const task = Number(readlinkSync('/proc/thread-self').split('/').pop());
    return Number.isInteger(task) ? { task, started: startTime(task) } : { task: 0, started: 0 };
  } catch {
    return { task: 0, started: 0 };
  }
}

/** Whether a thread of this process still runs; true where that cannot be known, for whatever reason. */
export function isTaskAlive(task: number, started: number): boolean {
  if (task === 0) return true;
  try {
    return startTime(task) === started;
  } catch (error) {
    // No such file, no such process: it has ended. Anything else (no descriptor left to look with) says nothing.
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'ENOENT' && code !== 'ESRCH';
  }
}

/** Start of a thread in clock ticks since boot, as 31 bits: field 22 of its `stat`, counted from behind the name. */
function startTime(task: number): number {
  const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) & 0x7fffffff;
}
