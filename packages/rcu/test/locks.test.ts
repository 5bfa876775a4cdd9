/**
 * Goal: the mutex excludes, across real threads, and its misuse is caught.
 * Method: unsynchronised additions to one plain word under the lock; a lost one means a lost exclusion.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { Machine, Mutex } from '../src/index.ts';
import { TORTURE } from './programs/workbench.ts';

const program = new URL('./programs/workbench.ts', import.meta.url);
let machine: Machine | undefined;
afterEach(async () => {
  await machine?.close();
  machine = undefined;
});

describe('Mutex', () => {
  test('excludes: three processors lose none of their additions', async () => {
    machine = await Machine.boot({ processors: 3, program });
    const times = 20_000;
    await Promise.all([1, 2, 0].map((number) => machine?.call(number, 'addUnderMutex', [times])));
    const base = machine.memory.block('test/torture', TORTURE.BYTES) / 4;
    expect(Atomics.load(machine.memory.i32, base + TORTURE.COUNTER)).toBe(3 * times);
  });

  test('names the holder when the deadline passes, and stays usable', () => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    const theirs = new Mutex(words, 0, 5, 'the test lock');
    const ours = new Mutex(words, 0, 1, 'the test lock');
    expect(theirs.lock()).toBe(false);
    expect(ours.tryLock()).toBe(false);
    expect(() => ours.lock(20)).toThrowError(
      expect.objectContaining({ code: 'K42_LOCK_DEADLINE', holder: 5 }),
    );
    theirs.unlock();
    expect(ours.holder()).toBe(-1);
    expect(ours.withLock(() => 1)).toBe(1);
  });

  test('refuses to be locked twice or unlocked by another', () => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    const mutex = new Mutex(words, 0, 0);
    mutex.lock();
    expect(() => mutex.lock()).toThrowError(expect.objectContaining({ code: 'K42_LOCK_MISUSE' }));
    expect(() => new Mutex(words, 0, 1).unlock()).toThrowError(
      expect.objectContaining({ code: 'K42_LOCK_MISUSE' }),
    );
    mutex.unlock();
    expect(() => mutex.unlock()).toThrowError(expect.objectContaining({ code: 'K42_LOCK_MISUSE' }));
    expect(() => new Mutex(new Int32Array(1), 0, 0)).toThrowError(
      expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }),
    );
  });
});
