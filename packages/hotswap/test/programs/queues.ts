/**
 * Program of the waiting tests: a queue per processor, behind an interface of asynchronous methods and behind one with a
 * synchronous method, whose pops a swap takes along; and walkers, whose iterators call another object at every step.
 */
import {
  type Coid,
  DistributedRoot,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
} from '@k42/clustered';
import type { Part, SwappableRoot } from '@k42/hotswap';
import { currentProcessor } from '@k42/rcu';
import { flag, setFlag } from './tape.ts';

export interface Queue {
  push(item: number): Promise<void>;
  /** Waits for an item; a swap takes it along. */
  pop(): Promise<number>;
  /** The same, but a swap waits for it. */
  popHere(): Promise<number>;
  length(): Promise<number>;
  /** Pops that are open on this processor, of both kinds. */
  open(): Promise<number>;
  which(): Promise<string>;
}

export interface StillQueue extends Queue {
  lengthNow(): number;
}

const methods = {
  push: { kind: 'async', completes: true },
  pop: { kind: 'async', waits: 'transferable' },
  popHere: { kind: 'async', waits: true },
  length: 'async',
  open: 'async',
  which: 'async',
} as const;
export const Queue: Interface<Queue> = defineInterface<Queue>('waiting/queue', methods);
export const StillQueue: Interface<StillQueue> = defineInterface<StillQueue>('waiting/still-queue', {
  ...methods,
  lengthNow: 'sync',
});

type Resolver = (item: number) => void;

/** Everything that has to move. */
interface Content {
  items: number[];
  waiting: Resolver[];
}

/** Resolvers that have been given here: they are functions, and only this thread can have them. */
const given = new Set<Resolver>();
/** How many of them have been taken. */
let taken = 0;

export function takenHere(): number {
  const count = taken;
  taken = 0;
  return count;
}

const FLAG = { IMPORT_FAILS: 0, STOP: 1 } as const;

export function letImportFail(fail: boolean): void {
  setFlag(FLAG.IMPORT_FAILS, fail ? 1 : 0);
}

export function setStop(stop: boolean): void {
  setFlag(FLAG.STOP, stop ? 1 : 0);
}

export class QueueRep implements StillQueue {
  content: Content = { items: [], waiting: [] };
  readonly #here: Resolver[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  async push(item: number): Promise<void> {
    const resolve = this.content.waiting.shift() ?? this.#here.shift();
    if (resolve === undefined) this.content.items.push(item);
    else resolve(item);
  }

  pop(): Promise<number> {
    return this.#pop(this.content.waiting);
  }

  popHere(): Promise<number> {
    return this.#pop(this.#here);
  }

  #pop(waiting: Resolver[]): Promise<number> {
    const item = this.content.items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => waiting.push(resolve));
  }

  async length(): Promise<number> {
    return this.content.items.length;
  }

  async open(): Promise<number> {
    return this.content.waiting.length + this.#here.length;
  }

  async which(): Promise<string> {
    return this.#name;
  }

  lengthNow(): number {
    return this.content.items.length;
  }
}

abstract class QueueRoot extends DistributedRoot<StillQueue> implements SwappableRoot {
  static readonly exports: readonly string[] = ['waiting/content@1'];
  static readonly imports: readonly string[] = ['waiting/content@1'];
  abstract readonly name: string;

  protected override createRep(): QueueRep {
    return new QueueRep(this.name);
  }

  exportPart(_protocol: string, { kind }: Part): unknown {
    if (kind !== 'rep') return undefined;
    const { content } = this.repIfAny() as QueueRep;
    for (const resolver of content.waiting) given.add(resolver);
    return content;
  }

  importPart(_protocol: string, _part: Part, exported: unknown): void {
    if (flag(FLAG.IMPORT_FAILS) !== 0) throw new Error('import asked to fail');
    const { items, waiting } = exported as Content;
    taken += waiting.filter((resolver) => given.has(resolver)).length;
    // The old one keeps its own: it may have to go on.
    (this.rep() as QueueRep).content = { items: [...items], waiting: [...waiting] };
  }
}

function queues<T extends Queue>(served: Interface<T>): readonly [Implementation<T>, Implementation<T>] {
  const version = (name: string): Implementation<T> =>
    defineImplementation<T>({
      name: `${served.name}-${name}@1`,
      interface: served,
      // What serves more methods serves the fewer, too.
      Root: class extends QueueRoot {
        override readonly name = name;
      } as never,
    });
  return [version('one'), version('two')];
}

export const Queues: readonly [Implementation<Queue>, Implementation<Queue>] = queues(Queue);
export const StillQueues: readonly [Implementation<StillQueue>, Implementation<StillQueue>] =
  queues(StillQueue);

// What processors are asked for

const pops = new Map<number, Promise<number>[]>();

/** Begins pops and leaves them open. */
export function beginPops(coid: Coid<Queue>, count: number): void {
  const own = pops.get(coid) ?? [];
  pops.set(coid, own);
  for (let n = 0; n < count; n++) own.push(handle(coid).pop());
}

/** Pushes as many items as there are pops open, and gives what those have popped, in order. */
export async function completePops(coid: Coid<Queue>): Promise<number[]> {
  const own = pops.get(coid) ?? [];
  pops.delete(coid);
  for (let n = 0; n < own.length; n++) await handle(coid).push(n);
  return Promise.all(own);
}

export function which(coid: Coid<Queue>): Promise<string> {
  return handle(coid).which();
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Pushes 0, 1, 2, ... and pops as many, several at a time before and after, until it is stopped; gives how many. Throws if pops
 * did not give every item once, in the order in which the pops were made.
 */
export async function pushAndPop(coid: Coid<Queue>): Promise<number> {
  const queue = handle(coid);
  const popped: Promise<number>[] = [];
  const pushed: Promise<void>[] = [];
  for (let round = 0; flag(FLAG.STOP) === 0; round++) {
    // More pops than there are items, then more items than pops.
    for (let n = 0; n < 3; n++) popped.push(queue.pop());
    for (let n = 0; n < 3; n++) pushed.push(queue.push(pushed.length));
    await nextTurn();
    if (round % 5 === 4) await Promise.all(pushed.slice(-3));
  }
  await Promise.all(pushed);
  const items = await Promise.all(popped);
  items.forEach((item, n) => {
    if (item !== n) throw new Error(`processor ${currentProcessor().number}: pop ${n} gave ${item}`);
  });
  return items.length;
}

// Walkers

export interface Walker {
  /** Asks another object at every step. */
  walk(): AsyncIterableIterator<string>;
  /** Gives, at every step, the promise of the other's answer. */
  stride(): IterableIterator<Promise<string>>;
  which(): Promise<string>;
}

export const Walker: Interface<Walker> = defineInterface<Walker>('waiting/walker', {
  walk: 'async-iterator',
  stride: 'iterator',
  which: 'async',
});

const STEPS = 3;
let ask: () => Promise<string> = async () => '';

/** What walkers do at each step, on this thread. */
export function askAtEveryStep(question: () => Promise<string>): void {
  ask = question;
}

class WalkerRoot extends DistributedRoot<Walker> implements SwappableRoot {
  static readonly exports: readonly string[] = ['waiting/nothing@1'];
  static readonly imports: readonly string[] = ['waiting/nothing@1'];

  protected override createRep(): Walker {
    const { name } = this.constructor;
    return {
      async *walk() {
        for (let step = 0; step < STEPS; step++) yield await ask();
      },
      *stride() {
        for (let step = 0; step < STEPS; step++) yield ask();
      },
      which: async () => name,
    };
  }

  exportPart(): undefined {}

  importPart(): void {}
}

export const Walkers: readonly [Implementation<Walker>, Implementation<Walker>] = [
  defineImplementation<Walker>({
    name: 'waiting/walker-one@1',
    interface: Walker,
    Root: class One extends WalkerRoot {},
  }),
  defineImplementation<Walker>({
    name: 'waiting/walker-two@1',
    interface: Walker,
    Root: class Two extends WalkerRoot {},
  }),
];
