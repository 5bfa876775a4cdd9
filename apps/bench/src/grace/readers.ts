/**
 * Readers that never pause: so many loops per processor, each of which runs one asynchronous thread after the other.
 *
 * A thread lasts a millisecond by a timer, in truth a little longer, and under load a lot: so their lengths are measured.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { spawn } from '@k42/rcu';

const THREAD_MS = 1;

let running: Promise<unknown> | undefined;
let stopped = false;
let lengthsMs: number[] = [];

/** Starts readers on this processor. Called by name. */
export function startReaders(count: number): void {
  if (running !== undefined) throw new Error('grace: the readers run already');
  stopped = false;
  lengthsMs = [];
  running = Promise.all(Array.from({ length: count }, read));
}

/** Ends them, and tells how long each of their threads lasted, in milliseconds. Called by name. */
export async function stopReaders(): Promise<number[]> {
  stopped = true;
  await running;
  running = undefined;
  return lengthsMs;
}

async function read(): Promise<void> {
  while (!stopped) {
    const begun = performance.now();
    await spawn(thread);
    lengthsMs.push(performance.now() - begun);
  }
}

async function thread(): Promise<void> {
  await sleep(THREAD_MS);
}
