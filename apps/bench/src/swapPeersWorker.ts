/**
 * The worker of a tinypool: it keeps the sessions in its heap, as a program does that knows of nothing else.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { threadId, workerData } from 'node:worker_threads';
import type { Dump, PoolData, Worker } from './swap/peers/pool.ts';
import { localTable, type Table } from './swap/peers/tables.ts';

/** What the pool was given comes after what it says itself. */
const [, { version, sessions }] = workerData as [unknown, PoolData];
/** A worker runs the version that there is when it starts, and begins with nothing. */
const table: Table = localTable(Atomics.load(new Int32Array(version), 0) === 1 ? 1 : 2, sessions);

export function bump(session: number): number {
  return table.bump(session);
}

export function who(): Worker {
  return { version: table.version, thread: threadId };
}

/** Adds what this worker has counted, and lasts until as many workers have: so each is asked once. */
export async function dump({ counts, arrived, workers, deadlineMs }: Dump): Promise<void> {
  const words = new Int32Array(counts);
  for (let session = 0; session < sessions; session++) Atomics.add(words, session, table.count(session));
  const here = new Int32Array(arrived);
  Atomics.add(here, 0, 1);
  for (const until = performance.now() + deadlineMs; Atomics.load(here, 0) < workers; await delay(1))
    if (performance.now() > until)
      throw new Error(`swap: ${workers} workers of a pool did not come together`);
}
