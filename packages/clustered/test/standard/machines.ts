/** What the tests of the standard objects on real workers share: machines, progress, and workers that are killed. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Machine, type MachineOptions } from '@k42/rcu';
import { onTestFinished } from 'vitest';
import { type Doom, WORDS, WORDS_BYTES } from './programs/standard.ts';

export const program: URL = new URL('./programs/standard.ts', import.meta.url);
type Program = typeof import('./programs/standard.ts');

const HUNG_MS = 20_000;

/** Boots a machine that is closed when the test ends. */
export async function boot(processors: number, options: Partial<MachineOptions> = {}): Promise<Machine> {
  const machine = await Machine.boot({ processors, program, ...options });
  onTestFinished(() => machine.close().catch(() => {}));
  return machine;
}

/** Calls an exported function of the program on each of these processors at once, as no thread: it may take long. */
export function runOn<N extends keyof Program & string>(
  machine: Machine,
  numbers: readonly number[],
  name: N,
  argsOf: (number: number) => readonly unknown[],
): Promise<unknown[]> {
  return Promise.all(numbers.map((number) => machine.run(number, name, argsOf(number))));
}

function wordOf(machine: Machine, word: number): number {
  return machine.memory.block('test/standard', WORDS_BYTES) / 4 + word;
}

export function stop(machine: Machine): void {
  Atomics.store(machine.memory.i32, wordOf(machine, WORDS.STOP), 1);
}

/** How many rounds a number has made, all who had it together. */
export function done(machine: Machine, number: number): number {
  return Atomics.load(machine.memory.i32, wordOf(machine, WORDS.DONE + number));
}

/** Asks, with turns of the event loop in between, until a condition holds; for 20 s at most. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const giveUpAt = performance.now() + HUNG_MS;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`did not come to pass: ${what}`);
    await nextTurn();
  }
}

/** A worker that has joined the machine and works, to be killed. */
export class Victim {
  readonly number: number;
  /** What it failed with, if it has ended by itself. */
  failure: unknown;
  readonly #worker: Worker;

  private constructor(worker: Worker, number: number) {
    this.#worker = worker;
    this.number = number;
    worker.on('error', (error) => {
      this.failure = error;
    });
  }

  static async start(machine: Machine, name: Doom['name'], ...args: unknown[]): Promise<Victim> {
    const doom: Doom = { ticket: machine.ticket(), name, args };
    const worker = new Worker(program, { workerData: doom });
    onTestFinished(async () => void (await worker.terminate()));
    const number = await new Promise<number>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    return new Victim(worker, number);
  }

  /** Kills it, wherever it is; settles when it is dead and its number may be given out again. */
  async kill(machine: Machine): Promise<void> {
    await this.#worker.terminate();
    await until(() => !machine.processors.includes(this.number), `processor ${this.number} is gone`);
    if (this.failure !== undefined) throw this.failure;
  }
}
