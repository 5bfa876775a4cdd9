/**
 * Goal: the locks exclude, wake who waits, keep their deadlines, and catch their misuse.
 * Method: across real threads, unsynchronised additions under the lock, of which a lost one is a lost exclusion; within one
 * thread, two owners on one word, and a raw `waitAsync` queued behind a waiter: it has no cap and takes nothing, so that
 * only a notification meant for the next sleeper ends it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { randomFrom } from '@k42/tooling/random';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type LockOwner, ownerOf, type ProcessorOwner, tokenOf } from '../src/internal/owners.ts';
import { Mutex, RwLock } from '../src/locks.ts';
import { AT, becomeOwner, Critical, HUNG_MS, hammer, type Job } from './programs/locks.ts';

const program = new URL('./programs/locks.ts', import.meta.url);
const seed = Number(process.env.K42_SEED ?? Date.now() % 1_000_000);
const replay = `replay: K42_SEED=${seed} npx pnpm exec vitest run test/locks.test.ts`;

const owner = (number: number): LockOwner => ({ token: tokenOf(number, 1), isAlive: () => true });
const code = (name: string, fields: object = {}) =>
  expect.objectContaining({ code: `K42_${name}`, ...fields });

/** A sleeper behind those in the queue now: it looks at nothing and waits longer than a test may take. */
function sleepRaw(words: Int32Array, index: number): Promise<string> {
  const wait = Atomics.waitAsync(words, index, Atomics.load(words, index), 60_000);
  if (!wait.async) throw new Error('the word changed in the same turn');
  return wait.value;
}

describe('Mutex', () => {
  let words: Int32Array;
  let a: Mutex;
  let b: Mutex;
  let c: Mutex;
  beforeEach(() => {
    words = new Int32Array(new SharedArrayBuffer(64));
    [a, b, c] = [0, 1, 2].map((n) => new Mutex(words, 3, owner(n), { name: 'the test lock' })) as [
      Mutex,
      Mutex,
      Mutex,
    ];
  });

  test('is taken and released, synchronously and not, and tells whether it was contended', async () => {
    expect(a.holder()).toBe(-1);
    expect(a.lock()).toBe(false);
    expect([a.holder(), b.holder(), a.isMine(), b.isMine()]).toEqual([0, 0, true, false]);
    expect(b.tryLock()).toBe(false);
    a.unlock();
    {
      using held = a.acquire();
      expect(held.contended).toBe(false);
      expect(b.tryLock()).toBe(false);
    }
    const held = await a.lockAsync();
    expect(held.contended).toBe(false);
    const waiting = b.lockAsync();
    held.release();
    const next = await waiting;
    expect([next.contended, a.holder()]).toEqual([true, 1]);
    next[Symbol.dispose]();
    next[Symbol.dispose]();
    expect(a.withLock(() => a.holder())).toBe(0);
    expect(await a.withLockAsync(() => a.holder())).toBe(0);
    await expect(a.withLockAsync(() => expect.unreachable())).rejects.toThrow();
    expect(a.holder()).toBe(-1);
  });

  test('names the holder when the deadline passes, and stays usable', async () => {
    a.lock();
    const deadline = code('LOCK_DEADLINE', { holder: 0, message: expect.stringContaining('the test lock') });
    expect(() => b.lock(20)).toThrowError(deadline);
    expect(() => b.lock(0)).toThrowError(deadline);
    expect(() => b.acquire(1)).toThrowError(deadline);
    await expect(b.lockAsync({ deadlineMs: 20 })).rejects.toThrowError(deadline);
    await expect(b.lockAsync({ deadlineMs: 0 })).rejects.toThrowError(deadline);
    a.unlock();
    expect(b.withLock(() => 1)).toBe(1);
  });

  test('refuses misuse and bad arguments', async () => {
    const misuse = code('LOCK_MISUSE');
    a.lock();
    expect(() => a.lock()).toThrowError(misuse);
    expect(a.tryLock()).toBe(false);
    expect(() => b.unlock()).toThrowError(misuse);
    expect(a.holder()).toBe(0);
    a.unlock();
    expect(() => a.unlock()).toThrowError(misuse);
    const held = await a.lockAsync();
    expect(() => a.lock()).toThrowError(misuse);
    held.release();
    expect(() => held.release()).toThrowError(misuse);

    const invalid = code('INVALID_ARGUMENT');
    expect(() => new Mutex(new Int32Array(1), 0, owner(0))).toThrowError(invalid);
    for (const index of [-1, 16, 0.5]) expect(() => new Mutex(words, index, owner(0))).toThrowError(invalid);
    for (const token of [0, 2 ** 28, 1.5]) {
      expect(() => new Mutex(words, 0, { token, isAlive: () => true })).toThrowError(invalid);
    }
    for (const deadlineMs of [-1, Number.NaN]) {
      expect(() => a.lock(deadlineMs)).toThrowError(invalid);
      await expect(a.lockAsync({ deadlineMs })).rejects.toThrowError(invalid);
    }
    expect(a.holder()).toBe(-1);
  });

  test('does not block the event loop while it waits asynchronously', async () => {
    a.lock();
    let taken = false;
    const waiting = b.lockAsync().then((held) => {
      taken = true;
      return held;
    });
    for (let turn = 0; turn < 50; turn++) await nextTurn();
    expect(taken).toBe(false);
    a.unlock();
    (await waiting).release();
  });

  test('excludes asynchronous tasks of one processor from each other', async () => {
    let inside = 0;
    let count = 0;
    const task = async (): Promise<void> => {
      const held = await a.lockAsync();
      expect(++inside).toBe(1);
      const before = count;
      await nextTurn();
      count = before + 1;
      inside--;
      held.release();
    };
    await Promise.all(Array.from({ length: 50 }, task));
    expect(count).toBe(50);
  });

  test('a signal ends the wait with its reason', async () => {
    a.lock();
    const controller = new AbortController();
    const waiting = b.lockAsync({ signal: controller.signal });
    const reason = new Error('no longer wanted');
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    a.unlock();
    await expect(b.lockAsync({ signal: controller.signal })).rejects.toBe(reason);
    expect(a.holder()).toBe(-1);
  });

  test('a release wakes a sleeper', async () => {
    a.lock();
    expect(() => b.lock(0)).toThrow();
    const sleeper = sleepRaw(words, 3);
    a.unlock();
    expect(await sleeper).toBe('ok');
  });

  test('a woken waiter wakes the next sleeper when it releases the lock', async () => {
    a.lock();
    const first = b.lockAsync();
    const second = sleepRaw(words, 3);
    a.unlock();
    (await first).release();
    expect(await second).toBe('ok');
  });

  test('a waiter that was overtaken and gives up leaves word for the one behind it', async () => {
    a.lock();
    const first = b.lockAsync();
    const second = sleepRaw(words, 3);
    a.unlock();
    c.lock();
    const late = performance.now() + 60_000;
    vi.spyOn(performance, 'now').mockReturnValue(late);
    onTestFinished(() => void vi.restoreAllMocks());
    // Woken after its deadline it finds the third one in, who has not waited and so will not notify by itself.
    await expect(first).rejects.toThrowError(code('LOCK_DEADLINE', { holder: 2 }));
    c.unlock();
    expect(await second).toBe('ok');
  });

  test('a stale waiter, past its deadline and in the queue still, passes a notification on', async () => {
    // Its timer is early and its clock late, so that it gives up well before the system takes it out of the queue.
    const original = setTimeout;
    const early = (end: (wake: string) => void, _ms: number, wake: string) => original(end, 0, wake);
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(early as typeof setTimeout);
    onTestFinished(() => void vi.restoreAllMocks());
    a.lock();
    const stale = b.lockAsync();
    const sleeper = sleepRaw(words, 3);
    const late = performance.now() + 60_000;
    vi.spyOn(performance, 'now').mockReturnValue(late);
    await expect(stale).rejects.toThrowError(code('LOCK_DEADLINE'));
    a.unlock();
    expect(await sleeper).toBe('ok');
  });

  test('a stale waiter, aborted and in the queue still, passes a notification on', async () => {
    a.lock();
    const controller = new AbortController();
    const stale = b.lockAsync({ signal: controller.signal });
    const sleeper = sleepRaw(words, 3);
    controller.abort();
    await expect(stale).rejects.toThrow();
    a.unlock();
    expect(await sleeper).toBe('ok');
  });

  test('a waiter aborted between the notification and its look passes the notification on', async () => {
    const waitAsync = vi.spyOn(Atomics, 'waitAsync');
    onTestFinished(() => void vi.restoreAllMocks());
    a.lock();
    const controller = new AbortController();
    const waiting = b.lockAsync({ signal: controller.signal });
    // Runs after the waiter's own handler on this promise, and before the turn that it has settled.
    for (const { value } of waitAsync.mock.results)
      void Promise.resolve(value.value).then(() => controller.abort());
    const sleeper = sleepRaw(words, 3);
    a.unlock();
    await expect(waiting).rejects.toThrow();
    expect(await sleeper).toBe('ok');
  });
});

describe('RwLock', () => {
  let words: Int32Array;
  let a: RwLock;
  let b: RwLock;
  beforeEach(() => {
    words = new Int32Array(new SharedArrayBuffer(RwLock.BYTES + 64));
    [a, b] = [0, 59].map((n) => new RwLock(words, 16, owner(n), { name: 'the test lock' })) as [
      RwLock,
      RwLock,
    ];
  });
  const word = (offset: number): number => Atomics.load(words, 16 + offset);

  test('readers share, a writer excludes and is excluded', async () => {
    const deadline = (holder: number) =>
      code('LOCK_DEADLINE', { holder, message: expect.stringContaining('the test lock') });
    expect([a.readLock(), b.readLock()]).toEqual([false, false]);
    a.readUnlock();
    expect(() => a.writeLock(10)).toThrowError(deadline(59));
    await expect(a.writeLockAsync({ deadlineMs: 10 })).rejects.toThrowError(deadline(59));
    expect(a.withRead(() => 1)).toBe(1);
    b.readUnlock();
    expect(a.writeLock()).toBe(false);
    expect(() => b.readLock(10)).toThrowError(deadline(0));
    expect(() => b.writeLock(0)).toThrowError(deadline(0));
    await expect(b.readLockAsync({ deadlineMs: 10 })).rejects.toThrowError(deadline(0));
    await expect(b.writeLockAsync({ deadlineMs: 10 })).rejects.toThrowError(deadline(0));
    a.writeUnlock();
    expect(b.withWrite(() => 1)).toBe(1);
    const reading = await Promise.all([a.readLockAsync(), b.readLockAsync()]);
    const writing = b.writeLockAsync();
    for (const held of reading) held.release();
    (await writing).release();
    expect([word(0), word(2)]).toEqual([0, 0]);
  });

  test('a waiting writer stops new readers, and a processor that reads may go on doing so', async () => {
    a.readLock();
    const writing = b.writeLockAsync();
    await nextTurn();
    const late = new RwLock(words, 16, owner(7));
    expect(() => late.readLock(10)).toThrowError(code('LOCK_DEADLINE', { holder: 59 }));
    expect(a.readLock()).toBe(false);
    (await a.readLockAsync()).release();
    a.readUnlock();
    a.readUnlock();
    const held = await writing;
    expect(held.contended).toBe(true);
    expect(() => a.readLock(10)).toThrow();
    held.release();
    expect(late.withRead(() => 1)).toBe(1);
  });

  test('the last reader to leave wakes the writer, and so does one that steps back', async () => {
    a.readLock();
    a.readLock();
    const writing = b.writeLockAsync();
    let woken = false;
    const sleeper = sleepRaw(words, 17).then(() => {
      woken = true;
    });
    a.readUnlock();
    await nextTurn();
    expect(woken).toBe(false);
    expect(() => new RwLock(words, 16, owner(7)).readLock(0)).toThrow();
    await sleeper;
    const again = sleepRaw(words, 17);
    const sequence = word(1);
    a.readUnlock();
    // For a writer that has looked and not fallen asleep yet.
    expect(word(1)).not.toBe(sequence);
    expect(await again).toBe('ok');
    (await writing).release();
  });

  test('a writer that gives up lets the readers in again', async () => {
    a.readLock();
    const controller = new AbortController();
    const writing = b.writeLockAsync({ signal: controller.signal });
    const reading = new RwLock(words, 16, owner(7)).readLockAsync();
    await nextTurn();
    controller.abort();
    await expect(writing).rejects.toThrowError(expect.objectContaining({ name: 'AbortError' }));
    (await reading).release();
    a.readUnlock();
    expect(b.withWrite(() => 1)).toBe(1);
  });

  test('synchronous readers get in while another task of the processor is on its way in', async () => {
    const writing = await b.writeLockAsync();
    const reading = a.readLockAsync();
    await nextTurn();
    writing.release();
    let isIn = false;
    void reading.then(() => {
      isIn = true;
    });
    for (; !isIn; await nextTurn()) expect(a.withRead(() => 1)).toBe(1);
    (await reading).release();
  });

  test('refuses misuse and bad arguments', async () => {
    const misuse = code('LOCK_MISUSE');
    expect(() => a.readUnlock()).toThrowError(misuse);
    expect(() => a.writeUnlock()).toThrowError(misuse);
    a.readLock();
    expect(() => a.writeLock()).toThrowError(misuse);
    expect(() => b.readUnlock()).toThrowError(misuse);
    for (let depth = 1; depth < 1023; depth++) a.readLock();
    expect(() => a.readLock()).toThrowError(misuse);
    await expect(a.readLockAsync()).rejects.toThrowError(misuse);
    for (let depth = 0; depth < 1023; depth++) a.readUnlock();
    expect(() => a.readUnlock()).toThrowError(misuse);
    a.writeLock();
    expect(() => a.writeLock()).toThrowError(misuse);
    expect(() => a.readLock()).toThrowError(misuse);
    expect(() => b.writeUnlock()).toThrowError(misuse);
    a.writeUnlock();
    b.readLock();
    const writing = a.writeLockAsync();
    expect(() => a.writeUnlock()).toThrowError(misuse);
    expect(() => a.readLock()).toThrowError(misuse);
    b.readUnlock();
    (await writing).release();

    const invalid = code('INVALID_ARGUMENT');
    expect(() => new RwLock(words, 17, owner(0))).toThrowError(invalid);
    expect(() => new RwLock(new Int32Array(100), 0, owner(0))).toThrowError(invalid);
    expect(() => new RwLock(words, 16, { token: tokenOf(60, 1), isAlive: () => true })).toThrowError(invalid);
    expect(() => a.readLock(Number.NaN)).toThrowError(invalid);
    expect(() => a.writeLock(-1)).toThrowError(invalid);
    await expect(a.readLockAsync({ deadlineMs: -1 })).rejects.toThrowError(invalid);
    await expect(a.writeLockAsync({ deadlineMs: -1 })).rejects.toThrowError(invalid);
    await expect(a.readLockAsync({ signal: AbortSignal.abort() })).rejects.toThrow();
    await expect(a.writeLockAsync({ signal: AbortSignal.abort() })).rejects.toThrow();
  });

  test('the incarnation in a count word may use all its bits', () => {
    const late: LockOwner = { token: tokenOf(5, 2 ** 22 - 1), isAlive: () => true };
    const lock = new RwLock(words, 16, late);
    lock.readLock();
    lock.readLock();
    expect(() => a.writeLock(0)).toThrowError(code('LOCK_DEADLINE', { holder: 5 }));
    lock.readUnlock();
    lock.readUnlock();
    expect(() => lock.readUnlock()).toThrowError(code('LOCK_MISUSE'));
    expect(a.withWrite(() => ownerOf(late.token).incarnation)).toBe(2 ** 22 - 1);
  });
});

describe('across threads', () => {
  let words: Int32Array;
  let me: ProcessorOwner;
  const workers: Worker[] = [];
  beforeEach(() => {
    words = new Int32Array(new SharedArrayBuffer(AT.END * 4));
    me = becomeOwner(words, 0, 1);
  });
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
  });

  function start(number: number, job: Job): { outcome: Promise<unknown> } {
    const worker = new Worker(program, { workerData: { words, number, incarnation: 1, job } });
    workers.push(worker);
    const outcome = new Promise((resolve, reject) => {
      worker.on('message', resolve).on('error', reject);
      worker.on('exit', (exitCode) => reject(new Error(`worker ${number} exited with ${exitCode}`)));
    });
    outcome.catch(() => {});
    return { outcome };
  }

  function awaitProgress(number: number): void {
    expect(Atomics.wait(words, AT.PROGRESS + number, 0, HUNG_MS)).not.toBe('timed-out');
  }

  test.each(['mutex', 'rw'] as const)(
    '%s: loses no addition of three processors, in all ways of locking',
    async (kind) => {
      console.info(replay);
      const random = randomFrom(seed);
      const jobs = [0, 1, 2].map(() => ({ do: 'hammer', kind, seed: random(1e9), rounds: 3000 }) as const);
      const [mine, ...others] = jobs as [(typeof jobs)[0], ...typeof jobs];
      const started = others.map((job, at) => start(at + 1, job).outcome);
      const held = await Promise.all([...started, hammer(words, me, 0, mine)]);
      const sum = held.reduce((total: number, one) => total + (one as number), 0);
      expect(Atomics.load(words, AT.ERRORS), replay).toBe(0);
      expect(words[AT.SECOND], replay).toBe(words[AT.FIRST]);
      if (kind === 'mutex') expect(words[AT.FIRST], replay).toBe(sum);
      expect(Atomics.load(words, AT.REPAIRS), 'repairs with nobody dead').toBe(0);
    },
  );

  test('two readers on two threads are in at once, and a writer waits for both', async () => {
    const { outcome } = start(1, { do: 'hold', what: 'read' });
    awaitProgress(1);
    const lock = new RwLock(words, AT.RW, me);
    expect(lock.readLock()).toBe(false);
    lock.readUnlock();
    expect(() => lock.writeLock(20)).toThrowError(code('LOCK_DEADLINE', { holder: 1 }));
    const writing = lock.writeLockAsync({ deadlineMs: HUNG_MS });
    Atomics.store(words, AT.STOP, 1);
    Atomics.notify(words, AT.STOP);
    (await writing).release();
    await outcome;
  });

  test('a synchronous sleeper of one thread and tasks of another take turns', async () => {
    const mutex = new Mutex(words, AT.MUTEX, me);
    const critical = new Critical(words, randomFrom(seed));
    const { outcome } = start(1, { do: 'hammer', kind: 'mutex', seed, rounds: 500 });
    const task = async (): Promise<void> => {
      for (let round = 0; round < 50; round++) {
        const held = await mutex.lockAsync({ deadlineMs: HUNG_MS });
        critical.write();
        if (round % 5 === 0) await nextTurn();
        held.release();
      }
    };
    await Promise.all([task(), task(), task()]);
    const theirs = (await outcome) as number;
    expect([words[AT.FIRST], Atomics.load(words, AT.ERRORS)], replay).toEqual([150 + theirs, 0]);
  });

  test('an asynchronous wait keeps its worker running', async () => {
    new Mutex(words, AT.MUTEX, me).lock();
    expect(await start(1, { do: 'waitAlone' }).outcome).toBe('K42_LOCK_DEADLINE');
  });
});
