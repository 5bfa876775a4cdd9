/** Program of the machine tests: what they run on other processors. */
import { type Cookie, currentProcessor, Domain, publish, rcu, rcuDereference } from '@k42/rcu';

export function whoAmI(): number {
  return currentProcessor().number;
}

export function add(a: number, b: number): number {
  return a + b;
}

export function fail(): never {
  throw Object.assign(new RangeError('asked to fail', { cause: new Error('the cause') }), {
    code: 'ASKED',
    at: 42,
  });
}

export function exitNow(): void {
  process.exit(3);
}

export function neverSettles(): Promise<never> {
  return new Promise(() => {});
}

/** Words of the block `test/workbench`. */
export const WORKBENCH = { COUNTER: 0, BYTES: 64 } as const;

export async function synchronizeHere(): Promise<void> {
  await rcu.synchronize();
}

let callbackRan = false;
/** Hands in a callback and returns before its grace period is over. */
export function deferSomething(): void {
  const { memory } = currentProcessor();
  const base = memory.block('test/workbench', WORKBENCH.BYTES) / 4;
  rcu.call(() => {
    callbackRan = true;
    Atomics.add(memory.i32, base + WORKBENCH.COUNTER, 1);
  });
}

export function ranAlready(): boolean {
  return callbackRan;
}

const held = new Map<string, () => void>();

/** Holds a thread of a domain open until `closeThread`. */
export function openThread(domain: string): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  held.set(domain, resolve);
  void Domain.named(domain).spawn(() => promise, { name: 'held open' });
}

export function closeThread(domain: string): void {
  held.get(domain)?.();
  held.delete(domain);
}

export function startPollHere(): Cookie {
  return rcu.startPoll();
}

export function pollHere(cookie: Cookie): boolean {
  return rcu.poll(cookie);
}

export function doorbellHere(): number {
  return currentProcessor().doorbell();
}

/** Keeps this thread from running its event loop until word 0 of the block is 2. */
export function standStill(): void {
  const { memory } = currentProcessor();
  const word = memory.block('test/standStill', 64) / 4;
  Atomics.store(memory.i32, word, 1);
  Atomics.wait(memory.i32, word, 1, 20_000);
}

/** Reads what a published word of machine memory points to. */
export function readPublished(word: number): number {
  const { memory } = currentProcessor();
  return memory.i32[rcuDereference(memory.i32, word) / 4] as number;
}

const published = publish({ value: 1 });

export function readOutside(): number {
  return rcuDereference(published).value;
}
