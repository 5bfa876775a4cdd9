/**
 * Goal: calls that wait for a swap keep what their callers gave them, and too many of them end the swap, not the calls.
 * Method: one processor; an asynchronous export held open by a promise while calls queue.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  create,
  DistributedRoot,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
} from '@k42/clustered';
import { Machine } from '@k42/rcu';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Part, type SwappableRoot, swap } from '../src/index.ts';

interface Echo {
  /** Gives its argument back, with the caller's context. */
  echo(n: number): Promise<[number, string | undefined]>;
}

const context = new AsyncLocalStorage<string>();
let held: Promise<void> = Promise.resolve();
let exporting: () => void = () => {};

const Echo = defineInterface<Echo>('test/echo', { echo: 'async' });

class EchoRoot extends DistributedRoot<Echo> implements SwappableRoot {
  static readonly exports = ['test/echo@1'];
  static readonly imports = ['test/echo@1'];

  protected override createRep(): Echo {
    return { echo: async (n) => [n, context.getStore()] };
  }

  async exportPart(_protocol: string, _part: Part): Promise<unknown> {
    exporting();
    await held;
    return undefined;
  }

  importPart(): void {}
}

const version = (name: string): Implementation<Echo> =>
  defineImplementation<Echo>({ name, interface: Echo, Root: class extends EchoRoot {} });
const [First, Second] = [version('test/echo@1'), version('test/echo@2')];

let machine: Machine;
let release: () => void;
let begun: Promise<void>;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 1 });
  ({ promise: held, resolve: release } = Promise.withResolvers<void>());
  ({ promise: begun, resolve: exporting } = Promise.withResolvers<void>());
});
afterEach(async () => {
  release();
  await machine.close();
});

test('a queued call runs in the asynchronous context of its caller', async () => {
  const coid = create(First);
  const swapped = context.run('initiator', () => swap(coid, Second));
  await begun;
  const calls = ['a', 'b'].map((name, n) => context.run(name, () => handle(coid).echo(n)));
  release();
  expect(await Promise.all(calls)).toEqual([
    [0, 'a'],
    [1, 'b'],
  ]);
  expect((await swapped).queued).toBe(2);
  expect(await handle(coid).echo(2)).toEqual([2, undefined]);
});

test('a queue that overflows aborts the swap, and every call is answered by the old object', async () => {
  const coid = create(First);
  const swapped = swap(coid, Second, { queueBound: 500 }).catch((error: unknown) => error);
  await begun;
  const calls = Array.from({ length: 510 }, (_, n) => handle(coid).echo(n));
  expect(await swapped).toMatchObject({ code: 'K42_SWAP_QUEUE_OVERFLOW' });
  const answers = await Promise.all(calls);
  expect(answers.every(([n], index) => n === index)).toBe(true);
});
