/**
 * Program of the tests of parts and departures: one number in four implementations, which keep it in one state, in heaps, in
 * shares of processors and in shares of clusters; each behind an interface with a synchronous method, and behind one without.
 *
 * They all speak one protocol, a number for each part, so that each can be swapped for each. What they do in a swap is noted on
 * the tape, with a code of the part. Flags and gates make single steps fail or wait.
 */
import {
  ClusteredRoot,
  type Coid,
  DistributedRoot,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
  type RootContext,
  SharedRoot,
} from '@k42/clustered';
import { type Part, type SwappableRoot, swap } from '@k42/hotswap';
import { currentProcessor, leaveMachine, spawn } from '@k42/rcu';
import { blockAtGate, flag, note, noted, passGate, setFlag, spinUntil } from './tape.ts';

export interface AsyncCells {
  add(by: number): Promise<number>;
  total(): Promise<number>;
  /** Lasts until its gate is open. */
  hold(): Promise<void>;
}

export interface Cells extends AsyncCells {
  /** What this processor, or its cluster, has. */
  own(): number;
}

const methods = { add: 'async', total: 'async', hold: 'async' } as const;
export const AsyncCells: Interface<AsyncCells> = defineInterface<AsyncCells>('cells/async', methods);
/** One synchronous method is enough for processors to be stopped. */
export const Cells: Interface<Cells> = defineInterface<Cells>('cells/sync', { ...methods, own: 'sync' });

/** Flags of the tape: processors at which something happens. They count from 1 there, so that 0 is nobody. */
const FLAG = {
  IMPORT_FAILS: 0,
  VALIDATION_FAILS: 1,
  EXPORT_LINGERS: 2,
  OTHERS: 3,
  LINGER_MS: 4,
} as const;
/** Gates. Asynchronous exports pass the first, those on processor 1 the second as well. */
export const GATE = { EXPORT: 0, EXPORT_ON_1: 1, CALL: 2, THREAD: 3 } as const;

const isHere = (which: number): boolean => flag(which) === 1 + currentProcessor().number;

export function letImportFail(processor: number | undefined): void {
  setFlag(FLAG.IMPORT_FAILS, processor === undefined ? 0 : 1 + processor);
}

export function letValidationFail(processor: number | undefined): void {
  setFlag(FLAG.VALIDATION_FAILS, processor === undefined ? 0 : 1 + processor);
}

/** Has synchronous exports of a processor stay on until so many others have ended, and then until somebody imports. */
export function letExportLinger(processor: number, others: number, lingerMs: number): void {
  setFlag(FLAG.EXPORT_LINGERS, 1 + processor);
  setFlag(FLAG.OTHERS, others);
  setFlag(FLAG.LINGER_MS, lingerMs);
}

/** A part as a number, for the tape. */
export function codeOf(part: Part): number {
  switch (part.kind) {
    case 'root':
      return 0;
    case 'rep':
      return 100 + part.processor;
    case 'share':
      return 200 + part.share;
  }
}

/** Where the number, or a piece of it, is. */
interface Cell {
  add(by: number): number;
  read(): number;
}

class WordCell implements Cell {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor({ memory }: RootContext, offset: number) {
    this.#words = memory.i32;
    this.#at = offset / 4;
  }

  add(by: number): number {
    return Atomics.add(this.#words, this.#at, by) + by;
  }

  read(): number {
    return Atomics.load(this.#words, this.#at);
  }
}

class HeapCell implements Cell {
  value = 0;

  add(by: number): number {
    this.value += by;
    return this.value;
  }

  read(): number {
    return this.value;
  }
}

/** Synchronous, for gathering; the methods of clients are asynchronous but for `own`. */
class Rep implements Cells {
  readonly cell: Cell;
  readonly #total: () => number | Promise<number>;

  constructor(cell: Cell, total: () => number | Promise<number>) {
    this.cell = cell;
    this.#total = total;
  }

  async add(by: number): Promise<number> {
    return this.cell.add(by);
  }

  async total(): Promise<number> {
    return this.#total();
  }

  hold(): Promise<void> {
    return passGate(GATE.CALL);
  }

  own(): number {
    return this.cell.read();
  }
}

const NUMBER = 'cells/number@1';

/** What heaps give, by reference: only its own thread can know it again. */
const given = new WeakSet<object>();

/** What is asynchronous of it is so if its interface allows it. */
interface Traits {
  readonly asynchronous: boolean;
  readonly barrier: boolean;
}

/** The hooks of a swap, for all of the Roots: they differ in what is in a part, and where it goes. */
class Moves {
  readonly #traits: Traits;
  readonly #take: (part: Part) => unknown;
  readonly #put: (part: Part, value: number) => void;

  constructor(traits: Traits, take: (part: Part) => unknown, put: (part: Part, value: number) => void) {
    this.#traits = traits;
    this.#take = take;
    this.#put = put;
  }

  export(part: Part): unknown {
    note('export begins', codeOf(part));
    if (this.#traits.asynchronous)
      return passGate(GATE.EXPORT)
        .then(() => (currentProcessor().number === 1 ? passGate(GATE.EXPORT_ON_1) : undefined))
        .then(() => this.#export(part));
    if (isHere(FLAG.EXPORT_LINGERS)) linger();
    blockAtGate(GATE.EXPORT);
    return this.#export(part);
  }

  #export(part: Part): unknown {
    const exported = this.#take(part);
    note('export ends', codeOf(part));
    return exported;
  }

  import(part: Part, exported: unknown): unknown {
    return this.#traits.asynchronous
      ? Promise.resolve().then(() => this.#import(part, exported))
      : this.#import(part, exported);
  }

  #import(part: Part, exported: unknown): void {
    note('import begins', codeOf(part));
    if (isHere(FLAG.IMPORT_FAILS)) throw new Error('import asked to fail');
    if (exported instanceof HeapCell && given.has(exported)) note('import by reference', codeOf(part));
    this.#put(part, exported instanceof HeapCell ? exported.value : (exported as number));
    note('import ends', codeOf(part));
  }

  validate(): unknown {
    return this.#traits.asynchronous ? Promise.resolve().then(() => this.#validate()) : this.#validate();
  }

  #validate(): boolean {
    note('validate');
    return !isHere(FLAG.VALIDATION_FAILS);
  }
}

function linger(): void {
  spinUntil(() => noted('export ends').length >= flag(FLAG.OTHERS), 'the other exports end');
  const until = performance.now() + flag(FLAG.LINGER_MS);
  while (noted('import begins').length === 0 && performance.now() < until);
}

const SPEAKS: readonly string[] = [NUMBER];

/** The four Roots, for one kind of interface. */
function rootsOf(traits: Traits) {
  class Shared extends SharedRoot<Cells> implements SwappableRoot {
    static readonly exports = SPEAKS;
    static readonly imports = SPEAKS;
    static readonly importsAfterAllExports: boolean = traits.barrier;
    readonly #cell = new WordCell(this.context, this.context.stateOffset);
    readonly #moves = new Moves(
      traits,
      ({ kind }) => (kind === 'root' ? this.#cell.read() : undefined),
      (_part, value) => this.#cell.add(value),
    );

    protected override createRep(): Rep {
      return new Rep(this.#cell, () => this.#cell.read());
    }

    exportPart(_protocol: string, part: Part): unknown {
      return this.#moves.export(part);
    }

    importPart(_protocol: string, part: Part, exported: unknown): unknown {
      return this.#moves.import(part, exported);
    }

    validate(): unknown {
      return this.#moves.validate();
    }

    adopt(): void {
      note('adopt');
    }

    relinquish(): void {
      note('relinquish');
    }
  }

  class Heap extends DistributedRoot<Cells> implements SwappableRoot {
    static readonly exports = SPEAKS;
    static readonly imports = SPEAKS;
    static readonly importsAfterAllExports: boolean = traits.barrier;
    readonly #moves = new Moves(
      traits,
      ({ kind }) => (kind === 'rep' ? this.#give() : undefined),
      (_part, value) => (this.rep() as Rep).cell.add(value),
    );

    protected override createRep(): Rep {
      return new Rep(new HeapCell(), () => this.reduce('own', (sum, own: number) => sum + own, 0));
    }

    #give(): Cell {
      const { cell } = this.repIfAny() as Rep;
      given.add(cell);
      return cell;
    }

    exportPart(_protocol: string, part: Part): unknown {
      return this.#moves.export(part);
    }

    importPart(_protocol: string, part: Part, exported: unknown): unknown {
      return this.#moves.import(part, exported);
    }

    validate(): unknown {
      return this.#moves.validate();
    }

    adopt(): void {
      note('adopt');
    }

    relinquish(): void {
      note('relinquish');
    }

    override depart(): unknown {
      return (this.repIfAny() as Rep | undefined)?.own();
    }

    override inherit(contribution: unknown): void {
      (this.rep() as Rep).cell.add(contribution as number);
    }
  }

  /** With one share for each processor, and with one for each cluster. */
  const inShares = (Base: typeof DistributedRoot<Cells> | typeof ClusteredRoot<Cells>) =>
    class extends (Base as typeof DistributedRoot<Cells>) implements SwappableRoot {
      static readonly exports = SPEAKS;
      static readonly imports = SPEAKS;
      static readonly importsAfterAllExports: boolean = traits.barrier;
      readonly #moves = new Moves(
        traits,
        (part) => (part.kind === 'share' ? this.#at(part.offset).read() : undefined),
        (_part, value) => this.#at(this.context.shareOffset).add(value),
      );

      protected override createRep(): Rep {
        const { context } = this;
        return new Rep(this.#at(context.shareOffset), () =>
          context.shareOffsets().reduce((sum, offset) => sum + this.#at(offset).read(), 0),
        );
      }

      #at(offset: number): Cell {
        return new WordCell(this.context, offset);
      }

      exportPart(_protocol: string, part: Part): unknown {
        return this.#moves.export(part);
      }

      importPart(_protocol: string, part: Part, exported: unknown): unknown {
        return this.#moves.import(part, exported);
      }

      validate(): unknown {
        return this.#moves.validate();
      }

      adopt(): void {
        note('adopt');
      }

      relinquish(): void {
        note('relinquish');
      }
    };
  return { Shared, Heap, Shares: inShares(DistributedRoot), Clusters: inShares(ClusteredRoot) };
}

export interface CellsFamily<T extends object> {
  readonly Shared: Implementation<T>;
  readonly Heap: Implementation<T>;
  readonly OtherHeap: Implementation<T>;
  readonly Shares: Implementation<T>;
  readonly Clusters: Implementation<T>;
  /** As `Shared`, but its imports wait for all exports. */
  readonly Barrier: Implementation<T>;
}

function family<T extends AsyncCells>(served: Interface<T>, asynchronous: boolean): CellsFamily<T> {
  const roots = rootsOf({ asynchronous, barrier: false });
  // What serves more methods serves the fewer, too.
  const define = (name: string, Root: (typeof roots)[keyof typeof roots], more: object): Implementation<T> =>
    defineImplementation<T>({
      name: `${served.name}-${name}@1`,
      interface: served,
      Root: Root as never,
      ...more,
    });
  return {
    Shared: define('shared', roots.Shared, { stateBytes: 4 }),
    Heap: define('heap', roots.Heap, {}),
    OtherHeap: define('other-heap', roots.Heap, {}),
    Shares: define('shares', roots.Shares, { shareBytes: 4 }),
    Clusters: define('clusters', roots.Clusters, { shareBytes: 4, clusterSize: 2 }),
    Barrier: define('barrier', rootsOf({ asynchronous, barrier: true }).Shared, { stateBytes: 4 }),
  };
}

export const Sync: CellsFamily<Cells> = family(Cells, false);
export const Async: CellsFamily<AsyncCells> = family(AsyncCells, true);

// What processors are asked for

export function add(coid: Coid<AsyncCells>, by: number): Promise<number> {
  return handle(coid).add(by);
}

export function total(coid: Coid<AsyncCells>): Promise<number> {
  return handle(coid).total();
}

/** Begins a call that lasts until its gate is open, and does not wait for it. */
export function beginHold(coid: Coid<AsyncCells>): void {
  handle(coid)
    .hold()
    .catch(() => {});
}

/** A thread that lasts until its gate is open. */
export function holdThread(): Promise<void> {
  return spawn(function holdingThread() {
    return passGate(GATE.THREAD);
  });
}

/** Swaps to another of the same family. */
export async function swapHere(coid: Coid<AsyncCells>, to: keyof CellsFamily<AsyncCells>): Promise<void> {
  await swap(coid, Async[to]);
}

/** A processor that has joined leaves its machine, in a later turn. */
export function leaveSoon(): void {
  setImmediate(() => void leaveMachine().catch(() => {}));
}

export function exitNow(): void {
  process.exit(1);
}
