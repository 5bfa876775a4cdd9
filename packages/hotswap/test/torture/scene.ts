/**
 * What every scene is made of: waits that have a deadline and say what they waited for, a machine, a look at how far a swap is,
 * and a worker to be killed.
 *
 * A scene boots its own machine, brings a swap to a chosen point with gates in machine memory, and throws if anything is seen that
 * must not be. It runs in a process of its own (`run.ts`), from these sources or from a variant of them.
 */
import process from 'node:process';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Coid } from '@k42/clustered';
import { currentRoot, implementationOf, rootView } from '@k42/clustered/interpose';
import { Machine } from '@k42/rcu';
import { check, type Waits, waitsOf } from '@k42/tooling/waits';
import { type PhaseName, swapsInProgress } from '../../src/index.ts';
import { phaseName } from '../../src/internal/swapBlock.ts';
import { MediatorRoot } from '../../src/mediator.ts';
import { type Gate, Gates } from '../programs/gates.ts';

export { check };

const PROGRAM = new URL('../programs/gated.ts', import.meta.url);

/** Milliseconds for what a scene judges by: less than any deadline of the sources. */
export const WAIT_MS: number = Number(process.env.K42_TORTURE_WAIT_MS ?? 8000);

/** For what only has to come about, before there is anything to judge. */
const SETUP_MS = 20_000;

/** For swaps in scenes: whatever goes on only because this has passed is seen as late. */
export const SWAP_MS = 60_000;

const waits = waitsOf(WAIT_MS);
export const inTime: Waits['inTime'] = waits.inTime;
export const until: Waits['until'] = waits.until;

/** The same, and holds this processor meanwhile. */
export function holdUntil(holds: () => boolean, what: string): void {
  const nobodys = new Int32Array(new SharedArrayBuffer(4));
  const giveUpAt = performance.now() + SETUP_MS;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`Waited ${SETUP_MS} ms for ${what}.`);
    Atomics.wait(nobodys, 0, 0, 1);
  }
}

export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

/** The stable code of what a promise is rejected with; undefined if it is fulfilled. */
export async function refusal(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  return undefined;
}

/** Follows a promise without waiting for it, so that its failure is nobody's until somebody looks. */
export function watch(promise: PromiseLike<unknown>): { readonly settled: boolean } {
  const state = { settled: false };
  const note = (): void => {
    state.settled = true;
  };
  promise.then(note, note);
  return state;
}

/** A machine for a scene, its gates, and what they need of each other. */
export class Scene {
  readonly machine: Machine;
  readonly gates: Gates;

  private constructor(machine: Machine) {
    this.machine = machine;
    this.gates = new Gates(machine);
  }

  /** After a failure the machine is left as it is: the process ends, and a broken machine might take for ever to close. */
  static async play(processors: number, work: (scene: Scene) => Promise<void>, spare = 0): Promise<void> {
    const machine = await Machine.boot({
      processors,
      maxProcessors: processors + spare,
      program: PROGRAM,
      memoryBytes: 1 << 24,
      bootDeadlineMs: 20_000,
    });
    await work(new Scene(machine));
    await inTime(swapsOver(), 'all swaps to be over');
    await inTime(machine.close(), 'the machine to close', SETUP_MS);
  }

  /** Has a processor call a function of the program. */
  run<R>(processor: number, name: string, ...args: readonly unknown[]): Promise<R> {
    return inTime(
      this.machine.run<R>(processor, name, args),
      `processor ${processor} to run ${name}`,
      SETUP_MS,
    );
  }

  /** Gives every processor, or these, a chance to do what it may do now. */
  async settle(processors: readonly number[] = this.machine.processors): Promise<void> {
    for (let pass = 0; pass < 4; pass++) {
      for (const number of processors) await this.run(number, 'nothing');
      await turns();
    }
  }

  /** Waits until somebody stands at a gate. */
  standing(gate: Gate, processor: number): Promise<void> {
    return until(
      () => this.gates.standing(gate, processor) !== 0,
      `somebody to stand at gate ${gate} of processor ${processor}`,
      SETUP_MS,
    );
  }
}

async function swapsOver(): Promise<void> {
  while ((await swapsInProgress()).length !== 0) await delay(1);
}

/** The view here of the Mediator that stands in for an object. */
export function mediatorOf(coid: Coid<object>): MediatorRoot | undefined {
  const word = currentRoot(coid);
  if (!implementationOf(word).standsIn) return undefined;
  const view = rootView(word);
  return view instanceof MediatorRoot ? view : undefined;
}

/** The Mediator, when the swap of an object has come to a phase. */
export async function inPhase(coid: Coid<object>, phase: PhaseName): Promise<MediatorRoot> {
  let mediator: MediatorRoot | undefined;
  await until(
    () => {
      mediator = mediatorOf(coid);
      return mediator !== undefined && phaseName(mediator.block.phase()) === phase;
    },
    `the swap of object ${coid} to come to ${phase}`,
    SETUP_MS,
  );
  return mediator as MediatorRoot;
}

/** A worker that has joined the machine, to be killed. */
export class Victim {
  readonly number: number;
  readonly #machine: Machine;
  readonly #worker: Worker;

  private constructor(machine: Machine, worker: Worker, number: number) {
    this.#machine = machine;
    this.#worker = worker;
    this.number = number;
  }

  static async join(machine: Machine): Promise<Victim> {
    const url = new URL('../programs/joiner.ts', import.meta.url);
    const worker = new Worker(url, { workerData: machine.ticket() });
    const joined = new Promise<number>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    const number = await inTime(joined, 'a thread to join', SETUP_MS);
    await until(() => machine.processors.includes(number), `processor ${number} to serve`, SETUP_MS);
    return new Victim(machine, worker, number);
  }

  /** Kills it wherever it is; settles when the host has let go of it. */
  async kill(): Promise<void> {
    await this.#worker.terminate();
    await until(
      () => !this.#machine.processors.includes(this.number),
      `processor ${this.number} to be gone`,
      SETUP_MS,
    );
  }
}
