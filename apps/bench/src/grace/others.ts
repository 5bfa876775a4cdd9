/**
 * What the other processor does while the host measures: it answers messages, or has one long thread.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import { spawn } from '@k42/rcu';

let holding = 0;

/** Sends every message that comes by the port back. Called by name; ends when the port is closed. */
export function echo(port: MessagePort): void {
  port.on('message', (message: unknown) => port.postMessage(message));
}

/** Begins a thread that lasts so long, and does not wait for it. Called by name. */
export function holdThread(milliseconds: number): void {
  holding++;
  void spawn(async () => {
    await sleep(milliseconds);
    holding--;
  });
}

/** Whether such a thread is live. Called by name. */
export function isHolding(): boolean {
  return holding !== 0;
}
