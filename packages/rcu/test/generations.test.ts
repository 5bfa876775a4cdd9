/**
 * Goal: a grace period ends after every thread that was live at the request, on every processor, and needs both
 * generation swaps for it.
 * Method: threads held open by promises on one processor; rcutorture's reader and updater on real workers.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { Machine, rcu, spawn, whenThreadsElapsed } from '../src/index.ts';
import { Threads } from '../src/internal/threads.ts';
import { TORTURE } from './programs/workbench.ts';

const program = new URL('./programs/workbench.ts', import.meta.url);
let machine: Machine | undefined;
afterEach(async () => {
  await machine?.close();
  machine = undefined;
});

/** Turns enough for any swap that can happen to have happened. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await nextTurn();
};

describe('threads', () => {
  test('are counted out when they return, throw, settle or reject', async () => {
    expect(spawn(() => 7)).toBe(7);
    expect(() =>
      spawn(() => {
        throw new Error('x');
      }),
    ).toThrowError('x');
    const resolved = spawn(async () => 8);
    const rejected = spawn(async () => {
      throw new Error('y');
    });
    expect(rcu.liveThreads).toBe(2);
    expect(await resolved).toBe(8);
    await expect(rejected).rejects.toThrowError('y');
    expect(rcu.liveThreads).toBe(0);
  });

  test('one generation swap does not prove what two prove', async () => {
    // The thread begins in the current generation; the other one is empty, so the first swap happens at once.
    const local = new Threads();
    const generation = local.begin();
    let elapsed = false;
    local.whenElapsed(() => {
      elapsed = true;
    });
    await settle();
    expect(elapsed).toBe(false);
    // A thread that begins after the request is not waited for.
    const later = local.begin();
    local.end(generation);
    await settle();
    expect(elapsed).toBe(true);
    local.end(later);
  });

  test('callbacks never run inside the turn of the request', () => {
    let ran = false;
    whenThreadsElapsed(() => {
      ran = true;
    });
    expect(ran).toBe(false);
  });
});

describe('grace periods', () => {
  test('wait for a thread on another processor', async () => {
    machine = await Machine.boot({ processors: 2, program });
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    let over = false;
    const thread = spawn(() => gate);
    const waited = machine.run(1, 'synchronizeHere').then(() => {
      over = true;
    });
    await machine.call(1, 'whoAmI');
    await settle();
    expect(over).toBe(false);
    open();
    await thread;
    await waited;
  });

  test('wait for no thread that begins after the request', async () => {
    machine = await Machine.boot({ processors: 2, program });
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const thread = spawn(() => gate);
    const waited = rcu.synchronize();
    // The request of this processor goes out in its next turn; every thread after that is a later one.
    await settle();
    const { promise: laterGate, resolve: openLater } = Promise.withResolvers<void>();
    const later = spawn(() => laterGate);
    open();
    await thread;
    await waited;
    openLater();
    await later;
  });

  test('synchronize inside a synchronous thread throws at once; by deadline in an asynchronous one, naming it', async () => {
    machine = await Machine.boot({ processors: 1 });
    await expect(spawn(() => rcu.synchronize())).rejects.toMatchObject({ code: 'K42_GRACE_PERIOD_DEADLOCK' });
    const late = spawn(async function selfWaiter() {
      await nextTurn();
      await rcu.synchronize({ deadlineMs: 30 });
    });
    await expect(late).rejects.toMatchObject({
      code: 'K42_GRACE_PERIOD_DEADLINE',
      message: expect.stringContaining('selfWaiter'),
    });
  });

  test('callbacks of one turn run in order, and one that is handed in by a callback gets its own grace period', async () => {
    machine = await Machine.boot({ processors: 1 });
    const order: string[] = [];
    rcu.call(() => {
      order.push('first');
      rcu.call(() => order.push('nested'));
    });
    rcu.call(() => order.push('second'));
    await rcu.barrier();
    expect(order.slice(0, 2)).toEqual(['first', 'second']);
    await rcu.barrier();
    expect(order).toEqual(['first', 'second', 'nested']);
  });

  test('torture: no reader on any processor sees an element recycled before its thread ended', async () => {
    machine = await Machine.boot({ processors: 3, program });
    const { memory } = machine;
    const base = memory.block('test/torture', TORTURE.BYTES) / 4;
    const readers = [0, 1, 2].map((number) => machine?.run<number>(number, 'tortureReader', [3]));
    for (let round = 0; round < 300 || Atomics.load(memory.i32, base + TORTURE.READS) < 300; round++) {
      const old = Atomics.load(memory.i32, base + TORTURE.CURRENT);
      const next = (old + 1) % TORTURE.COUNT;
      Atomics.store(memory.i32, base + TORTURE.ELEMENTS + next, 0);
      Atomics.store(memory.i32, base + TORTURE.CURRENT, next);
      await rcu.synchronize();
      Atomics.store(memory.i32, base + TORTURE.ELEMENTS + old, 1);
    }
    Atomics.store(memory.i32, base + TORTURE.STOP, 1);
    const reads = await Promise.all(readers);
    expect(Atomics.load(memory.i32, base + TORTURE.ERRORS)).toBe(0);
    for (const count of reads) expect(count).toBeGreaterThan(0);
  });
});
