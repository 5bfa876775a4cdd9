/**
 * Goal: what objects there are, where they are and what they are called is told, and found again by name from everywhere.
 * Method: objects on three processors, looked at while they live, are being destroyed, and are gone.
 */
import { Machine } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Coid,
  configureObjects,
  create,
  DREF,
  destroy,
  handle,
  liveObjects,
  nameObject,
  objectCounts,
  objectNamed,
  obtain,
  reviveCoid,
  type StoredCoid,
  storeCoid,
  unnameObject,
} from '../src/index.ts';
import { LocalQueue, Queue, ShareTally, Tally } from './programs/features.ts';
import { until } from './support.ts';

const program = new URL('./programs/features.ts', import.meta.url);
const code = (expected: string): unknown => expect.objectContaining({ code: expected });
let machine: Machine;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, maxProcessors: 4, program });
});
afterEach(async () => machine.close());

describe('live objects', () => {
  test('are listed with all there is to know', async () => {
    const queue = create(LocalQueue);
    const tally = await machine.call<Coid<Tally>>(2, 'createTally');
    handle(tally).add(1);
    await machine.call(1, 'add', [tally, 1]);
    nameObject(tally, 'sums');
    expect([...liveObjects()]).toEqual([
      {
        coid: queue,
        sequence: 0,
        names: [],
        interface: 'features/queue',
        implementation: 'features/local-queue@1',
        home: 0,
        touched: [],
        reps: [],
        stateBytes: 0,
        state: 'live',
      },
      {
        coid: tally,
        sequence: 0,
        names: ['sums'],
        interface: 'features/tally',
        implementation: 'features/share-tally@1',
        home: 2,
        touched: [0, 1],
        reps: [0, 1],
        stateBytes: 0,
        state: 'live',
      },
    ]);
    const iterator = handle(queue).values();
    const destroyed = destroy(queue);
    await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
    expect([...liveObjects()].map(({ state }) => state)).toEqual(['destroying', 'live']);
    iterator.return?.();
    await destroyed;
    expect([...liveObjects()].map(({ coid }) => coid)).toEqual([tally]);
  });
});

describe('names', () => {
  test('are found by all processors, by those that join later too', async () => {
    const coid = await machine.call<Coid<Tally>>(1, 'obtainTally', ['total/requests']);
    expect(await machine.call(2, 'obtainTally', ['total/requests'])).toBe(coid);
    const late = await machine.add();
    expect(await machine.call(late, 'obtainTally', ['total/requests'])).toBe(coid);
    expect(objectNamed('total/requests', Tally)).toBe(coid);
    expect(objectCounts().objects).toBe(1);
    expect(objectNamed('nobody', Tally)).toBeUndefined();
  });

  test('of everybody who asks at once one makes the object', async () => {
    const asked = machine.processors.flatMap((number) =>
      Array.from({ length: 20 }, () => machine.call(number, 'obtainTally', ['one'])),
    );
    expect(new Set(await Promise.all(asked)).size).toBe(1);
    // What the others have made meanwhile is destroyed again.
    await until(() => objectCounts().objects === 1);
  });

  test('go with their object, and can be given again', async () => {
    const first = create(ShareTally);
    nameObject(first, 'a');
    nameObject(first, 'b');
    nameObject(first, 'a');
    expect(() => nameObject(create(ShareTally), 'a')).toThrowError(code('K42_NAME'));
    await destroy(first);
    expect(objectNamed('a', Tally)).toBeUndefined();
    expect(unnameObject('b')).toBe(false);
    const second = create(ShareTally);
    expect(second).toBe(first);
    expect(objectNamed('a', Tally)).toBeUndefined();
    nameObject(second, 'a');
    expect(objectNamed('a', Tally)).toBe(second);
    expect(unnameObject('a')).toBe(true);
    expect(objectNamed('a', Tally)).toBeUndefined();
    expect(() => nameObject(99 as Coid<Tally>, 'c')).toThrowError(code('K42_OBJECT_GONE'));
  });

  test('are checked, and so is what they lead to', () => {
    obtain('queue', LocalQueue);
    expect(() => objectNamed('queue', Tally)).toThrowError(code('K42_NAME'));
    expect(() => obtain('queue', ShareTally)).toThrowError(code('K42_NAME'));
    expect(objectNamed('queue', Queue)).toBeDefined();
    for (const bad of ['', 'a b', 'x'.repeat(65), 7 as never])
      expect(() => objectNamed(bad, Tally)).toThrowError(code('K42_NAME'));
  });
});

describe('COIDs', () => {
  test('run out where a region has no more, and the error says so', async () => {
    configureObjects({ regionCapacity: 3 });
    const coids = [create(LocalQueue), create(LocalQueue), create(LocalQueue)];
    expect(() => create(LocalQueue)).toThrowError(code('K42_REGION_EXHAUSTED'));
    expect(objectCounts()).toMatchObject({ objects: 3 });
    // Every processor has a region of its own.
    await machine.call(1, 'createTally');
    await destroy(coids[1] as Coid<Queue>);
    expect(create(LocalQueue)).toBe(coids[1]);
    configureObjects({ regionCapacity: 5000 });
    // Numbers of four processors take turns.
    expect(create(LocalQueue)).toBe(16);
    for (const bad of [0, -1, 1.5, 2 ** 22, Number.NaN])
      expect(() => configureObjects({ regionCapacity: bad })).toThrowError(code('K42_INVALID_ARGUMENT'));
  });

  test('of objects that are gone are not stored, destroyed or named, though their number is given out again', async () => {
    const first = create(LocalQueue);
    const stored = storeCoid(first);
    const destroyed = destroy(first);
    await destroyed;
    expect(() => storeCoid(first)).toThrowError(code('K42_OBJECT_GONE'));
    const again = destroy(first);
    expect(create(LocalQueue)).toBe(first);
    await expect(again).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
    expect(() => reviveCoid(stored)).toThrowError(code('K42_OBJECT_GONE'));
    handle(first).length();
  });

  test('that never were lead to no object', async () => {
    create(LocalQueue);
    const bads: unknown[] = [
      -1,
      0,
      1.5,
      Number.NaN,
      12,
      2 ** 28,
      2 ** 31,
      2 ** 32,
      Number.POSITIVE_INFINITY,
      undefined,
    ];
    for (const bad of bads as Coid<Queue>[]) {
      if (bad !== 1.5) expect(() => DREF(bad)).toThrowError(code('K42_OBJECT_GONE'));
      expect(() => handle(bad)).toThrowError(code('K42_OBJECT_GONE'));
      expect(() => storeCoid(bad)).toThrowError(code('K42_OBJECT_GONE'));
      await expect(destroy(bad)).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
    }
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 53] as StoredCoid<Queue>[])
      expect(() => reviveCoid(bad)).toThrowError(code('K42_OBJECT_GONE'));
  });
});
