/**
 * Program of the swap tests: a counter in two implementations that can be exchanged, and clients that hammer it.
 *
 * Every call carries an identifier of its own, noted in a bitmap of machine memory by whichever Rep runs it: a call
 * that is lost leaves its bit clear, one that runs twice finds it set. A Rep whose object has been replaced counts
 * every call that still reaches it.
 */
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
  SharedRoot,
} from '@k42/clustered';
import { type Part, type SwappableRoot, swap } from '@k42/hotswap';
import { currentProcessor, type MachineMemory, spawn } from '@k42/rcu';

export interface Counter {
  inc(id: number): number;
  incLater(id: number): Promise<number>;
  /** Awaits a turn in the middle and then calls the object again, twice. */
  incNested(id: number, inner: number, innerSync: number): Promise<void>;
  value(): Promise<number>;
}

export const Counter: Interface<Counter> = defineInterface<Counter>('test/counter', {
  inc: 'sync',
  incLater: 'async',
  incNested: 'async',
  value: 'async',
});

/** Words of the ledger block. */
export const LEDGER = { STOP: 0, TWICE: 1, WRONG: 2, FAIL_IMPORTS: 3, IDS: 16, IDS_MAX: 16_777_216 } as const;
export const LEDGER_BYTES: number = (LEDGER.IDS + LEDGER.IDS_MAX / 32) * 4;

export class Ledger {
  readonly words: Int32Array;
  readonly base: number;

  constructor(memory: MachineMemory) {
    this.words = memory.i32;
    this.base = memory.block('test/ledger', LEDGER_BYTES) / 4;
  }

  note(id: number): void {
    const bit = 1 << (id % 32);
    const before = Atomics.or(this.words, this.base + LEDGER.IDS + Math.floor(id / 32), bit);
    if ((before & bit) !== 0) Atomics.add(this.words, this.base + LEDGER.TWICE, 1);
  }

  noted(id: number): boolean {
    return (Atomics.load(this.words, this.base + LEDGER.IDS + Math.floor(id / 32)) & (1 << (id % 32))) !== 0;
  }

  add(word: number): void {
    Atomics.add(this.words, this.base + word, 1);
  }

  get(word: number): number {
    return Atomics.load(this.words, this.base + word);
  }

  set(word: number, value: number): void {
    Atomics.store(this.words, this.base + word, value);
  }
}

/** State words of either implementation. */
const STATE = { COUNT: 0, REPLACED: 1 } as const;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

abstract class CounterRep implements Counter {
  readonly words: Int32Array;
  readonly at: number;
  readonly #ledger: Ledger;
  /** The object's own COID, for calling itself; known once somebody has called it by COID. */
  static self: Coid<Counter> | undefined;

  constructor({ memory, stateOffset }: RootContext) {
    this.words = memory.i32;
    this.at = stateOffset / 4;
    this.#ledger = new Ledger(memory);
  }

  protected abstract add(): number;
  abstract value(): Promise<number>;

  inc(id: number): number {
    this.#ledger.note(id);
    if (Atomics.load(this.words, this.at + STATE.REPLACED) !== 0) this.#ledger.add(LEDGER.WRONG);
    return this.add();
  }

  async incLater(id: number): Promise<number> {
    if (id % 2 === 0) await nextTurn();
    return this.inc(id);
  }

  async incNested(id: number, inner: number, innerSync: number): Promise<void> {
    this.inc(id);
    await nextTurn();
    const self = handle(CounterRep.self as Coid<Counter>);
    await self.incLater(inner);
    self.inc(innerSync);
  }
}

const TOTAL = 'test/counter-total@1';

class SharedCounterRep extends CounterRep {
  protected override add(): number {
    return Atomics.add(this.words, this.at + STATE.COUNT, 1) + 1;
  }

  override async value(): Promise<number> {
    return Atomics.load(this.words, this.at + STATE.COUNT);
  }
}

function importMayFail(memory: MachineMemory): void {
  const ledger = new Ledger(memory);
  if (ledger.get(LEDGER.FAIL_IMPORTS) === 0) return;
  throw new Error('import asked to fail');
}

class SharedCounterRoot extends SharedRoot<Counter> implements SwappableRoot {
  static readonly exports: readonly string[] = [TOTAL];
  static readonly imports: readonly string[] = [TOTAL];

  protected override createRep(): Counter {
    return new SharedCounterRep(this.context);
  }

  exportPart(_protocol: string, part: Part): unknown {
    return part.kind === 'root'
      ? Atomics.load(this.context.memory.i32, this.context.stateOffset / 4 + STATE.COUNT)
      : undefined;
  }

  importPart(_protocol: string, _part: Part, exported: unknown): void {
    importMayFail(this.context.memory);
    Atomics.add(this.context.memory.i32, this.context.stateOffset / 4 + STATE.COUNT, exported as number);
  }

  relinquish(): void {
    Atomics.store(this.context.memory.i32, this.context.stateOffset / 4 + STATE.REPLACED, 1);
  }
}

class DistributedCounterRep extends CounterRep {
  readonly #root: DistributedCounterRoot;
  count = 0;

  constructor(root: DistributedCounterRoot) {
    super(root.context);
    this.#root = root;
  }

  protected override add(): number {
    return ++this.count;
  }

  localValue(): number {
    return this.count;
  }

  override async value(): Promise<number> {
    return (await this.#root.gather<number>('localValue')).reduce((sum, part) => sum + part, 0);
  }
}

class DistributedCounterRoot extends DistributedRoot<Counter> implements SwappableRoot {
  static readonly exports: readonly string[] = [TOTAL];
  static readonly imports: readonly string[] = [TOTAL];

  protected override createRep(): Counter {
    return new DistributedCounterRep(this);
  }

  exportPart(_protocol: string, part: Part): unknown {
    return part.kind === 'rep' ? (this.rep() as DistributedCounterRep).count : undefined;
  }

  importPart(_protocol: string, _part: Part, exported: unknown): void {
    importMayFail(this.context.memory);
    (this.rep() as DistributedCounterRep).count += exported as number;
  }

  relinquish(): void {
    Atomics.store(this.context.memory.i32, this.context.stateOffset / 4 + STATE.REPLACED, 1);
  }
}

export const SharedCounter: Implementation<Counter> = defineImplementation<Counter>({
  name: 'test/counter-shared@1',
  interface: Counter,
  Root: SharedCounterRoot,
  stateBytes: 8,
});

export const DistributedCounter: Implementation<Counter> = defineImplementation<Counter>({
  name: 'test/counter-distributed@1',
  interface: Counter,
  Root: DistributedCounterRoot,
  stateBytes: 8,
});

/** Speaks no protocol anybody else does. */
export const StrangeCounter: Implementation<Counter> = defineImplementation<Counter>({
  name: 'test/counter-strange@1',
  interface: Counter,
  stateBytes: 8,
  Root: class extends SharedCounterRoot {
    static override readonly exports: readonly string[] = ['test/strange@1'];
    static override readonly imports: readonly string[] = ['test/strange@1'];
  },
});

/**
 * Calls the counter in every way a client can, turn after turn, until told to stop; gives the identifiers it used
 * (`first`, `first + 1`, ... below the returned one), all of them called exactly once.
 */
export async function hammer(coid: Coid<Counter>, first: number): Promise<number> {
  CounterRep.self = coid;
  const ledger = new Ledger(currentProcessor().memory);
  const counter = handle(coid);
  const calls = new Set<Promise<unknown>>();
  const failures: unknown[] = [];
  const track = (call: Promise<unknown>): void => {
    calls.add(call);
    call.then(
      () => calls.delete(call),
      (error: unknown) => {
        calls.delete(call);
        failures.push(error);
      },
    );
  };
  let id = first;
  while (ledger.get(LEDGER.STOP) === 0) {
    // From a plain callback: synchronous, and asynchronous without waiting.
    counter.inc(id++);
    if (calls.size < 100) {
      track(counter.incLater(id++));
      track(counter.incNested(id++, id++, id++));
    }
    // From a synchronous thread, by the paper's form.
    spawn(() => DREF(coid).inc(id++));
    // From an asynchronous thread that spans turns, keeping its Rep.
    track(
      spawn(async () => {
        const rep = DREF(coid);
        rep.inc(id++);
        await nextTurn();
        rep.inc(id++);
        await rep.incLater(id++);
      }),
    );
    await nextTurn();
  }
  while (calls.size !== 0) await Promise.race(calls).catch(() => {});
  if (failures.length !== 0) throw failures[0];
  return id;
}

export function valueHere(coid: Coid<Counter>): Promise<number> {
  return handle(coid).value();
}

export function incHere(coid: Coid<Counter>, id: number): number {
  return handle(coid).inc(id);
}

export function createHere(): Coid<Counter> {
  return create(SharedCounter);
}

export async function swapHere(coid: Coid<Counter>, to: 'shared' | 'distributed'): Promise<void> {
  await swap(coid, to === 'shared' ? SharedCounter : DistributedCounter);
}

/** What a swap under churn may end with, besides succeeding. */
const EXPECTED = new Set(['K42_SWAP_DEADLINE', 'K42_SWAP_IN_PROGRESS', 'K42_DEADLINE']);

/**
 * Swaps, calls and reads several counters at random for some time, with deadlines that often pass in the middle of a
 * swap; gives the calls made on each. Throws at anything unexpected.
 */
export async function churn(
  coids: readonly Coid<Counter>[],
  first: number,
  milliseconds: number,
  seed: number,
): Promise<number[]> {
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const made = coids.map(() => 0);
  const underWay = new Set<Promise<unknown>>();
  const failures: unknown[] = [];
  const track = (work: Promise<unknown>): void => {
    const done = work
      .catch((error: unknown) => {
        if (!EXPECTED.has((error as { code?: string }).code ?? '')) failures.push(error);
      })
      .finally(() => underWay.delete(done));
    underWay.add(done);
  };
  let id = first;
  const until = performance.now() + milliseconds;
  while (performance.now() < until && failures.length === 0) {
    const which = below(coids.length);
    const coid = coids[which] as Coid<Counter>;
    const target = below(2) === 0 ? SharedCounter : DistributedCounter;
    switch (below(8)) {
      case 0:
        if (underWay.size < 50) track(swap(coid, target));
        break;
      case 1:
        if (underWay.size < 50) track(swap(coid, target, { deadlineMs: 1 + below(3) }));
        break;
      case 2:
        track(handle(coid).value());
        break;
      case 3:
      case 4:
        (made[which] as number)++;
        track(handle(coid).incLater(id++));
        break;
      default:
        (made[which] as number)++;
        handle(coid).inc(id++);
    }
    if (below(3) === 0) await nextTurn();
  }
  while (underWay.size !== 0) await Promise.all(underWay);
  if (failures.length !== 0) throw failures[0];
  return made;
}
