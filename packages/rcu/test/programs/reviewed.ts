/** Program of `reviewed.test.ts`: a worker that joins and leaves, threads held open, things that are hard to throw. */
import { workerData } from 'node:worker_threads';
import { currentProcessor, Domain, joinMachine, leaveMachine, rcu, type Ticket } from '@k42/rcu';

/** Words of the block `test/reviewed`. */
export const RAN = 0;

const open = new Map<string, () => void>();

/** Holds a thread of that name open. */
export function openNamed(name: string, domain = 'machine'): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  open.set(name, resolve);
  void Domain.named(domain).spawn(() => promise, { name });
}

export function closeNamed(name: string): void {
  open.get(name)?.();
  open.delete(name);
}

export function liveHere(): number {
  return rcu.liveThreads;
}

export function handInHere(): void {
  rcu.call(ran);
}

export async function handInPortableHere(times: number): Promise<void> {
  for (let time = 0; time < times; time++) await Domain.named('test/limited').callPortable('ran');
}

export function ran(): void {
  const { memory } = currentProcessor();
  Atomics.add(memory.i32, memory.block('test/reviewed', 64) / 4 + RAN, 1);
}

/** Waits in the background; a later call tells whether that has ended, and how. */
let waited: string | undefined;
export function beginWait(form: 'synchronize' | 'barrier'): void {
  waited = undefined;
  rcu[form]({ deadlineMs: 60_000 }).then(
    () => {
      waited = 'ended';
    },
    (error: { code?: string }) => {
      waited = error.code ?? 'failed';
    },
  );
}

export function howWaitEnded(): string | undefined {
  return waited;
}

export function hasLoaded(): boolean {
  return (globalThis as { reviewedLoaded?: true }).reviewedLoaded === true;
}

export function throwBare(): never {
  throw Object.create(null);
}

export function throwSpiteful(): never {
  throw Object.defineProperty(new Error('spiteful'), 'field', {
    enumerable: true,
    get() {
      throw new Error('do not look');
    },
  });
}

const data = workerData as { reviewed?: Ticket } | null;
if (data?.reviewed !== undefined) {
  const { parentPort } = await import('node:worker_threads');
  const ticket = data.reviewed;
  parentPort?.on('message', async (doing: 'join' | 'leave') => {
    if (doing === 'join') parentPort.postMessage((await joinMachine(ticket)).number);
    else {
      await leaveMachine();
      parentPort.postMessage('left');
    }
  });
}
