/**
 * What the tests of deaths, faults and endurance are made of: waits that have a deadline and say what they waited for, workers to
 * be killed, callers whose every call is accounted for, and a look at what a swap has left behind.
 */
import process from 'node:process';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type Coid, create, destroy, liveObjects, objectCounts } from '@k42/clustered';
import { currentRoot, implementationOf, rootView } from '@k42/clustered/interpose';
import { Machine, type MachineOptions } from '@k42/rcu';
import { check, type Waits, waitsOf } from '@k42/tooling/waits';
import { type PhaseName, swapsInProgress } from '../../src/index.ts';
import { phaseName } from '../../src/internal/swapBlock.ts';
import { MediatorRoot } from '../../src/mediator.ts';
import type { KeeperData, KeeperOrder } from '../programs/keeper.ts';
import { type Audit, type CalmTally, type Kind, type Made, versionOf } from '../programs/tally.ts';
import { AT, type Controls, controlsOf, STEP, type Step } from '../programs/tallyControls.ts';
import { bytesInUse } from '../support.ts';

export { check };

export const PROGRAM: URL = new URL('../programs/tally.ts', import.meta.url);
export const STOPPING: URL = new URL('../programs/stopping.ts', import.meta.url);

/** Milliseconds for anything that is waited for. */
export const WAIT_MS: number = Number(process.env.K42_TORTURE_WAIT_MS ?? 8000);

export type Counts = Record<string, number>;

const waits = waitsOf(WAIT_MS);
export const inTime: Waits['inTime'] = waits.inTime;
export const until: Waits['until'] = waits.until;

export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error;
}

/** How a promise ends, without an unhandled rejection until somebody looks. */
export type Outcome<T> = { readonly value: T } | { readonly error: unknown };

export function outcomeOf<T>(promise: Promise<T>): Promise<Outcome<T>> {
  return promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
}

/** Adds a processor, as soon as a number is free: everybody has to let go of the dead first. */
export async function addProcessor(machine: Machine): Promise<number> {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    try {
      return await machine.add();
    } catch (error) {
      if (codeOf(error) !== 'K42_MACHINE_FULL' || performance.now() > end) throw error;
      await delay(1);
    }
  }
}

/** A worker that has joined the machine, to be killed. */
export class Victim {
  readonly number: number;
  readonly #machine: Machine;
  readonly #keeper: Worker;

  private constructor(machine: Machine, keeper: Worker, number: number) {
    this.#machine = machine;
    this.#keeper = keeper;
    this.number = number;
  }

  static async join(machine: Machine): Promise<Victim> {
    const workerData: KeeperData = { ticket: machine.ticket() };
    const keeper = new Worker(new URL('../programs/keeper.ts', import.meta.url), { workerData });
    const joined = new Promise<unknown>((resolve, reject) => {
      keeper.once('message', resolve);
      keeper.once('error', reject);
    });
    const number = await inTime(joined, 'a thread to join', 20_000);
    if (typeof number !== 'number') throw new Error(`A thread did not join: ${number}`);
    await until(
      () => machine.processors.includes(number),
      () => `processor ${number} to serve`,
    );
    return new Victim(machine, keeper, number);
  }

  /** Kills it as soon as it stands at a gate, without any help of this processor. */
  killAt(step: Step): void {
    this.#order({ word: controlsOf(this.#machine.memory).wordOf(AT.GATE + step) });
  }

  /** Kills it wherever it is. */
  kill(): void {
    this.#order({ word: undefined });
  }

  #order(order: KeeperOrder): void {
    this.#keeper.postMessage(order);
  }

  /** Ends its thread, and the keeper's; the machine need not hear of it. */
  async end(): Promise<void> {
    await this.#keeper.terminate();
  }

  /** Settles when the host has let go of it. */
  gone(): Promise<void> {
    return until(
      () => !this.#machine.processors.includes(this.number),
      () => `processor ${this.number} to be gone`,
    );
  }
}

/** Turns of the event loop until a swap of the object has come to a phase; its Mediator here. */
export async function mediatorIn(coid: Coid<object>, phase: PhaseName): Promise<MediatorRoot> {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    const word = currentRoot(coid);
    const view = implementationOf(word).standsIn ? rootView(word) : undefined;
    if (view instanceof MediatorRoot) {
      // Nothing of it is freed before this processor has let go of it.
      void view.whenFinished();
      if (phaseName(view.block.phase()) === phase) return view;
    }
    check(performance.now() < end, `Waited ${WAIT_MS} ms for a swap to come to ${phase}.`);
    await nextTurn();
  }
}

/** A machine with one tally and callers, and what has to be true of them. */
export class Stage {
  readonly machine: Machine;
  readonly kind: Kind;
  readonly coid: Coid<CalmTally>;
  readonly controls: Controls;
  readonly #bytesBefore: number;
  readonly #callers = new Map<number, Promise<Made>>();
  #callersMade = 0;
  /** Calls outside the callers' that have run. */
  extra = 0;

  constructor(machine: Machine, kind: Kind) {
    this.machine = machine;
    this.kind = kind;
    this.controls = controlsOf(machine.memory);
    this.controls.reset();
    this.#bytesBefore = bytesInUse(machine);
    this.coid = create(versionOf(kind, 1), true);
  }

  get version(): string {
    return implementationOf(currentRoot(this.coid)).name;
  }

  /** A processor to be killed joins. */
  victim(): Promise<Victim> {
    return Victim.join(this.machine);
  }

  /** A number for a caller that nobody has had. */
  newCaller(): number {
    return this.#callersMade++;
  }

  /** Starts callers on some processors: `stopCallers` checks what they have made. */
  startCallers(numbers: readonly number[], pauseMs = 1): void {
    for (const number of numbers) {
      const caller = this.newCaller();
      const calls = this.machine.run<Made>(number, 'callUntilStopped', [
        this.coid,
        this.kind,
        caller,
        pauseMs,
      ]);
      calls.catch(() => {});
      this.#callers.set(caller, calls);
    }
  }

  /** Every processor that still serves has called the object. */
  async touch(numbers: readonly number[]): Promise<void> {
    await inTime(
      Promise.all(numbers.map((number) => this.machine.run(number, 'auditHere', [this.coid]))),
      'everybody to call the object',
    );
  }

  /** Waits until some processors have made their first step in a swap: calls that began before are threads to it. */
  async heardOf(numbers: readonly number[]): Promise<void> {
    const end = performance.now() + WAIT_MS;
    for (;;) {
      const found = (await swapsInProgress()).find(({ coid }) => coid === this.coid);
      const heard = found?.hindrances
        .filter(({ kind }) => kind !== 'silent')
        .map(({ processor }) => processor);
      if (numbers.every((number) => heard?.includes(number))) break;
      check(
        performance.now() < end,
        `Waited ${WAIT_MS} ms for ${numbers} to hear of the swap; ${heard} have.`,
      );
    }
    // Who began it knows it before its first step, which is already on its way.
    for (const number of numbers) await this.machine.run(number, 'turnsHere', [5]);
  }

  /** Stops the callers. Those of the living have made every call once, in order; of the dead's none is twice or out of order. */
  async stopCallers(): Promise<{ readonly calls: number; readonly ofTheDead: number }> {
    const { controls } = this;
    controls.set(AT.STOP, 1);
    let [calls, ofTheDead] = [0, 0];
    for (const [caller, ending] of this.#callers) {
      const outcome = await inTime(outcomeOf(ending), `the calls of caller ${caller} to end`);
      const noted = controls.streams(caller);
      const sum = noted.reduce((total, count) => total + count, 0);
      if ('error' in outcome) {
        if (codeOf(outcome.error) !== 'K42_PROCESSOR_GONE') throw outcome.error;
        ofTheDead += sum;
        continue;
      }
      const { value: made } = outcome;
      check(noted.join() === made.join(), `caller ${caller} made ${made} calls, and ${noted} ran`);
      calls += sum;
    }
    this.#callers.clear();
    controls.set(AT.STOP, 0);
    check(
      controls.get(AT.DISORDER) === 0,
      `${controls.get(AT.DISORDER)} calls are lost, doubled or out of order`,
    );
    check(controls.get(AT.WRONG) === 0, `${controls.get(AT.WRONG)} calls ran on an object that was replaced`);
    return { calls, ofTheDead };
  }

  /** The version that everybody finds. */
  async servedVersion(): Promise<number> {
    const [first, ...others] = await this.#audits();
    for (const { version } of others)
      check(version === first.version, `versions ${first.version} and ${version} serve`);
    return first.version;
  }

  /**
   * When nobody calls: the parts of the state agree with each other and with the calls that ran, but for so many in the midst
   * of which somebody has died.
   */
  async audit(torn = 0): Promise<void> {
    const noted = this.extra + this.#noted();
    for (const { total, shares } of await this.#audits()) {
      check(Math.abs(total - noted) <= torn, `the total is ${total}, and ${noted} calls ran`);
      check(Math.abs(shares - total) <= torn, `the shares are ${shares}, and the total is ${total}`);
    }
  }

  async #audits(): Promise<readonly [Audit, ...Audit[]]> {
    const { machine, coid } = this;
    const audits = machine.processors.map((number) => machine.run<Audit>(number, 'auditHere', [coid]));
    return (await inTime(Promise.all(audits), 'everybody to call the object')) as [Audit, ...Audit[]];
  }

  #noted(): number {
    let sum = 0;
    for (let caller = 0; caller < this.#callersMade; caller++)
      for (const count of this.controls.streams(caller)) sum += count;
    return sum;
  }

  /** A swap to the other version goes through. */
  async swapAgain(from: number, options: { readonly deadlineMs?: number } = {}): Promise<void> {
    const version = (await this.servedVersion()) === 1 ? 2 : 1;
    await inTime(
      this.machine.run(from, 'swapHere', [this.coid, this.kind, version, options]),
      'a swap to go through',
    );
    check((await this.servedVersion()) === version, 'A swap has changed nothing.');
  }

  /** Bytes of machine memory that are not back, when nothing more comes back. */
  async #bytesLeft(): Promise<number> {
    const left = (): number => bytesInUse(this.machine) - this.#bytesBefore;
    let [bytes, since] = [left(), performance.now()];
    // What is freed elsewhere comes back in later turns.
    while (bytes !== 0 && performance.now() < since + 300) {
      await delay(5);
      if (left() !== bytes) [bytes, since] = [left(), performance.now()];
    }
    return bytes;
  }

  /** Destroys the object, and waits until nothing of it is left; gives the bytes that deaths have cost. */
  async close(bytesLost = 0): Promise<number> {
    const end = performance.now() + WAIT_MS;
    for (;;) {
      const swaps = await swapsInProgress();
      if (swaps.length === 0) break;
      check(performance.now() < end, `swaps are left: ${JSON.stringify(swaps)}`);
    }
    await inTime(destroy(this.coid), 'the object to be destroyed');
    await until(
      () => objectCounts().objects === 0 && objectCounts().reps === 0,
      () => `everything to be gone; there is still ${JSON.stringify(objectCounts())}`,
    );
    const bytes = await this.#bytesLeft();
    check(bytes <= bytesLost, `${bytes} bytes are lost, not ${bytesLost} at most`);
    check([...liveObjects()].length === 0, 'an object is left');
    check(bytes >= 0, `${-bytes} bytes have been freed twice`);
    return bytes;
  }

  /** Whatever stands or lasts goes on. */
  letGo(): void {
    for (const word of [AT.LINGER_THREAD, AT.LINGER_CALL]) this.controls.set(word, 0);
    for (const step of Object.values(STEP)) this.controls.open(step);
  }

  /** After a failure: whatever still stands, lasts or calls comes to an end. */
  stop(): void {
    this.controls.set(AT.STOP, 1);
    this.letGo();
  }
}

/** A machine for these tests. */
export async function bootMachine(options: Partial<MachineOptions> = {}): Promise<Machine> {
  const machine = await Machine.boot({
    processors: 2,
    maxProcessors: 3,
    program: PROGRAM,
    memoryBytes: 1 << 26,
    ...options,
  });
  await machine.load(STOPPING);
  return machine;
}

/** Closes a machine after a failure, too: one that something has broken might take for ever. */
export async function closeMachine(machine: Machine): Promise<void> {
  await machine.close({ closeDeadlineMs: 2000 }).catch(() => {});
}
