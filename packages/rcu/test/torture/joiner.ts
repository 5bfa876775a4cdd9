/** Threads that join a machine with a ticket, and can be terminated. */
import { Worker } from 'node:worker_threads';
import type { Machine, Ticket } from '../../src/index.ts';
import { inTime } from './harness.ts';
import { LANE, type Words } from './words.ts';

const PROGRAM = new URL('../programs/tortureJoiner.ts', import.meta.url);

/** What a joiner does once it has joined. */
export type Job =
  | { readonly kind: 'idle' }
  /** As `workUntilClosed`. */
  | { readonly kind: 'work'; readonly seed: number }
  /** Everything at once, until it is terminated; `stage` is the index of its lane's STAGE. */
  | {
      readonly kind: 'victim';
      readonly lane: number;
      readonly life: number;
      readonly seed: number;
      readonly stage: number;
    };

export interface JoinerData {
  readonly ticket: Ticket;
  readonly job: Job;
}

/** What it says: when it has joined, when its job is done, when it has left. */
export type Said =
  | { readonly joined: number }
  | { readonly done: true }
  | { readonly left: true }
  | { readonly failed: unknown };

export const STAGE = { STARTED: 1, JOINED: 2 } as const;

export class Joiner {
  readonly worker: Worker;
  readonly joined: Promise<number>;
  readonly done: Promise<void>;
  readonly left: Promise<void>;
  readonly exited: Promise<void>;
  number = -1;

  constructor(machine: Machine, job: Job) {
    this.worker = new Worker(PROGRAM, { workerData: { ticket: machine.ticket(), job } satisfies JoinerData });
    const joined = Promise.withResolvers<number>();
    const done = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    const exited = Promise.withResolvers<void>();
    const all = [joined, done, left];
    const fail = (error: unknown): void => {
      for (const { reject } of all) reject(error);
    };
    for (const { promise } of all) promise.catch(() => {});
    this.worker.on('message', (said: Said) => {
      if ('joined' in said) {
        this.number = said.joined;
        joined.resolve(said.joined);
      } else if ('done' in said) done.resolve();
      else if ('left' in said) left.resolve();
      else fail(said.failed);
    });
    this.worker.once('error', fail);
    this.worker.once('exit', () => {
      fail(new Error('The thread has ended.'));
      exited.resolve();
    });
    this.joined = joined.promise;
    this.done = done.promise;
    this.left = left.promise;
    this.exited = exited.promise;
  }

  /** Has it leave its machine in order. */
  async leave(): Promise<void> {
    this.worker.postMessage('leave');
    await inTime(this.left, `processor ${this.number} to leave`);
    await inTime(this.exited, `the thread of processor ${this.number} to end`);
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }
}

/** A joiner that has joined. */
export async function join(machine: Machine, job: Job): Promise<Joiner> {
  const joiner = new Joiner(machine, job);
  await inTime(joiner.joined, 'a thread to join');
  return joiner;
}

export function stageWord(words: Words, lane: number): number {
  return words.lane(lane) + LANE.STAGE;
}
