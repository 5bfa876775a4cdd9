/**
 * A thread that is no processor and keeps one that is: it starts a worker that joins the machine, and terminates it when it is
 * told to, or as soon as it stands at a gate. (The thread that began a worker is the only one that can end it, and a
 * processor may be at a stop point of a swap just then.)
 */
import { parentPort, Worker, workerData } from 'node:worker_threads';
import type { Ticket } from '@k42/rcu';
import { STANDING } from './tallyControls.ts';

export interface KeeperData {
  readonly ticket: Ticket;
}

/** Terminate it: now, or when that word says that it stands. */
export interface KeeperOrder {
  readonly word: number | undefined;
}

const { ticket } = workerData as KeeperData;
const worker = new Worker(new URL('./joiner.ts', import.meta.url), { workerData: ticket });
worker.once('message', (number) => parentPort?.postMessage(number));
worker.once('error', (error) => parentPort?.postMessage(String(error)));
parentPort?.on('message', ({ word }: KeeperOrder) => {
  const i32 = new Int32Array(ticket.memory);
  const look = (): void => {
    if (word !== undefined && Atomics.load(i32, word) !== STANDING) {
      setTimeout(look, 1);
      return;
    }
    void worker.terminate().then(() => parentPort?.close());
  };
  look();
});
