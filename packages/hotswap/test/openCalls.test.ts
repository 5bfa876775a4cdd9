/**
 * Goal: a swap waits for waiting calls and iterators that are on the old object, whether they began before it or while it
 * forwards; a call that completes others gets through while the rest is queued; no item is lost or given twice.
 * Method: a queue on one processor, swapped while a pop or an iterator is open.
 */
import {
  create,
  defineImplementation,
  defineInterface,
  destroy,
  handle,
  type Implementation,
  SharedRoot,
} from '@k42/clustered';
import { Machine } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Part, type SwappableRoot, type SwapReport, swap } from '../src/index.ts';
import { until } from './support.ts';

interface Queue {
  push(item: number): Promise<void>;
  pop(): Promise<number>;
  peek(): Promise<readonly number[]>;
  items(): IterableIterator<number>;
  /** Which implementation answers. */
  which(): Promise<string>;
}

const methods = { peek: 'async', which: 'async' } as const;
const push = { kind: 'async', completes: true } as const;
const pop = { kind: 'async', waits: true } as const;
type Waiting = Omit<Queue, 'items'>;
/** Without the iterator its calls are all asynchronous, and a swap does not stop processors. */
const WaitingQueue = defineInterface<Waiting>('open/waiting-queue', { ...methods, push, pop });
const IteratedQueue = defineInterface<Queue>('open/iterated-queue', {
  ...methods,
  push,
  pop,
  items: 'iterator',
});

class Rep implements Queue {
  readonly #which: string;
  items_: number[] = [];
  readonly #waiting: ((item: number) => void)[] = [];

  constructor(which: string) {
    this.#which = which;
  }

  async push(item: number): Promise<void> {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.items_.push(item);
    else waiting(item);
  }

  async pop(): Promise<number> {
    return this.items_.shift() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  async peek(): Promise<readonly number[]> {
    return this.items_;
  }

  *items(): IterableIterator<number> {
    for (const item of this.items_) yield item;
  }

  async which(): Promise<string> {
    return this.#which;
  }
}

const ITEMS = 'open/items@1';

function rootOf(which: string) {
  return class extends SharedRoot<Queue> implements SwappableRoot {
    static readonly exports: readonly string[] = [ITEMS];
    static readonly imports: readonly string[] = [ITEMS];

    protected override createRep(): Rep {
      return new Rep(which);
    }

    exportPart(_protocol: string, part: Part): unknown {
      return part.kind === 'rep' ? (this.repIfAny() as Rep).items_ : undefined;
    }

    importPart(_protocol: string, _part: Part, exported: unknown): void {
      (this.rep() as Rep).items_ = [...(exported as number[])];
    }
  };
}

function pair<T extends Waiting>(served: typeof WaitingQueue | typeof IteratedQueue): Implementation<T>[] {
  return ['one', 'two'].map((which) =>
    defineImplementation({
      name: `${served.name}-${which}@1`,
      interface: served as never,
      Root: rootOf(which) as never,
    }),
  );
}

const [WaitingOne, WaitingTwo] = pair<Waiting>(WaitingQueue) as [
  Implementation<Waiting>,
  Implementation<Waiting>,
];
const [IteratedOne, IteratedTwo] = pair<Queue>(IteratedQueue) as [
  Implementation<Queue>,
  Implementation<Queue>,
];

let machine: Machine;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 1 });
});
afterEach(async () => machine.close());

/** Whether a swap is still under way after many turns. */
async function isHeldUp(swapping: Promise<SwapReport>): Promise<boolean> {
  let over = false;
  const note = (): void => {
    over = true;
  };
  swapping.then(note, note);
  for (let turn = 0; turn < 100; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  return !over;
}

describe('a waiting call', () => {
  test('from before the swap holds it up; the call that completes it gets through', async () => {
    const coid = create(WaitingOne);
    const queue = handle(coid);
    const popped = queue.pop();
    const swapping = swap(coid, WaitingTwo);
    expect(await isHeldUp(swapping)).toBe(true);
    await queue.push(1);
    expect(await popped).toBe(1);
    await swapping;
    expect(await queue.which()).toBe('two');
    await queue.push(2);
    expect(await queue.peek()).toEqual([2]);
    await destroy(coid);
  });

  test('made while the swap forwards holds it up in BLOCK, where others queue and pushes do not', async () => {
    const coid = create(WaitingOne);
    const queue = handle(coid);
    const first = queue.pop();
    const count = Reflect.get(queue, '$open');
    const swapping = swap(coid, WaitingTwo);
    // The slot is reset: what is called from now on is the swap's own business.
    await until(() => Reflect.get(queue, '$open') !== count);
    const second = queue.pop();
    // Ends what is from before: the swap blocks, because the second one is forwarded and open.
    await queue.push(1);
    expect(await first).toBe(1);
    expect(await isHeldUp(swapping)).toBe(true);
    const asked = queue.which();
    await queue.push(2);
    expect(await second).toBe(2);
    // Queued meanwhile, and answered by the new one.
    expect(await asked).toBe('two');
    const { queued } = await swapping;
    expect(queued).toBe(1);
    await destroy(coid);
  });

  test('that nobody completes ends the swap by its deadline, and the old object goes on', async () => {
    const coid = create(WaitingOne);
    const queue = handle(coid);
    const popped = queue.pop();
    await expect(swap(coid, WaitingTwo, { deadlineMs: 100 })).rejects.toMatchObject({
      code: 'K42_SWAP_DEADLINE',
    });
    await queue.push(3);
    expect(await popped).toBe(3);
    expect(await queue.which()).toBe('one');
    await swap(coid, WaitingTwo);
    expect(await queue.which()).toBe('two');
    await destroy(coid);
  });
});

describe('an iterator', () => {
  test('from before the swap, or given while it forwards, is used to its end on the old object', async () => {
    const coid = create(IteratedOne);
    const queue = handle(coid);
    for (const item of [1, 2, 3]) await queue.push(item);
    const before = queue.items();
    expect(before.next().value).toBe(1);
    const swapping = swap(coid, IteratedTwo);
    expect(await isHeldUp(swapping)).toBe(true);
    const during = queue.items();
    expect(during.next().value).toBe(1);
    expect([...before]).toEqual([2, 3]);
    expect(await isHeldUp(swapping)).toBe(true);
    expect([...during]).toEqual([2, 3]);
    await swapping;
    expect(await queue.which()).toBe('two');
    expect([...queue.items()]).toEqual([1, 2, 3]);
    await destroy(coid);
  });
});
