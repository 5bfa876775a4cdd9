/**
 * Goal: one COID reaches the right Rep on every processor, Reps are made where an object is used, and a destroyed
 * object is gone for everybody but never pulled from under a call.
 * Method: counters, shared and distributed, called from real workers.
 */

import { Machine } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Coid,
  create,
  DREF,
  defineImplementation,
  defineInterface,
  destroy,
  handle,
  type Implementation,
  type Miss,
  objectCounts,
  Root,
  reviveCoid,
  storeCoid,
} from '../src/index.ts';
import { currentRoot, repProcessors } from '../src/interpose.ts';
import { type Counter, DistributedCounter, SharedCounter } from './programs/counters.ts';
import { until } from './support.ts';

const program = new URL('./programs/counters.ts', import.meta.url);
let machine: Machine;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, program });
});
afterEach(async () => machine.close());

const onAll = <R>(name: string, ...args: unknown[]): Promise<R[]> =>
  Promise.all([0, 1, 2].map((number) => machine.call<R>(number, name, args)));

describe('objects', () => {
  test('a shared counter counts calls of all processors in one place', async () => {
    const coid = create(SharedCounter, 100);
    await onAll('incMany', coid, 1000);
    await onAll('incManyByDref', coid, 1000);
    await onAll('incManyLater', coid, 100);
    expect(await handle(coid).value()).toBe(100 + 3 * 2100);
    expect(await onAll('where', coid)).toEqual([0, 1, 2]);
  });

  test('a distributed counter has a Rep only where it was called, and gathers its value', async () => {
    const coid = create(DistributedCounter);
    expect(repProcessors(currentRoot(coid))).toEqual([]);
    expect(await machine.call(2, 'incMany', [coid, 10])).toBe(10);
    expect(repProcessors(currentRoot(coid))).toEqual([2]);
    expect(await machine.call(1, 'incMany', [coid, 5])).toBe(5);
    expect(await handle(coid).value()).toBe(15);
    expect(repProcessors(currentRoot(coid))).toEqual([0, 1, 2]);
    expect(await machine.call(1, 'valueHere', [coid])).toBe(15);
  });

  test('an object created on another processor has the same identity here', async () => {
    const coid = await machine.call<Coid<Counter>>(2, 'createShared', [7]);
    expect(handle(coid).inc()).toBe(8);
    expect(await machine.call(1, 'incMany', [coid, 1])).toBe(9);
  });

  test('a handle and DREF reach the same Rep, and the slot holds it after the first miss', () => {
    const coid = create(DistributedCounter);
    const counter = handle(coid);
    counter.inc();
    expect(DREF(coid).inc()).toBe(2);
    expect(handle(coid)).toBe(counter);
  });
});

describe('destroy', () => {
  test('makes the object gone on every processor, through kept handles too', async () => {
    const coid = create(SharedCounter, 0);
    await onAll('keep', coid);
    const stored = storeCoid(coid);
    expect(reviveCoid(stored)).toBe(coid);
    await destroy(coid);
    for (const number of [0, 1, 2]) {
      await expect(machine.call(number, 'useKept')).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
      await expect(machine.call(number, 'where', [coid])).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
    }
    expect(() => reviveCoid(stored)).toThrowError(expect.objectContaining({ code: 'K42_OBJECT_GONE' }));
    await expect(destroy(coid)).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
  });

  test('a kept handle never reaches the object that reuses the number', async () => {
    const coid = create(SharedCounter, 0);
    await machine.call(0, 'keep', [coid]);
    await machine.call(1, 'keep', [coid]);
    // Processor 2 has a handle it never called.
    await machine.call(2, 'keepUncalled', [coid]);
    await destroy(coid);
    const next = create(SharedCounter, 50);
    expect(next).toBe(coid);
    expect(await machine.call(1, 'incMany', [next, 1])).toBe(51);
    await expect(machine.call(1, 'useKept')).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
    await expect(machine.call(2, 'useKept')).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
    expect(await machine.call(2, 'incMany', [next, 1])).toBe(52);
  });

  test('frees the memory only after asynchronous calls from plain callbacks have ended', async () => {
    const before = objectCounts().bytes;
    const coid = create(Slow, undefined);
    const slow = handle(coid);
    const call = slow.wait();
    const gone = destroy(coid);
    let reclaimed = false;
    void gone.then(() => {
      reclaimed = true;
    });
    await machine.call(1, 'createShared', [0]);
    for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    expect(reclaimed).toBe(false);
    await expect(slow.wait()).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
    release();
    expect(await call).toBe('done');
    await gone;
    // What processor 1 has made is still there.
    expect(objectCounts().bytes).toBe(before + 128);
  });

  test('leaks nothing: a thousand objects used on all processors, created and destroyed', async () => {
    const before = objectCounts();
    for (let round = 0; round < 10; round++) {
      const coids = Array.from({ length: 100 }, (_, i) =>
        i % 2 === 0 ? create(SharedCounter, i) : create(DistributedCounter),
      );
      for (const coid of coids.slice(0, 10)) await onAll('incMany', coid, 1);
      await Promise.all(coids.map((coid) => destroy(coid)));
    }
    await until(() => objectCounts().reps === 0);
    expect(objectCounts()).toMatchObject({ objects: before.objects, bytes: before.bytes });
  });
});

test('a thread that is no processor any more reaches no object, by handles or otherwise', async () => {
  const coid = create(SharedCounter, 0);
  const kept = handle(coid);
  expect(kept.inc()).toBe(1);
  await machine.close();
  expect(() => kept.inc()).toThrowError(expect.objectContaining({ code: 'K42_NOT_ATTACHED' }));
  await expect(kept.incLater()).rejects.toMatchObject({ code: 'K42_NOT_ATTACHED' });
  expect(() => DREF(coid)).toThrowError(expect.objectContaining({ code: 'K42_NOT_ATTACHED' }));
  expect(() => handle(coid)).toThrowError(expect.objectContaining({ code: 'K42_NOT_ATTACHED' }));
});

describe('misses', () => {
  test('handleMiss that throws or returns nothing is a typed error and leaves the entry usable', () => {
    misbehave = 'throw';
    const coid = create(Fragile, undefined);
    const fragile = handle(coid);
    expect(() => fragile.ping()).toThrowError(expect.objectContaining({ code: 'K42_MISS' }));
    misbehave = 'nothing';
    expect(() => fragile.ping()).toThrowError(expect.objectContaining({ code: 'K42_MISS' }));
    misbehave = 'no';
    expect(fragile.ping()).toBe('pong');
  });

  test('may destroy their own object: the call goes through, the next one does not', async () => {
    const coid = create(Suicidal);
    const kept = handle(coid);
    expect(kept.ping()).toBe('pong');
    expect(kept.ping()).toBe('pong');
    await dying;
    expect(() => kept.ping()).toThrowError(expect.objectContaining({ code: 'K42_OBJECT_GONE' }));
    await expect(destroy(coid)).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
    expect(objectCounts()).toMatchObject({ objects: 0, bytes: 0 });
  });

  test('of an object that its own Rep calls while it is made are refused', () => {
    const coid = create(Narcissus, undefined);
    mirror = (): unknown => handle(coid).ping();
    expect(() => handle(coid).ping()).toThrowError(expect.objectContaining({ code: 'K42_MISS' }));
    expect(caught).toMatchObject({ code: 'K42_MISS', cause: { code: 'K42_REENTRANT_MISS' } });
    mirror = () => {};
    expect(handle(coid).ping()).toBe('pong');
  });

  test('an initialise that makes another object gives each its own identity', async () => {
    const outer = create(Matryoshka, 3);
    const all = [outer, ...made.splice(0)];
    expect(new Set(all).size).toBe(4);
    expect(all.map((coid) => handle(coid).ping())).toEqual(['3', '0', '1', '2']);
    // The same with numbers that have been used before.
    await Promise.all(all.map((coid) => destroy(coid)));
    expect(new Set([create(Matryoshka, 3), ...made.splice(0)]).size).toBe(4);
  });

  test('a create that fails half way leaves nothing behind', () => {
    const { bytes } = objectCounts();
    expect(() => create(Unborn, undefined)).toThrowError('unborn');
    expect(objectCounts().bytes).toBe(bytes);
  });
});

describe('declarations', () => {
  test('refuse names that cannot be kept, and duplicates', () => {
    // biome-ignore lint/suspicious/noThenProperty: this is the name that has to be refused
    expect(() => defineInterface<{ then(): number }>('test/bad', { then: 'sync' })).toThrowError(
      expect.objectContaining({ code: 'K42_NAME' }),
    );
    expect(() => defineInterface<{ a(): number }>('test/counter', { a: 'sync' })).toThrowError(
      expect.objectContaining({ code: 'K42_NAME' }),
    );
    expect(() => defineInterface<{ a(): number }>('no spaces', { a: 'sync' })).toThrowError(
      expect.objectContaining({ code: 'K42_NAME' }),
    );
    // @ts-expect-error the type checker refuses a declaration that disagrees with the type
    expect(defineInterface<{ a(): Promise<number> }>('test/mismatch', { a: 'sync' }).name).toBe(
      'test/mismatch',
    );
  });

  test('a rejection nobody handles is still reported, a handled one is not', async () => {
    const coid = create(Fragile, undefined);
    misbehave = 'no';
    const reported: unknown[] = [];
    const listener = (reason: unknown): void => void reported.push(reason);
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', listener);
    try {
      await expect(handle(coid).reject('handled')).rejects.toBe('handled');
      void handle(coid).reject('unhandled');
      for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    } finally {
      process.removeListener('unhandledRejection', listener);
      for (const other of others) process.on('unhandledRejection', other);
    }
    expect(reported).toEqual(['unhandled']);
  });
});

interface SlowInterface {
  wait(): Promise<string>;
}
let release: () => void = () => {};
const Slow = defineImplementation<SlowInterface, undefined>({
  name: 'test/slow@1',
  interface: defineInterface<SlowInterface>('test/slow', { wait: 'async' }),
  distribution: 'shared',
  stateBytes: 4096,
  Rep: class implements SlowInterface {
    async wait(): Promise<string> {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return 'done';
    }
  },
});

interface FragileInterface {
  ping(): string;
  reject(reason: string): Promise<never>;
}
let misbehave: 'throw' | 'nothing' | 'no' = 'no';
const FragileInterface = defineInterface<FragileInterface>('test/fragile', { ping: 'sync', reject: 'async' });
const Fragile = defineImplementation<FragileInterface, undefined>({
  name: 'test/fragile@1',
  interface: FragileInterface,
  Root: class extends Root<FragileInterface> {
    override handleMiss(): FragileInterface {
      if (misbehave === 'throw') throw new Error('asked to');
      if (misbehave === 'nothing') return undefined as never;
      return {
        ping: () => 'pong',
        reject: async (reason: string) => {
          throw reason;
        },
      };
    }
  },
});
const Unborn = defineImplementation<FragileInterface, undefined>({
  name: 'test/unborn@1',
  interface: FragileInterface,
  distribution: 'shared',
  stateBytes: 64,
  initialise: (context) => {
    context.allocate(100);
    context.free(context.allocate(20_000), 20_000);
    context.allocate(20_000);
    throw new Error('unborn');
  },
  Rep: class {
    ping(): string {
      return '';
    }
    reject(): Promise<never> {
      return new Promise(() => {});
    }
  },
});

/** Has its object destroyed by the first call. */
let dying: Promise<void> | undefined;
const Suicidal = defineImplementation<FragileInterface>({
  name: 'test/suicidal@1',
  interface: FragileInterface,
  Root: class extends Root<FragileInterface> {
    override handleMiss({ coid }: Miss): FragileInterface {
      dying = destroy(coid as Coid<FragileInterface>);
      return { ping: () => 'pong', reject: () => new Promise(() => {}) };
    }
  },
});

/** Looks at itself while it is being made. */
let mirror: () => unknown = () => {};
let caught: unknown;
const Narcissus = defineImplementation<FragileInterface, undefined>({
  name: 'test/narcissus@1',
  interface: FragileInterface,
  distribution: 'distributed',
  Rep: class {
    constructor() {
      try {
        mirror();
      } catch (error) {
        caught = error;
        throw error;
      }
    }
    ping(): string {
      return 'pong';
    }
    reject(): Promise<never> {
      return new Promise(() => {});
    }
  },
});

/** Makes, while it is being made, one of the next smaller size. */
const made: Coid<FragileInterface>[] = [];
const Matryoshka: Implementation<FragileInterface, number> = defineImplementation<FragileInterface, number>({
  name: 'test/matryoshka@1',
  interface: FragileInterface,
  stateBytes: 8,
  initialise: ({ memory, stateOffset }, size) => {
    memory.i32[stateOffset / 4] = size;
    if (size > 0) made.push(create(Matryoshka, size - 1));
  },
  Root: class extends Root<FragileInterface> {
    override handleMiss(): FragileInterface {
      const { memory, stateOffset } = this.context;
      return { ping: () => String(memory.i32[stateOffset / 4]), reject: () => new Promise(() => {}) };
    }
  },
});
