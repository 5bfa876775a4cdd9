/**
 * Program of the lock tests: processors without a machine.
 *
 * A small SharedArrayBuffer is laid out as machine memory as far as the processor table goes, which is all that owners
 * look at; the words of the tests come behind. A worker is told by its `workerData` what to do, and tells how far it has
 * come by words, so that whoever starts it may stand still meanwhile.
 */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { randomFrom } from '@k42/tooling/random';
import { PROCESSOR, PROCESSOR_STATE, PROCESSORS_MAX, processorWord } from '../../src/internal/layout.ts';
import { currentTask, type Owner, ProcessorOwner } from '../../src/internal/owners.ts';
import { Mutex, RwLock } from '../../src/locks.ts';

/** Words behind the processor table. FIRST and SECOND are equal whenever the lock is free and nobody has died. */
export const AT = {
  MUTEX: 2048,
  RW: 2064,
  FIRST: 2144,
  SECOND: 2145,
  /** Writers that are in: 0 or 1. */
  WRITERS: 2146,
  ERRORS: 2147,
  REPAIRS: 2148,
  /** 1 ends `hammer` and lets go what `hold` holds. */
  STOP: 2149,
  /** A word for each processor: how many rounds it has made. */
  PROGRESS: 2160,
  END: 2220,
} as const;

if (processorWord(PROCESSORS_MAX, 0) > AT.MUTEX)
  throw new Error('the processor table runs into the test words');

export type Kind = 'mutex' | 'rw';
export type Job =
  | { readonly do: 'hold'; readonly what: 'mutex' | 'write' | 'read' }
  | { readonly do: 'hammer'; readonly kind: Kind; readonly seed: number; readonly rounds: number }
  | { readonly do: 'waitAlone' };

export interface Task {
  readonly words: Int32Array;
  readonly number: number;
  readonly incarnation: number;
  readonly job: Job;
}

/** How long anything may take before a test calls it hung. Far above the 50 ms of a sleep. */
export const HUNG_MS = 8000;

/** Makes the calling thread a processor as far as owners go. */
export function becomeOwner(words: Int32Array, number: number, incarnation: number): ProcessorOwner {
  const { task, started } = currentTask();
  Atomics.store(words, processorWord(number, PROCESSOR.INCARNATION), incarnation);
  Atomics.store(words, processorWord(number, PROCESSOR.TASK), task);
  Atomics.store(words, processorWord(number, PROCESSOR.TASK_STARTED), started);
  Atomics.store(words, processorWord(number, PROCESSOR.STATE), PROCESSOR_STATE.LIVE);
  return new ProcessorOwner(words, number, incarnation);
}

/** What the critical sections of the tests do, and what they check. Plain accesses: the lock is all that orders them. */
export class Critical {
  readonly #words: Int32Array;
  readonly #dwell: () => void;

  constructor(words: Int32Array, random: (below: number) => number) {
    this.#words = words;
    this.#dwell = () => {
      for (let left = random(2000); left > 0; left--) random(2);
    };
  }

  /** Counts FIRST up, later SECOND: a death in between leaves them different. */
  write(): void {
    const words = this.#words;
    const others = Atomics.add(words, AT.WRITERS, 1);
    if (others !== 0 || words[AT.FIRST] !== words[AT.SECOND]) Atomics.add(words, AT.ERRORS, 1);
    const next = (words[AT.FIRST] as number) + 1;
    words[AT.FIRST] = next;
    this.#dwell();
    if (words[AT.FIRST] !== next) Atomics.add(words, AT.ERRORS, 1);
    words[AT.SECOND] = next;
    Atomics.sub(words, AT.WRITERS, 1);
  }

  /** A writer that is in at the same time shows as a change, or as words that differ. */
  read(): void {
    const words = this.#words;
    const before = words[AT.FIRST];
    if (before !== words[AT.SECOND]) Atomics.add(words, AT.ERRORS, 1);
    this.#dwell();
    if (words[AT.FIRST] !== before || words[AT.SECOND] !== before) Atomics.add(words, AT.ERRORS, 1);
  }

  readonly repair = (_dead: Owner): void => {
    const words = this.#words;
    if (words[AT.FIRST] !== words[AT.SECOND]) words[AT.SECOND] = words[AT.FIRST] as number;
    Atomics.store(words, AT.WRITERS, 0);
    Atomics.add(words, AT.REPAIRS, 1);
  };
}

/** Ways to hold the lock once, synchronous and not, with and without giving up. True if it was held. */
type Way = () => boolean | Promise<boolean>;

function isGivenUp(thrown: unknown): boolean {
  const { code, name } = thrown as { code?: unknown; name?: unknown };
  if (code === 'K42_LOCK_DEADLINE' || name === 'AbortError') return true;
  throw thrown;
}

function mutexWays(mutex: Mutex, critical: Critical): Way[] {
  const finish = (held: { release(): void }): boolean => {
    critical.write();
    held.release();
    return true;
  };
  const sync = (deadlineMs: number): boolean => finish(mutex.acquire(deadlineMs));
  return [
    () => sync(HUNG_MS),
    () => sync(HUNG_MS),
    () => {
      if (!mutex.tryLock()) return false;
      critical.write();
      mutex.unlock();
      return true;
    },
    () => {
      try {
        return sync(0.2);
      } catch (thrown) {
        return !isGivenUp(thrown);
      }
    },
    async () => finish(await mutex.lockAsync({ deadlineMs: HUNG_MS })),
    async () => {
      try {
        return finish(await mutex.lockAsync({ deadlineMs: 0.2 }));
      } catch (thrown) {
        return !isGivenUp(thrown);
      }
    },
    async () => {
      const controller = new AbortController();
      setImmediate(() => controller.abort());
      try {
        return finish(await mutex.lockAsync({ deadlineMs: HUNG_MS, signal: controller.signal }));
      } catch (thrown) {
        return !isGivenUp(thrown);
      }
    },
  ];
}

function rwWays(lock: RwLock, critical: Critical): Way[] {
  const readSync = (): boolean => {
    lock.readLock(HUNG_MS);
    critical.read();
    lock.readUnlock();
    return true;
  };
  return [
    readSync,
    readSync,
    readSync,
    () => {
      lock.writeLock(HUNG_MS);
      critical.write();
      lock.writeUnlock();
      return true;
    },
    () => {
      try {
        lock.writeLock(0.2);
      } catch (thrown) {
        return !isGivenUp(thrown);
      }
      critical.write();
      lock.writeUnlock();
      return true;
    },
    async () => {
      const held = await lock.readLockAsync({ deadlineMs: HUNG_MS });
      critical.read();
      held.release();
      return true;
    },
    async () => {
      const held = await lock.writeLockAsync({ deadlineMs: HUNG_MS });
      critical.write();
      held.release();
      return true;
    },
    async () => {
      const controller = new AbortController();
      setImmediate(() => controller.abort());
      try {
        const held = await lock.writeLockAsync({ deadlineMs: HUNG_MS, signal: controller.signal });
        critical.write();
        held.release();
        return true;
      } catch (thrown) {
        return !isGivenUp(thrown);
      }
    },
  ];
}

/** Takes and releases the lock in all ways, until told to stop or for some rounds; returns how often it was held. */
export async function hammer(
  words: Int32Array,
  owner: ProcessorOwner,
  number: number,
  { kind, seed, rounds }: { kind: Kind; seed: number; rounds: number },
): Promise<number> {
  const random = randomFrom(seed);
  const critical = new Critical(words, random);
  const options = { name: 'the hammered lock', repair: critical.repair };
  const ways =
    kind === 'mutex'
      ? mutexWays(new Mutex(words, AT.MUTEX, owner, options), critical)
      : rwWays(new RwLock(words, AT.RW, owner, options), critical);
  let held = 0;
  for (let round = 0; round < rounds && Atomics.load(words, AT.STOP) === 0; round++) {
    const outcome = (ways[random(ways.length)] as Way)();
    // Awaited only if it has to be: the synchronous ways in a row are to leave the event loop no turn.
    if (typeof outcome === 'boolean' ? outcome : await outcome) held++;
    Atomics.add(words, AT.PROGRESS + number, 1);
    Atomics.notify(words, AT.PROGRESS + number);
  }
  return held;
}

function hold(words: Int32Array, owner: ProcessorOwner, number: number, what: string): void {
  const mutex = new Mutex(words, AT.MUTEX, owner);
  const lock = new RwLock(words, AT.RW, owner);
  if (what === 'mutex') mutex.lock();
  else if (what === 'write') lock.writeLock();
  else lock.readLock();
  words[AT.FIRST] = (words[AT.FIRST] as number) + 1;
  Atomics.add(words, AT.PROGRESS + number, 1);
  Atomics.notify(words, AT.PROGRESS + number);
  Atomics.wait(words, AT.STOP, 0);
  words[AT.SECOND] = words[AT.FIRST] as number;
  if (what === 'mutex') mutex.unlock();
  else if (what === 'write') lock.writeUnlock();
  else lock.readUnlock();
}

/** Waits for a lock that nobody releases, with nothing else to keep this worker running. */
async function waitAlone(words: Int32Array, owner: ProcessorOwner): Promise<string> {
  const mutex = new Mutex(words, AT.MUTEX, owner);
  return mutex.lockAsync({ deadlineMs: 200 }).then(
    () => 'taken',
    (error: { code: string }) => error.code,
  );
}

async function run({ words, number, incarnation, job }: Task): Promise<unknown> {
  const owner = becomeOwner(words, number, incarnation);
  if (job.do === 'hold') return hold(words, owner, number, job.what);
  if (job.do === 'hammer') return hammer(words, owner, number, job);
  return waitAlone(words, owner);
}

if (!isMainThread) parentPort?.postMessage(await run(workerData as Task));
