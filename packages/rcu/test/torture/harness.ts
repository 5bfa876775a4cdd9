/**
 * What every scenario is made of: a seed, a size, waits that have a deadline and say what they waited for.
 *
 * A scenario boots its own machine, lets processors work against each other, and throws if anything was seen that must not
 * be. It gives its counts, so that a run that did next to nothing is told from one that tried hard; the least counts that
 * it must reach are waited for, not timed.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { check, type Waits, waitsOf } from '@k42/tooling/waits';
import { Machine, type MachineOptions } from '../../src/index.ts';

export { check };

/** What the processors of most scenarios run. */
export const PROGRAM: URL = new URL('../programs/torture.ts', import.meta.url);

export interface Run {
  readonly seed: number;
  /** How much of everything: 1 for the short form that `test` runs. */
  readonly scale: number;
}

export type Counts = Record<string, number>;

export type Scenario = (run: Run) => Promise<Counts>;

/** Milliseconds for anything that is waited for; the environment reaches the workers as well. */
export const WAIT_MS: number = Number(process.env.K42_TORTURE_WAIT_MS ?? 15_000);

const waits = waitsOf(WAIT_MS);
export const inTime: Waits['inTime'] = waits.inTime;
export const until: Waits['until'] = waits.until;

/** Turns enough for whatever is ready to happen on this processor to have happened. */
export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

/** Keeps this thread from doing anything else for a time. */
export function spin(microseconds: number): void {
  const end = performance.now() + microseconds / 1000;
  while (performance.now() < end);
}

/**
 * Boots a machine for a scenario and closes it after. After a failure it is left as it is: the process ends, and a broken
 * machine might take for ever to close.
 */
export async function onMachine<T>(
  options: Omit<MachineOptions, 'program'>,
  work: (machine: Machine) => Promise<T>,
  program: URL = PROGRAM,
): Promise<T> {
  const machine = await Machine.boot({ program, memoryBytes: 1 << 24, bootDeadlineMs: WAIT_MS, ...options });
  const result = await work(machine);
  await inTime(machine.close(), 'the machine to close', 2 * WAIT_MS);
  return result;
}

export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return undefined;
}
