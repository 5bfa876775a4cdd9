/** Program of the machine tests: what they run on other processors. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Cookie, currentProcessor, Domain, Mutex, publish, rcu, rcuDereference, spawn } from '@k42/rcu';

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

/** Words of the torture block: the published generation of the "pipe" and a count of readers that saw it reused. */
export const TORTURE = {
  CURRENT: 0,
  STOP: 1,
  ERRORS: 2,
  MUTEX: 3,
  COUNTER: 4,
  READS: 5,
  ELEMENTS: 8,
  COUNT: 16,
  BYTES: 256,
} as const;

/**
 * A reader of rcutorture's kind: as one thread, over several turns, look up the current element and check that it is
 * not recycled (its word set to 1) before the thread ends.
 */
export async function tortureReader(turns: number): Promise<number> {
  const { memory } = currentProcessor();
  const base = memory.block('test/torture', TORTURE.BYTES) / 4;
  let reads = 0;
  while (Atomics.load(memory.i32, base + TORTURE.STOP) === 0) {
    await spawn(async () => {
      const element = Atomics.load(memory.i32, base + TORTURE.CURRENT);
      for (let turn = 0; turn < turns; turn++) {
        if (Atomics.load(memory.i32, base + TORTURE.ELEMENTS + element) !== 0) {
          Atomics.add(memory.i32, base + TORTURE.ERRORS, 1);
        }
        await nextTurn();
      }
    });
    reads++;
    Atomics.add(memory.i32, base + TORTURE.READS, 1);
  }
  return reads;
}

/** Adds to a plain shared word under the mutex, so that lost exclusion shows as lost additions. */
export function addUnderMutex(times: number): void {
  const { memory, owner } = currentProcessor();
  const base = memory.block('test/torture', TORTURE.BYTES) / 4;
  const mutex = new Mutex(memory.i32, base + TORTURE.MUTEX, owner);
  for (let i = 0; i < times; i++) {
    mutex.withLock(() => {
      memory.i32[base + TORTURE.COUNTER] = (memory.i32[base + TORTURE.COUNTER] as number) + 1;
    });
  }
}

export async function synchronizeHere(): Promise<void> {
  await rcu.synchronize();
}

let callbackRan = false;
/** Hands in a callback and returns before its grace period is over. */
export function deferSomething(): void {
  const { memory } = currentProcessor();
  const base = memory.block('test/torture', TORTURE.BYTES) / 4;
  rcu.call(() => {
    callbackRan = true;
    Atomics.add(memory.i32, base + TORTURE.COUNTER, 1);
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
