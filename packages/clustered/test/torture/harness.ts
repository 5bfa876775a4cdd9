/**
 * What every scenario is made of: a seed, waits that have a deadline and say what they waited for, workers to be killed, and
 * a look at what machine memory keeps for objects.
 *
 * A scenario boots its own machine, lets processors work, and throws if anything was seen that must not be. It gives its
 * counts, so that a run that did next to nothing is told from one that tried hard.
 */
import process from 'node:process';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Machine, type MachineMemory, type MachineOptions } from '@k42/rcu';
import { check, type Waits, waitsOf } from '@k42/tooling/waits';
import { objectCounts } from '../../src/index.ts';
import {
  CHUNK,
  CHUNK_BYTES,
  CHUNK_HEADER_BYTES,
  REGION,
  REGIONS_BYTES,
  REGIONS_NAME,
  regionAt,
  UNIT_BYTES,
} from '../../src/internal/layout.ts';

export { check };

export type Counts = Record<string, number>;

export type Scenario = (seed: number) => Promise<Counts>;

/**
 * Milliseconds for anything that is waited for: less than any deadline of the sources, so that what goes on only because a
 * deadline has passed is seen. The environment reaches the workers as well.
 */
export const WAIT_MS: number = Number(process.env.K42_TORTURE_WAIT_MS ?? 8000);

const waits = waitsOf(WAIT_MS);
export const inTime: Waits['inTime'] = waits.inTime;
export const until: Waits['until'] = waits.until;

export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

/** The stable code of what a promise is rejected with; undefined if it is fulfilled. */
export async function refusal(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return codeOf(error);
  }
  return undefined;
}

/** The stable code of what a function throws; undefined if it throws nothing. */
export function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return codeOf(error);
  }
  return undefined;
}

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error;
}

/** Follows a promise without waiting for it: what it has come to so far. */
export function watch(promise: PromiseLike<unknown>): { readonly settled: boolean } {
  const state = { settled: false };
  const note = (): void => {
    state.settled = true;
  };
  promise.then(note, note);
  return state;
}

/**
 * Boots a machine for a scenario and closes it after. After a failure it is left as it is: the process ends, and a broken
 * machine might take for ever to close.
 */
export async function onMachine<T>(
  options: MachineOptions,
  work: (machine: Machine) => Promise<T>,
): Promise<T> {
  const machine = await Machine.boot({ memoryBytes: 1 << 26, bootDeadlineMs: 20_000, ...options });
  const result = await work(machine);
  await inTime(machine.close(), 'the machine to close');
  return result;
}

/** Adds a processor, as soon as a number is free: everybody has to let go of the dead first. */
export async function addProcessor(machine: Machine): Promise<number> {
  const end = performance.now() + 20_000;
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
  readonly #worker: Worker;

  private constructor(machine: Machine, worker: Worker, number: number) {
    this.#machine = machine;
    this.#worker = worker;
    this.number = number;
  }

  static async join(machine: Machine): Promise<Victim> {
    const url = new URL('../programs/killJoiner.ts', import.meta.url);
    const worker = new Worker(url, { workerData: machine.ticket() });
    const joined = new Promise<number>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    const number = await inTime(joined, 'a thread to join', 20_000);
    await until(
      () => machine.processors.includes(number),
      () => `processor ${number} to serve`,
    );
    return new Victim(machine, worker, number);
  }

  /** Kills it wherever it is; settles when the host has let go of it. */
  async kill(): Promise<void> {
    await this.#worker.terminate();
    await until(
      () => !this.#machine.processors.includes(this.number),
      () => `processor ${this.number} to be gone`,
    );
  }
}

// Machine memory

/** Blocks of all arenas that are in use as their owners' bits say, and have not been given back: nobody else is at work now. */
export function blocksInUse({ i32, processors, block }: ArenaMemory): number {
  const regions = block(REGIONS_NAME, REGIONS_BYTES) / 4;
  let blocks = 0;
  for (let number = 0; number < processors; number++) {
    const region = regionAt(regions, number);
    for (const start of chunksOf(i32, region)) {
      for (let word = CHUNK.BITS; word < CHUNK_HEADER_BYTES / 4; word++)
        blocks += ones(i32[start / 4 + word] as number);
    }
    let returned = i32[region + REGION.ARENA_RETURNED] as number;
    for (; returned !== 0; returned = i32[(returned * UNIT_BYTES) / 4] as number) blocks--;
  }
  return blocks;
}

export interface ArenaMemory {
  readonly i32: Int32Array;
  readonly processors: number;
  readonly block: (name: string, bytes: number) => number;
}

export function arenaMemory(memory: MachineMemory): ArenaMemory {
  const { i32, processors } = memory;
  return { i32, processors, block: (name, bytes) => memory.block(name, bytes) };
}

/** Where the chunks of a region's arena begin. */
export function chunksOf(i32: Int32Array, region: number): number[] {
  const starts: number[] = [];
  for (let unit = i32[region + REGION.ARENA_CHUNKS] as number; unit !== 0; ) {
    const start = unit * UNIT_BYTES;
    starts.push(start);
    check(starts.length * CHUNK_BYTES <= i32.byteLength, 'The chain of chunks has a loop.');
    unit = i32[start / 4 + CHUNK.NEXT] as number;
  }
  return starts;
}

function ones(bits: number): number {
  let count = 0;
  for (let rest = bits >>> 0; rest !== 0; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
}

/**
 * Waits until no object, Rep or byte is left, but for so many blocks that deaths may have cost; gives the number of blocks that
 * are lost.
 */
export async function nothingLeft(memory: MachineMemory, blocksLost = 0): Promise<number> {
  const left = (): string => JSON.stringify({ ...objectCounts(), blocks: blocksInUse(arenaMemory(memory)) });
  const isOver = (): boolean => {
    const { objects, reps, bytes } = objectCounts();
    return objects === 0 && reps === 0 && (bytes === 0 || blocksLost > 0);
  };
  await until(isOver, () => `everything to be gone; there is still ${left()}`);
  const lost = blocksInUse(arenaMemory(memory));
  check(lost >= 0 && lost <= blocksLost, `${lost} blocks are lost, not ${blocksLost} at most: ${left()}`);
  return lost;
}
