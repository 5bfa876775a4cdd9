/**
 * Goal: the standard Roots divide an object as they say; what a processor has is not lost when it leaves in order, what is
 * in machine memory not even when it is killed; idle Reps go and come back; clean-up runs where it must.
 * Method: tallies that count in heaps and in shares, on workers that leave, die and are replaced.
 */
import { Machine } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Coid, create, destroy, dropIdleReps, handle, liveObjects, objectCounts } from '../src/index.ts';
import { currentRoot, repProcessors } from '../src/interpose.ts';
import { ClusteredTally, HeapTally, LocalQueue, ShareTally, type Tally } from './programs/features.ts';
import { until } from './support.ts';

const program = new URL('./programs/features.ts', import.meta.url);
let machine: Machine;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 4, maxProcessors: 5, program });
});
afterEach(async () => machine.close());

const onAll = <R>(name: string, ...args: unknown[]): Promise<R[]> =>
  Promise.all(machine.processors.map((number) => machine.call<R>(number, name, args)));

/** A word in which processors that clean up set their bits. */
function cleanUpWord(): number {
  return machine.memory.block('test/clean-up', 64) / 4;
}

const createHeapTally = (): Coid<Tally> => create(HeapTally, cleanUpWord());

describe('shares', () => {
  test('are made where they are used, one per processor, and read by all', async () => {
    const coid = create(ShareTally);
    const before = objectCounts().bytes;
    await machine.call(2, 'add', [coid, 5]);
    expect(objectCounts().bytes).toBe(before + 64);
    await machine.call(3, 'add', [coid, 7]);
    expect(await onAll('own', coid)).toEqual([0, 0, 5, 7]);
    expect(await onAll('total', coid)).toEqual([12, 12, 12, 12]);
    expect(objectCounts().bytes).toBe(before + 4 * 64);
    await destroy(coid);
    expect(objectCounts()).toMatchObject({ objects: 0, bytes: 0 });
  });

  test('of a cluster are one for each block of consecutive processors', async () => {
    const coid = create(ClusteredTally);
    for (const number of machine.processors) await machine.call(number, 'add', [coid, 10 ** number]);
    expect(await onAll('own', coid)).toEqual([11, 11, 1100, 1100]);
    expect(await handle(coid).total()).toBe(1111);
    const fifth = await machine.add();
    expect(fifth).toBe(4);
    await machine.call(fifth, 'add', [coid, 10_000]);
    expect(await handle(coid).total()).toBe(11_111);
    await destroy(coid);
    expect(objectCounts()).toMatchObject({ objects: 0, bytes: 0 });
  });

  test('outlive their processor, killed or not, and whoever has its number next goes on', async () => {
    const coid = create(ShareTally);
    await machine.call(3, 'add', [coid, 5]);
    await machine.call(2, 'add', [coid, 6]);
    await machine.remove(2);
    await machine.call(3, 'exit').catch(() => {});
    await until(() => machine.processors.length === 2);
    expect(await handle(coid).total()).toBe(11);
    expect(await machine.add()).toBe(2);
    expect(await machine.add()).toBe(3);
    for (const number of [2, 3]) await machine.call(number, 'add', [coid, 100]);
    expect(await onAll('own', coid)).toEqual([0, 0, 106, 105]);
    await destroy(coid);
    expect(objectCounts()).toMatchObject({ objects: 0, bytes: 0 });
  });
});

describe('departures', () => {
  test('hand what a Rep has in its heap to the host, and sums stay exact', async () => {
    const coid = createHeapTally();
    for (const number of machine.processors) await machine.call(number, 'add', [coid, 10 ** number]);
    expect(await handle(coid).total()).toBe(1111);
    await machine.remove(3);
    expect(await handle(coid).total()).toBe(1111);
    await machine.remove(1);
    expect(await machine.call(2, 'total', [coid])).toBe(1111);
    expect(await machine.call(2, 'own', [coid])).toBe(100);
    // The numbers come back, with nothing of the ones before.
    expect(await machine.add()).toBe(1);
    expect(await machine.call(1, 'own', [coid])).toBe(0);
    expect(await machine.call(1, 'total', [coid])).toBe(1111);
    expect(repProcessors(currentRoot(coid))).toContain(1);
    await destroy(coid);
  });

  test('are taken over by a host that had not touched the object', async () => {
    const coid = createHeapTally();
    await machine.call(2, 'add', [coid, 5]);
    await machine.remove(2);
    expect(await machine.call(1, 'total', [coid])).toBe(5);
    expect(handle(coid).own()).toBe(5);
    await destroy(coid);
    expect(objectCounts()).toMatchObject({ objects: 0, bytes: 0 });
  });

  test('are counted once by whoever sums meanwhile', async () => {
    const coid = createHeapTally();
    for (const number of machine.processors) await machine.call(number, 'add', [coid, 1]);
    for (let round = 0; round < 5; round++) {
      let leaving = true;
      const left = machine.remove(3).finally(() => {
        leaving = false;
      });
      const totals: number[] = [];
      while (leaving) totals.push(await machine.call<number>(1, 'total', [coid]));
      await left;
      expect(new Set([...totals, await handle(coid).total()])).toEqual(new Set([4 + round]));
      expect(await machine.add()).toBe(3);
      await machine.call(3, 'add', [coid, 1]);
    }
    await destroy(coid);
  });

  test('leave nothing of a processor but what it has handed over: nobody asks its number about it', async () => {
    const coid = createHeapTally();
    for (const number of machine.processors) await machine.call(number, 'add', [coid, 1]);
    await machine.remove(2);
    await machine.call(3, 'exit').catch(() => {});
    await until(() => machine.processors.length === 2);
    expect([...liveObjects()].map(({ touched, reps }) => [touched, reps])).toEqual([
      [
        [0, 1],
        [0, 1],
      ],
    ]);
    expect(await handle(coid).total()).toBe(3);
    await destroy(coid, { deadlineMs: 5000 });
  });

  test('of the dead lose what was in their heap, and nothing else', async () => {
    const coid = createHeapTally();
    for (const number of machine.processors) await machine.call(number, 'add', [coid, 10 ** number]);
    await machine.call(3, 'exit').catch(() => {});
    await until(() => machine.processors.length === 3);
    expect(await handle(coid).total()).toBe(111);
    expect(await machine.add()).toBe(3);
    expect(await handle(coid).total()).toBe(111);
    await destroy(coid);
    await until(() => objectCounts().reps === 0);
    expect(objectCounts()).toMatchObject({ objects: 0, bytes: 0 });
  });
});

describe('clean-up', () => {
  test('runs on every processor that used the object, before its memory is freed', async () => {
    const word = cleanUpWord();
    const { i32 } = machine.memory;
    const coid = createHeapTally();
    await machine.call(1, 'add', [coid, 1]);
    await machine.call(3, 'add', [coid, 1]);
    await destroy(coid);
    expect(Atomics.exchange(i32, word, 0)).toBe((1 << 1) | (1 << 3) | (1 << 0));
    // Never called: only the destroyer has a view of it.
    await destroy(createHeapTally());
    expect(Atomics.exchange(i32, word, 0)).toBe(1);
  });
});

describe('idle Reps', () => {
  test('are dropped and come back by a miss; those in use stay', async () => {
    const busy = handle(create(ShareTally));
    const idle = create(LocalQueue);
    handle(idle).length();
    const heap = createHeapTally();
    handle(heap).add(7);
    const tallies = create(ClusteredTally);
    handle(tallies).add(3);
    const before = objectCounts().reps;
    busy.add(1);
    const dropped = dropIdleReps({ idleMs: 20 });
    const timer = setInterval(() => busy.add(1), 1);
    expect(await dropped).toBe(2);
    clearInterval(timer);
    expect(objectCounts().reps).toBe(before - 1);
    expect(repProcessors(currentRoot(idle))).toEqual([]);
    expect(repProcessors(currentRoot(tallies))).toEqual([]);
    // One that knows what nobody else knows is not asked to go.
    expect(handle(heap).own()).toBe(7);
    expect(handle(tallies).own()).toBe(3);
    expect(handle(idle).length()).toBe(0);
    expect(repProcessors(currentRoot(idle))).toEqual([0]);
    await expect(dropIdleReps({ idleMs: -1 })).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
  });

  test('that a waiting call is on are not idle', async () => {
    const coid = create(LocalQueue);
    const waiting = handle(coid).pop();
    expect(await dropIdleReps({ idleMs: 0 })).toBe(0);
    handle(coid).push(5);
    expect(await waiting).toBe(5);
  });
});
