/**
 * Objects whose histories are recorded: a register with synchronous and asynchronous methods, one with asynchronous ones only, a
 * queue with a pop that waits, and a tally that has a share on each processor's own heap.
 *
 * Registers and queues keep their words in a block of machine memory. Of each there are three versions: the first knows only how
 * to give and take the words by value, the other two hand the block itself over.
 */
import {
  DistributedRoot,
  defineImplementation,
  defineInterface,
  type Implementation,
  type Interface,
  type RootContext,
  SharedRoot,
} from '@k42/clustered';
import type { Part, SwappableRoot } from '@k42/hotswap';
import { currentProcessor, Mutex } from '@k42/rcu';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// Blocks

/** 32-bit words of the state: line of the block, who owns it, and whether the last export was of the block itself. */
const STATE = { BLOCK: 0, OWNERSHIP: 1, IS_LENT: 2 } as const;
const OWNERSHIP = { OWNS: 0, BORROWS: 1, GAVE: 2 } as const;
const STATE_BYTES = 64;
const LINE_BYTES = 64;
const BLOCK_BYTES = 512;

const WORDS = 'test/words@1';
const BLOCK = 'test/block@1';

function makeBlock(context: RootContext): void {
  const block = context.allocate(BLOCK_BYTES);
  context.memory.i32[context.stateOffset / 4 + STATE.BLOCK] = block / LINE_BYTES;
}

abstract class BlockRoot<T extends object> extends SharedRoot<T> implements SwappableRoot {
  static readonly exports: readonly string[] = [WORDS];
  static readonly imports: readonly string[] = [WORDS];

  /** Index of the block's first 32-bit word. */
  protected get block(): number {
    return ((this.context.memory.i32[this.#at(STATE.BLOCK)] as number) * LINE_BYTES) / 4;
  }

  exportPart(protocol: string, part: Part): unknown {
    if (part.kind !== 'root') return undefined;
    const { i32 } = this.context.memory;
    Atomics.store(i32, this.#at(STATE.IS_LENT), protocol === BLOCK ? 1 : 0);
    return protocol === BLOCK ? this.block : i32.slice(this.block, this.block + BLOCK_BYTES / 4);
  }

  importPart(protocol: string, _part: Part, exported: unknown): void {
    const { i32 } = this.context.memory;
    if (protocol !== BLOCK) {
      i32.set(exported as Int32Array, this.block);
      return;
    }
    const own = this.block * 4;
    i32[this.#at(STATE.OWNERSHIP)] = OWNERSHIP.BORROWS;
    i32[this.#at(STATE.BLOCK)] = ((exported as number) * 4) / LINE_BYTES;
    this.context.free(own, BLOCK_BYTES);
  }

  adopt(): void {
    const { i32 } = this.context.memory;
    Atomics.compareExchange(i32, this.#at(STATE.OWNERSHIP), OWNERSHIP.BORROWS, OWNERSHIP.OWNS);
  }

  relinquish(): void {
    const { i32 } = this.context.memory;
    if (Atomics.load(i32, this.#at(STATE.IS_LENT)) === 1)
      Atomics.store(i32, this.#at(STATE.OWNERSHIP), OWNERSHIP.GAVE);
  }

  override reclaim(): void {
    const { i32 } = this.context.memory;
    if (Atomics.load(i32, this.#at(STATE.OWNERSHIP)) === OWNERSHIP.OWNS)
      this.context.free(this.block * 4, BLOCK_BYTES);
  }

  #at(word: number): number {
    return this.context.stateOffset / 4 + word;
  }
}

type BlockRootClass<T extends object> = new (context: RootContext) => BlockRoot<T>;

/** Three versions of an implementation: by value; by reference where the other side can; and the same again. */
function versions<T extends object>(
  name: string,
  served: Interface<T>,
  Root: BlockRootClass<T>,
): Implementation<T>[] {
  // Not abstract any more, which the type of a protected method cannot say.
  const Base = Root as unknown as new (context: RootContext) => BlockRoot<T> & { createRep(): T };
  const define = (version: number, Versioned: BlockRootClass<T>): Implementation<T> =>
    defineImplementation<T>({
      name: `${name}@${version}`,
      interface: served,
      Root: Versioned,
      stateBytes: STATE_BYTES,
      initialise: makeBlock,
    });
  const byReference = (): BlockRootClass<T> =>
    class extends Base {
      static readonly exports: readonly string[] = [BLOCK, WORDS];
      static readonly imports: readonly string[] = [BLOCK, WORDS];
    };
  return [define(1, Root), define(2, byReference()), define(3, byReference())];
}

// Registers

/** Turns that some calls last: long enough to be on the old object still when others have done with it. */
const LONG_CALL_TURNS = 15;

/** A word; what is called asynchronously takes effect in a later turn, much later at times, and settles in a later one still. */
class Word {
  readonly #words: Int32Array;
  readonly #at: number;
  #calls = 0;

  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  read(): number {
    return Atomics.load(this.#words, this.#at);
  }

  write(value: number): void {
    Atomics.store(this.#words, this.#at, value);
  }

  add(by: number): number {
    return Atomics.add(this.#words, this.#at, by) + by;
  }

  compareAndSet(expected: number, value: number): boolean {
    return Atomics.compareExchange(this.#words, this.#at, expected, value) === expected;
  }

  async later<R>(act: () => R): Promise<R> {
    const call = this.#calls++;
    for (let turns = call % 8 === 0 ? LONG_CALL_TURNS : call % 2; turns > 0; turns--) await nextTurn();
    const result = act();
    if (call % 3 === 0) await nextTurn();
    return result;
  }
}

export interface Register {
  read(): number;
  write(value: number): void;
  add(by: number): number;
  compareAndSet(expected: number, value: number): boolean;
  readLater(): Promise<number>;
  addLater(by: number): Promise<number>;
}

export const Register: Interface<Register> = defineInterface<Register>('test/register', {
  read: 'sync',
  write: 'sync',
  add: 'sync',
  compareAndSet: 'sync',
  readLater: 'async',
  addLater: 'async',
});

class RegisterRep extends Word implements Register {
  readLater(): Promise<number> {
    return this.later(() => this.read());
  }

  addLater(by: number): Promise<number> {
    return this.later(() => this.add(by));
  }
}

class RegisterRoot extends BlockRoot<Register> {
  protected override createRep(): Register {
    return new RegisterRep(this.context.memory.i32, this.block);
  }
}

export const REGISTERS: readonly Implementation<Register>[] = versions(
  'test/register',
  Register,
  RegisterRoot,
);

/** The same with asynchronous methods only: its swaps need no stop point. */
export interface Cell {
  read(): Promise<number>;
  write(value: number): Promise<void>;
  add(by: number): Promise<number>;
  compareAndSet(expected: number, value: number): Promise<boolean>;
}

export const Cell: Interface<Cell> = defineInterface<Cell>('test/cell', {
  read: 'async',
  write: 'async',
  add: 'async',
  compareAndSet: 'async',
});

class CellRep implements Cell {
  readonly #word: Word;

  constructor(words: Int32Array, at: number) {
    this.#word = new Word(words, at);
  }

  read(): Promise<number> {
    return this.#word.later(() => this.#word.read());
  }

  write(value: number): Promise<void> {
    return this.#word.later(() => this.#word.write(value));
  }

  add(by: number): Promise<number> {
    return this.#word.later(() => this.#word.add(by));
  }

  compareAndSet(expected: number, value: number): Promise<boolean> {
    return this.#word.later(() => this.#word.compareAndSet(expected, value));
  }
}

class CellRoot extends BlockRoot<Cell> {
  protected override createRep(): Cell {
    return new CellRep(this.context.memory.i32, this.block);
  }
}

export const CELLS: readonly Implementation<Cell>[] = versions('test/cell', Cell, CellRoot);

// Queues

export interface Queue {
  /** Waits for room, of which there is always some here; lets a pop go on. */
  push(value: number): Promise<void>;
  /** Waits for a value. */
  pop(): Promise<number>;
  tryPop(): Promise<number | undefined>;
  size(): Promise<number>;
}

export const Queue: Interface<Queue> = defineInterface<Queue>('test/queue', {
  push: { kind: 'async', completes: true },
  pop: { kind: 'async', waits: true },
  tryPop: 'async',
  size: 'async',
});

/** Words of the block: a mutex, how many have been taken and put, and a ring. */
const RING = { LOCK: 0, TAKEN: 1, PUT: 2, SLOTS: 16, SLOTS_MAX: 112 } as const;

class QueueRep implements Queue {
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #lock: Mutex;
  #calls = 0;

  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
    // Nothing to repair: a value is put, or taken, by one store.
    this.#lock = new Mutex(words, at + RING.LOCK, currentProcessor().owner, { repair: () => {} });
  }

  async push(value: number): Promise<void> {
    if (this.#calls++ % 2 === 0) await nextTurn();
    while (!this.#put(value)) await nextTurn();
  }

  async pop(): Promise<number> {
    for (;;) {
      const taken = this.#take();
      if (taken !== undefined) return taken;
      await nextTurn();
    }
  }

  async tryPop(): Promise<number | undefined> {
    if (this.#calls++ % 2 === 0) await nextTurn();
    const taken = this.#take();
    if (this.#calls % 3 === 0) await nextTurn();
    return taken;
  }

  async size(): Promise<number> {
    await nextTurn();
    return this.#lock.withLock(() => this.#word(RING.PUT) - this.#word(RING.TAKEN));
  }

  #put(value: number): boolean {
    return this.#lock.withLock(() => {
      const [taken, put] = [this.#word(RING.TAKEN), this.#word(RING.PUT)];
      if (put - taken === RING.SLOTS_MAX) return false;
      this.#words[this.#at + RING.SLOTS + (put % RING.SLOTS_MAX)] = value;
      Atomics.store(this.#words, this.#at + RING.PUT, put + 1);
      return true;
    });
  }

  #take(): number | undefined {
    return this.#lock.withLock(() => {
      const [taken, put] = [this.#word(RING.TAKEN), this.#word(RING.PUT)];
      if (put === taken) return undefined;
      const value = this.#words[this.#at + RING.SLOTS + (taken % RING.SLOTS_MAX)] as number;
      Atomics.store(this.#words, this.#at + RING.TAKEN, taken + 1);
      return value;
    });
  }

  #word(word: number): number {
    return Atomics.load(this.#words, this.#at + word);
  }
}

class QueueRoot extends BlockRoot<Queue> {
  protected override createRep(): Queue {
    return new QueueRep(this.context.memory.i32, this.block);
  }
}

export const QUEUES: readonly Implementation<Queue>[] = versions('test/queue', Queue, QueueRoot);

// A tally

export interface Tally {
  inc(): Promise<void>;
  value(): Promise<number>;
}

export const Tally: Interface<Tally> = defineInterface<Tally>('test/tally', { inc: 'async', value: 'async' });

const TOTAL = 'test/tally-total@1';

class SharedTallyRoot extends SharedRoot<Tally> implements SwappableRoot {
  static readonly exports: readonly string[] = [TOTAL];
  static readonly imports: readonly string[] = [TOTAL];

  get #word(): Word {
    return new Word(this.context.memory.i32, this.context.stateOffset / 4);
  }

  protected override createRep(): Tally {
    const word = this.#word;
    return {
      inc: () => word.later(() => void word.add(1)),
      value: () => word.later(() => word.read()),
    };
  }

  exportPart(_protocol: string, part: Part): unknown {
    return part.kind === 'root' ? this.#word.read() : undefined;
  }

  importPart(_protocol: string, _part: Part, exported: unknown): void {
    this.#word.add(exported as number);
  }
}

class TallyRep implements Tally {
  readonly #root: HeapTallyRoot;
  count = 0;

  constructor(root: HeapTallyRoot) {
    this.#root = root;
  }

  async inc(): Promise<void> {
    if (this.count % 2 === 0) await nextTurn();
    this.count++;
  }

  /** Each Rep's count at some moment in the call: since counts only grow by one, their sum is the value at some moment in it. */
  async value(): Promise<number> {
    return (await this.#root.gather<number>('localCount')).reduce((sum, count) => sum + count, 0);
  }

  localCount(): number {
    return this.count;
  }
}

class HeapTallyRoot extends DistributedRoot<Tally> implements SwappableRoot {
  static readonly exports: readonly string[] = [TOTAL];
  static readonly imports: readonly string[] = [TOTAL];

  protected override createRep(): Tally {
    return new TallyRep(this);
  }

  exportPart(_protocol: string, part: Part): unknown {
    return part.kind === 'rep' ? (this.rep() as TallyRep).count : undefined;
  }

  importPart(_protocol: string, _part: Part, exported: unknown): void {
    (this.rep() as TallyRep).count += exported as number;
  }
}

export const TALLIES: readonly Implementation<Tally>[] = [
  defineImplementation<Tally>({
    name: 'test/tally-shared@1',
    interface: Tally,
    Root: SharedTallyRoot,
    stateBytes: 8,
  }),
  defineImplementation<Tally>({ name: 'test/tally-heap@1', interface: Tally, Root: HeapTallyRoot }),
];
