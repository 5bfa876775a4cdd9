/**
 * A plain Worker, made by the test and not by a machine, that joins and leaves when it is told to.
 */
import { Worker } from 'node:worker_threads';
import { onTestFinished } from 'vitest';
import { currentProcessor, type Machine } from '../src/index.ts';
import { PROCESSOR, PROCESSOR_STATE, processorWord } from '../src/internal/layout.ts';
import { type Commands, WORDS } from './programs/membership.ts';
import { until } from './support.ts';

export { until } from './support.ts';

type Command = keyof Commands;

export const membershipProgram: URL = new URL('./programs/membership.ts', import.meta.url);

export class Joiner {
  readonly worker: Worker;
  readonly exited: Promise<void>;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  constructor(name = 'joiner') {
    this.worker = new Worker(membershipProgram, { name, workerData: { joiner: true } });
    this.worker.on(
      'message',
      ({ id, value, error }: { id: number; value: unknown; error?: { message: string } }) => {
        const asked = this.#pending.get(id);
        this.#pending.delete(id);
        if (error === undefined) asked?.resolve(value);
        else asked?.reject(Object.assign(new Error(error.message), error));
      },
    );
    this.worker.on('error', () => {});
    this.exited = new Promise((resolve) =>
      this.worker.once('exit', () => {
        for (const asked of this.#pending.values()) asked.reject(new Error('the worker has ended'));
        resolve();
      }),
    );
    onTestFinished(() => this.terminate());
  }

  /** Has the thread do something; settles when it has. A promise that nobody awaits is no unhandled rejection. */
  ask<C extends Command>(
    name: C,
    ...args: Parameters<Commands[C]>
  ): Promise<Awaited<ReturnType<Commands[C]>>> {
    const asked = Promise.withResolvers<unknown>();
    const id = ++this.#lastId;
    this.#pending.set(id, asked);
    asked.promise.catch(() => {});
    this.worker.postMessage({ id, name, args });
    return asked.promise as Promise<Awaited<ReturnType<Commands[C]>>>;
  }

  async terminate(): Promise<void> {
    await this.worker.terminate();
  }
}

const gateWord = (machine: Machine, gate: number): number =>
  machine.memory.block('test/membership', WORDS.BYTES) / 4 + WORDS.GATES + gate;

/** Settles when somebody stands at a gate. */
export async function reached(machine: Machine, gate: number): Promise<void> {
  const word = gateWord(machine, gate);
  await until(() => Atomics.load(machine.memory.i32, word) === 1, `somebody stands at gate ${gate}`);
}

export function openGate(machine: Machine, gate: number): void {
  const word = gateWord(machine, gate);
  Atomics.store(machine.memory.i32, word, 2);
  Atomics.notify(machine.memory.i32, word);
}

/** What a counter of the tests says. */
export function runs(machine: Machine, id: number): number {
  const word = machine.memory.block('test/membership', WORDS.BYTES) / 4 + WORDS.RUNS + id;
  return Atomics.load(machine.memory.i32, word);
}

export function stateOf(machine: Machine, number: number): number {
  return Atomics.load(machine.memory.i32, processorWord(number, PROCESSOR.STATE));
}

export function incarnationOf(machine: Machine, number: number): number {
  return Atomics.load(machine.memory.i32, processorWord(number, PROCESSOR.INCARNATION));
}

/** Settles when nobody has a number and it may be given out again. */
export async function isFree(machine: Machine, number: number): Promise<void> {
  await until(() => stateOf(machine, number) === PROCESSOR_STATE.ABSENT, `number ${number} is free`);
}

/**
 * Settles when just these serve as the host sees it. That a thread has joined it says itself, perhaps before the host has heard
 * the same over another port. `again` is the command that replays the test.
 */
export async function serving(machine: Machine, numbers: readonly number[], again = ''): Promise<void> {
  const expected = numbers.join();
  await until(() => machine.processors.join() === expected, `processors ${expected} serve. ${again}`);
}

/** Settles when this thread has found a processor gone. */
export function gone(number: number): Promise<void> {
  return new Promise((resolve) =>
    currentProcessor().onGone((found) => {
      if (found === number) resolve();
    }),
  );
}
