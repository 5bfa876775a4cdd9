/**
 * Goal: the death of a holder is reported to the next one, or repaired, and holds nobody up.
 * Method: within one thread, owners that are declared dead; across threads, workers terminated while they hold a lock and
 * at random points of a loop, with the waiter's event loop standing still. Replay: the seed is printed with the command.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { randomFrom } from '@k42/tooling/random';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LockOwner, type Owner, ownerOf, type ProcessorOwner, tokenOf } from '../src/internal/owners.ts';
import { Mutex, OwnerDiedError, RwLock } from '../src/locks.ts';
import { AT, becomeOwner, Critical, HUNG_MS, type Job, type Kind } from './programs/locks.ts';

const program = new URL('./programs/locks.ts', import.meta.url);
const seed = Number(process.env.K42_SEED ?? Date.now() % 1_000_000);
const rounds = Number(process.env.K42_TORTURE_ROUNDS ?? 40);
const replay = `replay: K42_SEED=${seed} K42_TORTURE_ROUNDS=${rounds} npx pnpm exec vitest run test/lockDeath.test.ts`;
/** Well below HUNG_MS, and well above what ending a thread takes on a loaded machine. */
const TOLD_WITHIN_MS = 2000;

describe('with owners declared dead', () => {
  const dead = new Set<number>();
  beforeEach(() => dead.clear());
  const owner = (number: number, incarnation = 1): LockOwner => ({
    token: tokenOf(number, incarnation),
    isAlive: (token) => !dead.has(token),
  });
  const die = (who: LockOwner): void => void dead.add(who.token);
  const died = (number: number, fields: object = {}) =>
    expect.objectContaining({
      code: 'K42_OWNER_DIED',
      owner: { processor: number, incarnation: 1 },
      message: expect.stringContaining('the test lock'),
      ...fields,
    });
  const [o0, o1, o2, o3] = [owner(0), owner(1), owner(2), owner(3)] as const;

  describe('Mutex', () => {
    let words: Int32Array;
    beforeEach(() => {
      words = new Int32Array(new SharedArrayBuffer(4));
    });
    const mutexOf = (who: LockOwner, repair?: (dead: Owner) => void): Mutex =>
      new Mutex(words, 0, who, { name: 'the test lock', ...(repair && { repair }) });

    test('without a repair function everybody is told, until somebody with one comes', async () => {
      const [dying, a, b] = [mutexOf(o0), mutexOf(o1), mutexOf(o2)];
      dying.lock();
      die(o0);
      expect(a.tryLock()).toBe(false);
      expect(() => a.lock(0)).toThrowError(died(0));
      expect(a.holder()).toBe(-1);
      expect(() => a.tryLock()).toThrowError(OwnerDiedError);
      expect(() => b.lock()).toThrowError(died(0));
      await expect(b.lockAsync()).rejects.toThrowError(died(0));
      const seen: Owner[] = [];
      const c = mutexOf(o3, (who) => seen.push(who));
      expect(c.lock()).toBe(true);
      expect(seen).toEqual([ownerOf(o0.token)]);
      c.unlock();
      expect(b.lock()).toBe(false);
      b.unlock();
    });

    test('tryLock repairs a lock whose death has been reported', () => {
      mutexOf(o0).lock();
      die(o0);
      expect(() => mutexOf(o1).lock()).toThrowError(died(0));
      let repairs = 0;
      const a = mutexOf(o2, () => repairs++);
      expect(a.tryLock()).toBe(true);
      expect([repairs, a.isMine()]).toEqual([1, true]);
      a.unlock();
    });

    test('a repair that throws is the cause, and the next holder is told again', () => {
      mutexOf(o0).lock();
      die(o0);
      const cause = new Error('cannot');
      const a = mutexOf(o1, () => {
        throw cause;
      });
      expect(() => a.lock()).toThrowError(died(0, { cause }));
      expect(() => a.lock()).toThrowError(died(0, { cause }));
      expect(() => a.tryLock()).toThrowError(died(0, { cause }));
      expect(() => mutexOf(o2).lock()).toThrowError(died(0));
      expect(mutexOf(o3, () => {}).lock()).toBe(true);
    });

    test('a repairer that dies is a dead holder', () => {
      mutexOf(o0).lock();
      die(o0);
      const a = mutexOf(o1, () => {
        // As if it were killed here: the next one comes while it repairs.
        die(o1);
        expect(() => mutexOf(o2).lock()).toThrowError(died(1));
      });
      expect(() => a.lock()).toThrowError(expect.objectContaining({ code: 'K42_LOCK_MISUSE' }));
    });

    test('a repair that wants the lock, or releases it, is misuse', () => {
      mutexOf(o0).lock();
      die(o0);
      const misuse = expect.objectContaining({ code: 'K42_LOCK_MISUSE' });
      const a: Mutex = mutexOf(o1, () => a.lock());
      expect(() => a.lock()).toThrowError(died(0, { cause: misuse }));
      const b: Mutex = mutexOf(o2, () => b.unlock());
      expect(() => b.lock()).toThrowError(misuse);
      expect(b.holder()).toBe(-1);
    });

    test('a processor does not take the lock of its predecessor for its own', () => {
      mutexOf(o0).lock();
      die(o0);
      const successor = mutexOf(owner(0, 2));
      expect(() => successor.unlock()).toThrowError(expect.objectContaining({ code: 'K42_LOCK_MISUSE' }));
      expect(() => successor.lock()).toThrowError(died(0));
    });

    test('a waiter that is told of a death wakes the next sleeper', async () => {
      mutexOf(o0).lock();
      die(o0);
      const told = mutexOf(o1).lockAsync();
      const sleeper = Atomics.waitAsync(words, 0, Atomics.load(words, 0), 60_000);
      await expect(told).rejects.toThrowError(died(0));
      expect(await sleeper.value).toBe('ok');
    });

    test('a waiter that takes over from a dead holder wakes the next sleeper when it releases', async () => {
      mutexOf(o0).lock();
      die(o0);
      const taking = mutexOf(o1, () => {}).lockAsync();
      const held = await taking;
      const sleeper = Atomics.waitAsync(words, 0, Atomics.load(words, 0), 60_000);
      held.release();
      expect(await sleeper.value).toBe('ok');
    });

    test('an asynchronous task does not take another one of its own processor for dead', async () => {
      const a = mutexOf(o0);
      a.lock();
      die(o0);
      await expect(a.lockAsync({ deadlineMs: 20 })).rejects.toThrowError(
        expect.objectContaining({ code: 'K42_LOCK_DEADLINE' }),
      );
      a.unlock();
    });
  });

  describe('RwLock', () => {
    let words: Int32Array;
    beforeEach(() => {
      words = new Int32Array(new SharedArrayBuffer(RwLock.BYTES));
    });
    const lockOf = (who: LockOwner, repair?: (dead: Owner) => void): RwLock =>
      new RwLock(words, 0, who, { name: 'the test lock', ...(repair && { repair }) });

    test('a dead writer is reported to readers and writers, until somebody repairs', async () => {
      lockOf(o0).writeLock();
      die(o0);
      const a = lockOf(o1);
      expect(() => a.readLock()).toThrowError(died(0));
      expect(() => a.writeLock()).toThrowError(died(0));
      await expect(a.readLockAsync()).rejects.toThrowError(died(0));
      await expect(a.writeLockAsync()).rejects.toThrowError(died(0));
      let repairs = 0;
      const b = lockOf(o2, () => repairs++);
      expect(b.readLock()).toBe(true);
      expect(a.readLock()).toBe(false);
      a.readUnlock();
      b.readUnlock();
      expect(a.withWrite(() => repairs)).toBe(1);
    });

    test('a writer that died between two writes has left nothing to repair', () => {
      // Dead as a reader on its way in is, holding the mutex only.
      new Mutex(words, 0, o0).lock();
      die(o0);
      const a = lockOf(o1);
      expect(a.readLock()).toBe(true);
      a.readUnlock();
    });

    test('a writer that died waiting for readers has left nothing to repair', async () => {
      const reader = lockOf(o1);
      reader.readLock();
      const writing = lockOf(o0).writeLockAsync({ deadlineMs: 20 });
      await nextTurn();
      die(o0);
      expect(lockOf(o2).readLock()).toBe(true);
      // It was not dead at all, and finds that its lock has been taken from it.
      await expect(writing).rejects.toThrowError(expect.objectContaining({ code: 'K42_LOCK_MISUSE' }));
    });

    test('a dead reader is forgotten, also when its number has been given out again', async () => {
      const [a, b] = [lockOf(o1), lockOf(o2)];
      const dying = lockOf(o0);
      dying.readLock();
      dying.readLock();
      die(o0);
      expect(a.writeLock()).toBe(true);
      a.writeUnlock();
      lockOf(o3).readLock();
      die(o3);
      const successor = lockOf(owner(3, 2));
      expect(() => successor.readUnlock()).toThrowError(expect.objectContaining({ code: 'K42_LOCK_MISUSE' }));
      (await b.writeLockAsync()).release();
      lockOf(o3).readLock();
      successor.readLock();
      expect(() => b.writeLock(20)).toThrowError(expect.objectContaining({ holder: 3 }));
      successor.readUnlock();
      expect(b.withWrite(() => 1)).toBe(1);
    });
  });
});

describe('with workers terminated', () => {
  let words: Int32Array;
  let me: ProcessorOwner;
  const workers = new Set<Worker>();
  const failures: unknown[] = [];
  beforeEach(() => {
    words = new Int32Array(new SharedArrayBuffer(AT.END * 4));
    me = becomeOwner(words, 0, 1);
    failures.length = 0;
  });
  afterEach(async () => {
    await Promise.all([...workers].map((worker) => worker.terminate()));
    workers.clear();
  });

  function start(number: number, incarnation: number, job: Job): Worker {
    Atomics.store(words, AT.PROGRESS + number, 0);
    const worker = new Worker(program, { workerData: { words, number, incarnation, job } });
    worker.on('error', (error) => failures.push(error));
    workers.add(worker);
    return worker;
  }

  /** Stands still until a worker has got further than that. */
  function awaitProgress(number: number, beyond = 0): void {
    const giveUpAt = performance.now() + HUNG_MS;
    for (;;) {
      const seen = Atomics.load(words, AT.PROGRESS + number);
      if (seen > beyond) return;
      const left = giveUpAt - performance.now();
      if (left <= 0) throw new Error(`processor ${number} stays at ${seen}; ${failures}; ${replay}`);
      Atomics.wait(words, AT.PROGRESS + number, seen, left);
    }
  }

  const repair = (): void => {
    words[AT.SECOND] = words[AT.FIRST] as number;
    Atomics.add(words, AT.REPAIRS, 1);
  };

  /** Terminates the holder and at once, in the same turn, waits for the lock: no event tells of the death. */
  function killAndWait(what: 'mutex' | 'write' | 'read', wait: () => unknown): unknown {
    const worker = start(1, 1, { do: 'hold', what });
    awaitProgress(1);
    void worker.terminate();
    const from = performance.now();
    try {
      return wait();
    } finally {
      expect(performance.now() - from).toBeLessThan(TOLD_WITHIN_MS);
    }
  }

  test('a mutex: the blocked waiter is told, and the next one repairs', () => {
    const told = new Mutex(words, AT.MUTEX, me);
    expect(() => killAndWait('mutex', () => told.lock(HUNG_MS))).toThrowError(
      expect.objectContaining({ code: 'K42_OWNER_DIED', owner: { processor: 1, incarnation: 1 } }),
    );
    const repairing = new Mutex(words, AT.MUTEX, me, { repair });
    expect(repairing.lock()).toBe(true);
    expect(words[AT.SECOND]).toBe(1);
    repairing.unlock();
    expect(told.lock()).toBe(false);
  });

  test('a mutex: the blocked waiter repairs', () => {
    const mutex = new Mutex(words, AT.MUTEX, me, { repair });
    expect(killAndWait('mutex', () => mutex.lock(HUNG_MS))).toBe(true);
    expect([words[AT.FIRST], words[AT.SECOND]]).toEqual([1, 1]);
  });

  test('a mutex: an asynchronous waiter is told', async () => {
    const mutex = new Mutex(words, AT.MUTEX, me);
    await expect(killAndWait('mutex', () => mutex.lockAsync({ deadlineMs: HUNG_MS }))).rejects.toThrowError(
      OwnerDiedError,
    );
  });

  test.each(['read', 'write'] as const)('a write lock: the waiter that wants to %s repairs', (want) => {
    const lock = new RwLock(words, AT.RW, me, { repair });
    killAndWait('write', () => (want === 'read' ? lock.readLock(HUNG_MS) : lock.writeLock(HUNG_MS)));
    expect([words[AT.FIRST], words[AT.SECOND]]).toEqual([1, 1]);
  });

  test('a write lock: the waiter is told', () => {
    const lock = new RwLock(words, AT.RW, me);
    expect(() => killAndWait('write', () => lock.readLock(HUNG_MS))).toThrowError(OwnerDiedError);
    expect(() => lock.writeLock()).toThrowError(OwnerDiedError);
  });

  test('a read lock: the writer gets in, and nothing is repaired', () => {
    const lock = new RwLock(words, AT.RW, me, { repair });
    killAndWait('read', () => lock.writeLock(HUNG_MS));
    expect(Atomics.load(words, AT.REPAIRS)).toBe(0);
  });

  test.each(['mutex', 'rw'] as const)(
    '%s: deaths at random points hang nobody and leave nothing unrepaired',
    { timeout: 30_000 + rounds * 1000 },
    async (kind: Kind) => {
      console.info(replay);
      const random = randomFrom(seed);
      const critical = new Critical(words, randomFrom(seed));
      const mutex = new Mutex(words, AT.MUTEX, me, critical);
      const lock = new RwLock(words, AT.RW, me, critical);
      const job = (): Job => ({ do: 'hammer', kind, seed: random(1e9), rounds: Number.POSITIVE_INFINITY });
      const check = (): void => {
        const found = [words[AT.FIRST] === words[AT.SECOND], Atomics.load(words, AT.ERRORS)];
        expect(found, replay).toEqual([true, 0]);
      };
      const survivor = start(3, 1, job());
      // Two numbers take turns, so that one starts while the other is killed; each time as a new incarnation.
      let victim = start(1, 1, job());
      for (let round = 0; round < rounds; round++) {
        const [number, next] = round % 2 === 0 ? [1, 2] : [2, 1];
        const successor = start(next, round + 2, job());
        awaitProgress(number, 20);
        const killAt = performance.now() + random(3000) / 1000;
        while (performance.now() < killAt);
        const before = Atomics.load(words, AT.PROGRESS + 3);
        const exit = victim.terminate();
        const from = performance.now();
        // Standing still, or not.
        if (random(2) === 0) {
          if (kind === 'mutex') mutex.lock(HUNG_MS);
          else lock.writeLock(HUNG_MS);
          check();
          if (kind === 'mutex') mutex.unlock();
          else lock.writeUnlock();
        } else if (kind === 'mutex') {
          const held = await mutex.lockAsync({ deadlineMs: HUNG_MS });
          check();
          held.release();
        } else {
          const held = await lock.readLockAsync({ deadlineMs: HUNG_MS });
          check();
          held.release();
        }
        expect(performance.now() - from, replay).toBeLessThan(TOLD_WITHIN_MS);
        awaitProgress(3, before + 1);
        await exit;
        workers.delete(victim);
        victim = successor;
      }
      const ends = [victim, survivor].map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
      Atomics.store(words, AT.STOP, 1);
      await Promise.all(ends);
      workers.clear();
      expect(failures, replay).toEqual([]);
      if (kind === 'mutex') mutex.withLock(check);
      else lock.withWrite(check);
      console.info(`${kind}: ${Atomics.load(words, AT.REPAIRS)} of ${rounds} deaths were inside the lock`);
      if (rounds >= 40) expect(Atomics.load(words, AT.REPAIRS), replay).toBeGreaterThan(0);
    },
  );
});
