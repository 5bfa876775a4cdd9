/**
 * Goal: calls of waiting methods and iterators hold up the destruction of their object, for as long as they are open, and
 * nothing else; asynchronous calls from plain callbacks are safe by themselves.
 * Method: a queue on one thread, whose pops and iterators are left open; destructions and grace periods beside them.
 */
import { Machine, rcu } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  create,
  DREF,
  defineImplementation,
  defineInterface,
  destroy,
  handle,
  objectCounts,
} from '../src/index.ts';
import { LocalQueue } from './programs/features.ts';
import { until } from './support.ts';

const program = new URL('./programs/features.ts', import.meta.url);
let machine: Machine;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 2, program });
});
afterEach(async () => machine.close());

/** Whether a destruction is still waiting, after grace periods that would have ended it. */
async function isHeldUp(destroyed: Promise<void>): Promise<boolean> {
  let ended = false;
  void destroyed.then(() => {
    ended = true;
  });
  for (let periods = 0; periods < 5; periods++) await rcu.synchronize();
  for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  return !ended;
}

describe('a waiting call', () => {
  test('holds up the destruction of its object, and no grace period', async () => {
    const queue = handle(create(LocalQueue));
    const coid = create(LocalQueue);
    const kept = handle(coid);
    const waiting = kept.pop();
    const rep = DREF(coid);
    await rcu.synchronize({ deadlineMs: 5000 });
    // Another object is destroyed meanwhile.
    const other = create(LocalQueue);
    handle(other).push(1);
    await destroy(other);
    const destroyed = destroy(coid);
    expect(await isHeldUp(destroyed)).toBe(true);
    expect(queue.length()).toBe(0);
    await expect(kept.pop()).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
    // Nobody can push through the object any more: only the test has the Rep itself.
    rep.push(42);
    expect(await Promise.race([waiting, destroyed.then(() => 'destroyed first')])).toBe(42);
    await destroyed;
  });

  test('that is over holds up nothing', async () => {
    const coid = create(LocalQueue);
    const waiting = handle(coid).pop();
    handle(coid).push(1);
    expect(await waiting).toBe(1);
    await destroy(coid, { deadlineMs: 5000 });
  });

  test('is named by the error of a destruction with a deadline, which goes on', async () => {
    const coid = create(LocalQueue);
    const iterator = handle(coid).values();
    await expect(destroy(coid, { deadlineMs: 50 })).rejects.toMatchObject({
      code: 'K42_DESTROY_DEADLINE',
      coid,
      processors: [0],
    });
    iterator.return?.();
    await until(() => objectCounts().objects === 0);
    await expect(destroy(coid, { deadlineMs: 0 })).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
  });
});

describe('an iterator', () => {
  test('holds up the destruction until its end', async () => {
    const coid = create(LocalQueue);
    handle(coid).push(1);
    handle(coid).push(2);
    const iterator = handle(coid).values();
    expect(iterator.next()).toEqual({ done: false, value: 1 });
    const destroyed = destroy(coid);
    expect(await isHeldUp(destroyed)).toBe(true);
    expect([...iterator]).toEqual([2]);
    await destroyed;
    expect(iterator.next()).toEqual({ done: true, value: undefined });
  });

  test.each(['return', 'throw', 'break', 'helpers'])('is at its end by %s', async (how) => {
    const coid = create(LocalQueue);
    for (let value = 0; value < 5; value++) handle(coid).push(value);
    const iterator = handle(coid).values();
    if (how === 'return') iterator.return?.();
    else if (how === 'throw') expect(() => iterator.throw?.(new Error('enough'))).toThrowError('enough');
    else if (how === 'break') for (const _value of iterator) break;
    else expect([...Iterator.from(iterator).take(2)]).toEqual([0, 1]);
    await destroy(coid, { deadlineMs: 5000 });
  });

  test('of promises holds up the destruction between its steps', async () => {
    const coid = create(LocalQueue);
    const stream = handle(coid).stream();
    handle(coid).push(1);
    expect(await stream.next()).toEqual({ done: false, value: 1 });
    const destroyed = destroy(coid);
    expect(await isHeldUp(destroyed)).toBe(true);
    expect(await stream.return(undefined)).toEqual({ done: true, value: undefined });
    await destroyed;
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  test('of promises can be used in a loop', async () => {
    const coid = create(LocalQueue);
    for (let value = 0; value < 5; value++) handle(coid).push(value);
    const seen: number[] = [];
    for await (const value of handle(coid).stream()) {
      seen.push(value);
      if (value === 3) break;
    }
    expect(seen).toEqual([0, 1, 2, 3]);
    await destroy(coid, { deadlineMs: 5000 });
  });

  test('gives nothing any more when it has failed, whatever the Rep would still give', async () => {
    const coid = create(Stubborn);
    const iterator = handle(coid).steps();
    expect(() => iterator.next()).toThrowError('not yet');
    expect(iterator.next()).toEqual({ done: true, value: undefined });
    expect([...handle(coid).list()]).toEqual([1, 2]);
    await destroy(coid, { deadlineMs: 5000 });
  });

  test('of promises is not at its end while a step is under way', async () => {
    const coid = create(Stubborn);
    const stream = handle(coid).later();
    const step = stream.next();
    expect(await stream.return?.(undefined)).toEqual({ done: true, value: undefined });
    const destroyed = destroy(coid);
    expect(await isHeldUp(destroyed)).toBe(true);
    releaseStep();
    expect(await step).toEqual({ done: false, value: 1 });
    await destroyed;
  });
});

describe('a thenable that is no promise', () => {
  test.each(['twice', 'throws'])('and settles %s is counted once', async (how) => {
    const coid = create(Stubborn);
    const before = rcu.liveThreads;
    const call = handle(coid).thenable(how);
    expect(rcu.liveThreads).toBe(before + 1);
    await Promise.allSettled([call]);
    expect(rcu.liveThreads).toBe(before);
    await rcu.synchronize({ deadlineMs: 5000 });
    await destroy(coid);
  });
});

/** Iterators and thenables of one's own, which do not behave as those of the language. */
interface Stubborn {
  steps(): Iterator<number>;
  list(): Iterable<number>;
  later(): AsyncIterator<number>;
  thenable(how: string): PromiseLike<number>;
}

let releaseStep: () => void = () => {};
const Stubborn = defineImplementation<Stubborn>({
  name: 'open-calls/stubborn@1',
  interface: defineInterface<Stubborn>('open-calls/stubborn', {
    steps: 'iterator',
    list: 'iterator',
    later: 'async-iterator',
    thenable: 'async',
  }),
  distribution: 'shared',
  Rep: class implements Stubborn {
    steps(): Iterator<number> {
      let failed = false;
      return {
        next: () => {
          if (failed) return { done: false, value: 77 };
          failed = true;
          throw new Error('not yet');
        },
      };
    }

    list(): Iterable<number> {
      return new Set([1, 2]);
    }

    later(): AsyncIterator<number> {
      return {
        next: () =>
          new Promise((resolve) => {
            releaseStep = () => resolve({ done: false, value: 1 });
          }),
        return: async () => ({ done: true, value: undefined }),
      };
    }

    thenable(how: string): PromiseLike<number> {
      return {
        // biome-ignore lint/suspicious/noThenProperty: a thenable is what this is about
        then: (resolved: unknown) => {
          if (how === 'throws') throw new Error('in then');
          (resolved as (value: number) => void)(1);
          (resolved as (value: number) => void)(2);
          return undefined as never;
        },
      };
    }
  },
});
