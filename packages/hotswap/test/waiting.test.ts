/**
 * Goal: waiting calls that are declared transferable hold no swap up: what lets them go on is moved with the state, and each is
 * answered once, by the new object, or by the old one after an abort. Others hold it up. Iterators are used to their end on the
 * old object, and what their steps call gets through.
 * Method: queues on three processors whose pops are left open (programs/queues.ts); walkers whose steps call an object that is
 * held in BLOCK (holding.ts).
 */
import { type Coid, create, DREF, destroy, handle, type Implementation } from '@k42/clustered';
import { Machine, rcu, spawn } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { swap } from '../src/index.ts';
import { expectPending, holdIn, mediatorOf, reached } from './holding.ts';
import { type Box, Boxes } from './programs/boxes.ts';
import {
  askAtEveryStep,
  letImportFail,
  type Queue,
  Queues,
  StillQueues,
  setStop,
  takenHere,
  type Walker,
  Walkers,
} from './programs/queues.ts';
import { openAllGates } from './programs/tape.ts';
import { bytesInUse, until } from './support.ts';

const program = new URL('./programs/queues.ts', import.meta.url);
const boxes = new URL('./programs/boxes.ts', import.meta.url);
const PROCESSORS = [0, 1, 2];
let machine: Machine;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, program });
  openAllGates();
  takenHere();
});
afterEach(async () => {
  openAllGates();
  setStop(true);
  await machine.close();
});

const onAll = <R>(name: string, ...args: unknown[]): Promise<R[]> =>
  Promise.all(PROCESSORS.map((number) => machine.run<R>(number, name, args)));
const boxModule = { module: boxes } as const;
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

type Pair = readonly [Implementation<Queue>, Implementation<Queue>];
const KINDS: readonly [string, Pair][] = [
  ['an asynchronous interface', Queues],
  ['a synchronous interface', StillQueues as unknown as Pair],
];

/** Holds FORWARD open by a thread of this processor, until the function that it gives is called. */
function holdForward(): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const thread = spawn(() => promise);
  return async () => {
    resolve();
    await thread;
  };
}

describe.each(KINDS)('transferable calls of %s', (_name, [One, Two]) => {
  test('from before the swap are taken along, by reference, and answered by the new object in their order', async () => {
    const coid = create(One);
    await onAll('beginPops', coid, 3);
    await turns(3);
    const report = await swap(coid, Two, { deadlineMs: 5000 });
    expect(report.participants).toEqual(PROCESSORS);
    expect(await onAll('takenHere')).toEqual([3, 3, 3]);
    expect(await onAll('which', coid)).toEqual(['two', 'two', 'two']);
    expect(await handle(coid).open()).toBe(3);
    // And once more, before anybody completes them.
    await swap(coid, One, { deadlineMs: 5000 });
    expect(await onAll('takenHere')).toEqual([3, 3, 3]);
    expect(await onAll('completePops', coid)).toEqual([
      [0, 1, 2],
      [0, 1, 2],
      [0, 1, 2],
    ]);
    expect([await handle(coid).open(), await handle(coid).length()]).toEqual([0, 0]);
    await destroy(coid);
  });

  test('made while the swap forwards do not hold it up either', async () => {
    const coid = create(One);
    const queue = handle(coid);
    expect(await queue.which()).toBe('one');
    const release = holdForward();
    const swapped = swap(coid, Two, { deadlineMs: 5000 });
    const mediator = await reached(coid, 'forward');
    await until(() => {
      queue.length().catch(() => {});
      return mediator.report.forwarded > 0;
    });
    const popped = [queue.pop(), queue.pop()];
    await release();
    await swapped;
    expect(takenHere()).toBe(2);
    expect(await queue.which()).toBe('two');
    await queue.push(1);
    await queue.push(2);
    expect(await Promise.all(popped)).toEqual([1, 2]);
    await destroy(coid);
  });

  test('are left with the old object if the swap is given up', async () => {
    const coid = create(One);
    const queue = handle(coid);
    const popped = [queue.pop()];
    await onAll('beginPops', coid, 2);
    letImportFail(true);
    const release = holdForward();
    const swapped = swap(coid, Two, { deadlineMs: 5000 });
    const mediator = await reached(coid, 'forward');
    await until(() => {
      queue.length().catch(() => {});
      return mediator.report.forwarded > 0;
    });
    popped.push(queue.pop());
    await release();
    await expect(swapped).rejects.toMatchObject({ code: 'K42_SWAP_IMPORT' });
    letImportFail(false);
    expect(await queue.which()).toBe('one');
    expect(await queue.open()).toBe(4);
    // Two in between are those that the program has begun here.
    await queue.push(-1);
    expect(await popped[0]).toBe(-1);
    expect(await onAll('completePops', coid)).toEqual([
      [0, 1],
      [0, 1],
      [0, 1],
    ]);
    await queue.push(-2);
    expect(await popped[1]).toBe(-2);
    await swap(coid, Two);
    expect(await queue.which()).toBe('two');
    await destroy(coid);
  });

  test('are answered once each, in order, over many swaps under load', async () => {
    const coid = create(One);
    setStop(false);
    const workers = PROCESSORS.map((number) => machine.run<number>(number, 'pushAndPop', [coid]));
    for (const worker of workers) worker.catch(() => {});
    for (let round = 0; round < 30; round++) await swap(coid, round % 2 === 0 ? Two : One);
    setStop(true);
    for (const count of await Promise.all(workers)) expect(count).toBeGreaterThan(0);
    expect([await handle(coid).open(), await handle(coid).length()]).toEqual([0, 0]);
    await destroy(coid);
  });

  test('are waited for by the destruction, also those that a swap has taken along', async () => {
    const before = bytesInUse(machine);
    const coid = create(One);
    const popped = handle(coid).pop();
    await swap(coid, Two);
    const second = handle(coid).pop();
    // Nobody can push through the object any more: only the test has the Rep itself.
    const rep = DREF(coid);
    const destroyed = destroy(coid);
    for (let periods = 0; periods < 5; periods++) await rcu.synchronize();
    await expectPending(destroyed);
    await rep.push(1);
    expect(await popped).toBe(1);
    await expectPending(destroyed);
    await rep.push(2);
    expect(await second).toBe(2);
    await destroyed;
    await until(() => bytesInUse(machine) === before);
  });
});

describe('waiting calls that are not transferable', () => {
  test('hold a swap up beside those that are, until they are completed', async () => {
    const [One, Two] = Queues;
    const coid = create(One);
    const queue = handle(coid);
    const taken = queue.pop();
    const waitedFor = queue.popHere();
    const swapped = swap(coid, Two);
    await expectPending(swapped);
    expect(await queue.which()).toBe('one');
    // The first completes the transferable one: it is still not enough.
    await queue.push(1);
    expect(await taken).toBe(1);
    await expectPending(swapped);
    await queue.push(2);
    expect(await waitedFor).toBe(2);
    await swapped;
    expect(await queue.which()).toBe('two');
    await destroy(coid);
  });

  test('are named by the deadline, and go on with the old object', async () => {
    const [One, Two] = Queues;
    const coid = create(One);
    const queue = handle(coid);
    const [taken, waitedFor] = [queue.pop(), queue.popHere()];
    await expect(swap(coid, Two, { deadlineMs: 500 })).rejects.toMatchObject({
      code: 'K42_SWAP_DEADLINE',
      phase: 'forward',
      hindrances: [expect.objectContaining({ processor: 0, kind: 'open calls', count: 1 })],
    });
    await queue.push(1);
    await queue.push(2);
    expect(await Promise.all([taken, waitedFor])).toEqual([1, 2]);
    await swap(coid, Two);
    await destroy(coid);
  });
});

describe('iterators', () => {
  const [Box1, Box2] = Boxes as readonly [Implementation<Box>, Implementation<Box>];
  const [Walker1, Walker2] = Walkers;
  let box: Coid<Box>;
  let walkers: Coid<Walker>;

  beforeEach(async () => {
    await machine.load(boxes);
    box = create(Box1);
    await machine.call(1, { ...boxModule, name: 'put' }, [box, 1]);
    walkers = create(Walker1);
    askAtEveryStep(() => handle(box).which());
  });

  test('steps of those that a swap forwards are marked: what they call gets through where others wait', async () => {
    const walker = handle(walkers);
    await walker.which();
    const boxSwap = await holdInBlock();
    // A call of no swap waits; it will be answered by the new object.
    const waiting = handle(box).which();
    await expectPending(waiting);
    // The forwarded call of the box is a thread, and holds this swap in FORWARD.
    const walkerSwap = swap(walkers, Walker2);
    const mediator = await reached(walkers, 'forward');
    await until(() => {
      walker.which().catch(() => {});
      return mediator.report.forwarded > 0;
    });
    const walk = walker.walk();
    const stride = walker.stride();
    expect(await walk.next()).toEqual({ done: false, value: Box1.name });
    const { value } = stride.next() as { value: Promise<string> };
    expect(await value).toBe(Box1.name);
    await expectPending(waiting);
    expect(mediatorOf(box)?.block.phase()).toBeDefined();
    await boxSwap.release();
    await boxSwap.swapped;
    expect(await waiting).toBe(Box2.name);
    // To their ends, on the old walker; its swap waits for both.
    await expectPending(walkerSwap);
    const rest: string[] = [];
    for await (const answer of walk) rest.push(answer);
    expect(rest).toEqual([Box2.name, Box2.name]);
    await expectPending(walkerSwap);
    expect(stride.return?.()).toEqual({ done: true, value: undefined });
    await walkerSwap;
    expect(await walker.which()).toBe('Two');
    await destroy(walkers);
    await destroy(box);
  });

  const holdInBlock = () => holdIn('block', box, () => swap(box, Box2));

  test('ended in any way let the swap go on', async () => {
    for (const end of ['next', 'return', 'throw'] as const) {
      const walker = handle(walkers);
      await walker.which();
      const release = holdForward();
      const swapped = swap(walkers, Walker2);
      const mediator = await reached(walkers, 'forward');
      await until(() => {
        walker.which().catch(() => {});
        return mediator.report.forwarded > 0;
      });
      const walk = walker.walk();
      expect(await walk.next()).toEqual({ done: false, value: Box1.name });
      await release();
      await expectPending(swapped);
      if (end === 'next') for await (const _ of walk);
      else if (end === 'return') await walk.return?.();
      else await expect(walk.throw?.(new Error('enough'))).rejects.toThrow('enough');
      await swapped;
      expect(await walk.next()).toEqual({ done: true, value: undefined });
      await swap(walkers, Walker1);
    }
    await destroy(walkers);
    await destroy(box);
  });

  test('from before the swap hold it up, and are used to their end on the old object', async () => {
    const walker = handle(walkers);
    const [walk, stride] = [walker.walk(), walker.stride()];
    expect(await walk.next()).toEqual({ done: false, value: Box1.name });
    const swapped = swap(walkers, Walker2);
    await expectPending(swapped);
    for await (const answer of walk) expect(answer).toBe(Box1.name);
    await expectPending(swapped);
    for (const answer of stride) expect(await answer).toBe(Box1.name);
    await swapped;
    expect(await walker.which()).toBe('Two');
    await destroy(walkers);
    await destroy(box);
  });
});
