/** Program of the feature tests: objects of every kind of method and of every standard Root. */
import {
  ClusteredRoot,
  type Coid,
  create,
  DistributedRoot,
  DREF,
  defineImplementation,
  defineInterface,
  defineLayout,
  handle,
  type Implementation,
  type Interface,
  obtain,
  type RootContext,
} from '@k42/clustered';
import { spawn } from '@k42/rcu';

// A queue: waiting and completing methods, iterators

export interface Queue {
  push(value: number): void;
  pop(): Promise<number>;
  values(): IterableIterator<number>;
  stream(): AsyncGenerator<number>;
  length(): number;
}

export const Queue: Interface<Queue> = defineInterface<Queue>('features/queue', {
  push: { kind: 'sync', completes: true },
  pop: { kind: 'async', waits: true },
  values: 'iterator',
  stream: 'async-iterator',
  length: 'sync',
});

class QueueRep implements Queue {
  readonly #values: number[] = [];
  readonly #waiting: ((value: number) => void)[] = [];

  push(value: number): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#values.push(value);
    else waiting(value);
  }

  pop(): Promise<number> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve(value);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  *values(): IterableIterator<number> {
    yield* this.#values;
  }

  async *stream(): AsyncGenerator<number> {
    while (true) yield await this.pop();
  }

  length(): number {
    return this.#values.length;
  }
}

export const LocalQueue: Implementation<Queue> = defineImplementation<Queue>({
  name: 'features/local-queue@1',
  interface: Queue,
  distribution: 'shared',
  Rep: QueueRep,
});

// Shares, departures, clean-up

export interface Tally {
  add(by: number): void;
  /** What the Rep of this processor, or its cluster, has. */
  own(): number;
  total(): Promise<number>;
}

export const Tally: Interface<Tally> = defineInterface<Tally>('features/tally', {
  add: 'sync',
  own: 'sync',
  total: 'async',
});

/** Counts in the heap of its processor. */
class HeapTallyRep implements Tally {
  readonly root: HeapTallyRoot;
  count = 0;

  constructor(root: HeapTallyRoot) {
    this.root = root;
  }

  add(by: number): void {
    this.count += by;
  }

  own(): number {
    return this.count;
  }

  total(): Promise<number> {
    return this.root.reduce('own', (sum, part: number) => sum + part, 0);
  }
}

class HeapTallyRoot extends DistributedRoot<Tally> {
  protected override createRep(): HeapTallyRep {
    return new HeapTallyRep(this);
  }

  override depart(): number | undefined {
    return this.repIfAny()?.own();
  }

  override inherit(contribution: unknown): void {
    this.rep().add(contribution as number);
  }

  override cleanUp(): void {
    const { memory, stateOffset, processor } = this.context;
    Atomics.or(memory.i32, memory.i32[stateOffset / 4] as number, 1 << processor);
  }
}

/** Its argument is the index of a word in which every processor that cleans up sets its bit. */
export const HeapTally: Implementation<Tally, number> = defineImplementation<Tally, number>({
  name: 'features/heap-tally@1',
  interface: Tally,
  Root: HeapTallyRoot,
  stateBytes: 4,
  initialise: ({ memory, stateOffset }, word) => {
    memory.i32[stateOffset / 4] = word;
  },
});

const SHARE = defineLayout({ count: 'f64' });

/** Counts in shares of machine memory. */
class ShareTallyRep implements Tally {
  readonly #context: RootContext;
  readonly #at: number;

  constructor(context: RootContext) {
    this.#context = context;
    this.#at = SHARE.at(context.shareOffset).count;
  }

  add(by: number): void {
    const { f64 } = this.#context.memory;
    f64[this.#at] = (f64[this.#at] as number) + by;
  }

  own(): number {
    return this.#context.memory.f64[this.#at] as number;
  }

  async total(): Promise<number> {
    const { memory } = this.#context;
    return this.#context
      .shareOffsets()
      .reduce((sum, offset) => sum + (memory.f64[SHARE.at(offset).count] as number), 0);
  }
}

export const ShareTally: Implementation<Tally> = defineImplementation<Tally>({
  name: 'features/share-tally@1',
  module: import.meta.url,
  interface: Tally,
  distribution: 'distributed',
  share: SHARE,
  Rep: ShareTallyRep,
});

/** A share for every two processors. */
export const ClusteredTally: Implementation<Tally> = defineImplementation<Tally>({
  name: 'features/clustered-tally@1',
  interface: Tally,
  clusterSize: 2,
  share: SHARE,
  Root: class extends ClusteredRoot<Tally> {
    protected override createRep(): Tally {
      return new ShareTallyRep(this.context);
    }
  },
});

// What tests have processors do

export function add(coid: Coid<Tally>, by: number): void {
  handle(coid).add(by);
}

export function own(coid: Coid<Tally>): number {
  return handle(coid).own();
}

export function total(coid: Coid<Tally>): Promise<number> {
  return handle(coid).total();
}

export function push(coid: Coid<Queue>, value: number): void {
  handle(coid).push(value);
}

/** Dies, without leaving in order. */
export function exit(): never {
  process.exit(1);
}

export function obtainTally(name: string): Coid<Tally> {
  return obtain(name, ShareTally);
}

export function createTally(): Coid<Tally> {
  return create(ShareTally);
}

/** Prove mode: uses a Rep in many ways, right and wrong. Gives the code of what was thrown, or what the use gave. */
export async function prove(how: string, coid: Coid<Queue>): Promise<unknown> {
  const codeOf = async (use: () => unknown): Promise<unknown> => {
    try {
      return await use();
    } catch (error) {
      return [(error as { code?: string }).code, (error as Error).message];
    }
  };
  switch (how) {
    case 'inside':
      return codeOf(() =>
        spawn(() => {
          DREF(coid).push(7);
          return DREF(coid).length();
        }),
      );
    case 'inside, asynchronously':
      return codeOf(() =>
        spawn(async () => {
          const queue = DREF(coid);
          await Promise.resolve();
          queue.push(8);
          return queue.pop();
        }),
      );
    case 'outside':
      return codeOf(() => DREF(coid).length());
    case 'after':
      return codeOf(() => {
        let kept: Queue | undefined;
        spawn(() => {
          kept = DREF(coid);
        });
        return kept?.length();
      });
    case 'outlived': {
      let call: Promise<number> | undefined;
      spawn(function forgetful() {
        call = DREF(coid).pop();
      });
      handle(coid).push(1);
      return codeOf(() => call);
    }
    case 'handle':
      return codeOf(() => {
        handle(coid).push(9);
        return handle(coid).pop();
      });
    default:
      throw new Error(how);
  }
}
