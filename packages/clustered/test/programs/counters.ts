/** Program of the object tests: a counter in a shared and a distributed implementation, and what to do with it. */
import {
  type Coid,
  create,
  DistributedRoot,
  DREF,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
  type RootContext,
} from '@k42/clustered';
import { currentProcessor, spawn } from '@k42/rcu';

export interface Counter {
  inc(): number;
  incLater(): Promise<number>;
  value(): Promise<number>;
  where(): number;
}

export const Counter: Interface<Counter> = defineInterface<Counter>('test/counter', {
  inc: 'sync',
  incLater: 'async',
  value: 'async',
  where: 'sync',
});

class SharedCounterRep implements Counter {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor({ memory, stateOffset }: RootContext) {
    this.#words = memory.i32;
    this.#at = stateOffset / 4;
  }

  inc(): number {
    return Atomics.add(this.#words, this.#at, 1) + 1;
  }

  async incLater(): Promise<number> {
    await Promise.resolve();
    return this.inc();
  }

  async value(): Promise<number> {
    return Atomics.load(this.#words, this.#at);
  }

  where(): number {
    return currentProcessor().number;
  }
}

export const SharedCounter: Implementation<Counter, number> = defineImplementation<Counter, number>({
  name: 'test/counter-shared@1',
  interface: Counter,
  distribution: 'shared',
  Rep: SharedCounterRep,
  stateBytes: 8,
  initialise: ({ memory, stateOffset }, start) => {
    memory.i32[stateOffset / 4] = start;
  },
});

class DistributedCounterRep implements Counter {
  readonly #root: DistributedCounterRoot;
  #count = 0;

  constructor(root: DistributedCounterRoot) {
    this.#root = root;
  }

  inc(): number {
    return ++this.#count;
  }

  async incLater(): Promise<number> {
    await Promise.resolve();
    return this.inc();
  }

  localValue(): number {
    return this.#count;
  }

  async value(): Promise<number> {
    const parts = await this.#root.gather<number>('localValue');
    return parts.reduce((sum, part) => sum + part, 0);
  }

  where(): number {
    return currentProcessor().number;
  }
}

class DistributedCounterRoot extends DistributedRoot<Counter> {
  protected override createRep(): Counter {
    return new DistributedCounterRep(this);
  }
}

export const DistributedCounter: Implementation<Counter> = defineImplementation<Counter>({
  name: 'test/counter-distributed@1',
  interface: Counter,
  Root: DistributedCounterRoot,
});

export function createShared(start: number): Coid<Counter> {
  return create(SharedCounter, start);
}

export function incMany(coid: Coid<Counter>, times: number): number {
  const counter = handle(coid);
  let last = 0;
  for (let i = 0; i < times; i++) last = counter.inc();
  return last;
}

export function incManyByDref(coid: Coid<Counter>, times: number): number {
  return spawn(() => {
    let last = 0;
    for (let i = 0; i < times; i++) last = DREF(coid).inc();
    return last;
  });
}

export async function incManyLater(coid: Coid<Counter>, times: number): Promise<void> {
  const counter = handle(coid);
  for (let i = 0; i < times; i++) await counter.incLater();
}

export function where(coid: Coid<Counter>): number {
  return handle(coid).where();
}

export function valueHere(coid: Coid<Counter>): Promise<number> {
  return handle(coid).value();
}

/** Keeps a handle across calls, to use it when the object may be gone. */
let kept: Counter | undefined;
export function keep(coid: Coid<Counter>): number {
  kept = handle(coid);
  return kept.inc();
}

export function keepUncalled(coid: Coid<Counter>): void {
  kept = handle(coid);
}

export function useKept(): number {
  return (kept as Counter).inc();
}
