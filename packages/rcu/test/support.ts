/**
 * What several test files share: a machine that closes when its test ends, and turns of the event loop.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { Machine, type MachineOptions } from '../src/index.ts';

export const program: URL = new URL('./programs/workbench.ts', import.meta.url);

/** Boots a machine that is closed when the test ends. */
export async function boot(processors: number, options: Partial<MachineOptions> = {}): Promise<Machine> {
  const machine = await Machine.boot({ processors, program, ...options });
  onTestFinished(() => machine.close().catch(() => {}));
  return machine;
}

/** Turns enough for anything that can happen by itself to have happened. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await nextTurn();
}

/** A promise and the function that resolves it. */
export function gate(): { passed: Promise<void>; open: () => void } {
  const { promise: passed, resolve: open } = Promise.withResolvers<void>();
  return { passed, open };
}

const HUNG_MS = 20_000;

/** Asks, with turns of the event loop in between, until a condition holds; for 20 s at most. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const giveUpAt = performance.now() + HUNG_MS;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`did not come to pass: ${what}`);
    await nextTurn();
  }
}

/** Watches whether a promise has settled. */
export function watch(promise: Promise<unknown>): { readonly settled: boolean } {
  const state = { settled: false };
  const note = (): void => {
    state.settled = true;
  };
  promise.then(note, note);
  return state;
}
