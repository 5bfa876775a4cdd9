/**
 * Objects of the interleavings: what they do is written to a log, and wherever they await something it is a gate of the schedule.
 *
 * All is in the heap of one processor. Every Root has a number; calls, hooks and what is asked of a swap stand in the log in the
 * order in which they happen.
 */
import {
  type Coid,
  DistributedRoot,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
  type RootContext,
} from '@k42/clustered';
import type { Part, SwappableRoot } from '../../src/index.ts';

export type Happening =
  | { readonly what: 'begin' | 'end'; readonly object: number; readonly root: number; readonly call: number }
  | { readonly what: HookName; readonly object: number; readonly root: number }
  /** What the schedule has asked for. */
  | { readonly what: 'abort' | 'destroy'; readonly object: number };
export type HookName = 'frozen' | 'thaw' | 'export' | 'import' | 'adopt' | 'relinquish';

/** What one schedule has come to so far. */
export class World {
  readonly log: Happening[] = [];
  /** Closed gates, in the order in which something came to stand there. */
  readonly gates: (() => void)[] = [];
  /** Whether the old object has background work to stop. */
  readonly freezes: boolean;

  constructor(freezes: boolean) {
    this.freezes = freezes;
  }

  gate(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gates.push(resolve);
    return promise;
  }

  /** Opens one of the gates, if there is any. */
  open(which: number): void {
    this.gates.splice(which % Math.max(1, this.gates.length), 1)[0]?.();
  }
}

let world = new World(false);
export function enter(next: World): void {
  world = next;
}

let roots = 0;

/** Every call has a number of its own, and gives it back. */
export interface Cell {
  note(call: number): Promise<number>;
  /** Ends when its gate is opened. */
  gated(call: number): Promise<number>;
  /** Calls another object in the midst. */
  nest(call: number, other: Coid<Cell>, inner: number): Promise<number>;
  /** How many calls have begun. */
  value(): Promise<number>;
}

export interface SyncCell extends Cell {
  tick(call: number): number;
  items(call: number): IterableIterator<number>;
}

const METHODS = { note: 'async', gated: 'async', nest: 'async', value: 'async' } as const;
export const Cell: Interface<Cell> = defineInterface<Cell>('interleaved/cell', METHODS);
export const SyncCell: Interface<SyncCell> = defineInterface<SyncCell>('interleaved/sync-cell', {
  ...METHODS,
  tick: 'sync',
  items: 'iterator',
});

interface Place {
  readonly root: number;
  readonly object: number;
}

class CellRep implements SyncCell {
  readonly #place: Place;
  /** Calls that have begun on this object, by whichever Rep. */
  count = 0;

  constructor(place: Place) {
    this.#place = place;
  }

  #begin(call: number): void {
    this.count++;
    world.log.push({ what: 'begin', ...this.#place, call });
  }

  #end(call: number): number {
    world.log.push({ what: 'end', ...this.#place, call });
    return call;
  }

  async note(call: number): Promise<number> {
    this.#begin(call);
    return this.#end(call);
  }

  async gated(call: number): Promise<number> {
    this.#begin(call);
    await world.gate();
    return this.#end(call);
  }

  async nest(call: number, other: Coid<Cell>, inner: number): Promise<number> {
    this.#begin(call);
    await world.gate();
    await handle(other).note(inner);
    return this.#end(call);
  }

  async value(): Promise<number> {
    return this.count;
  }

  tick(call: number): number {
    this.#begin(call);
    return this.#end(call);
  }

  items(call: number): IterableIterator<number> {
    this.#begin(call);
    const end = (): number => this.#end(call);
    const items = (function* (): IterableIterator<number> {
      try {
        for (;;) yield call;
      } finally {
        end();
      }
    })();
    // From here on its end is noted.
    items.next();
    return items;
  }
}

const COUNT = 'interleaved/count@1';
const ARGUMENT_BYTES = 8;

class CellRoot extends DistributedRoot<SyncCell> implements SwappableRoot {
  static readonly exports: readonly string[] = [COUNT];
  static readonly imports: readonly string[] = [COUNT];
  readonly #root: number = ++roots;
  readonly #mayWait: boolean;

  constructor(context: RootContext, mayWait: boolean) {
    super(context);
    this.#mayWait = mayWait;
  }

  /** Known only when it is used: `initialise` writes it after the view is made, or before. */
  get #object(): number {
    return this.context.memory.i32[this.context.stateOffset / 4] as number;
  }

  protected override createRep(): SyncCell {
    return new CellRep({ root: this.#root, object: this.#object });
  }

  #log(what: HookName): void {
    world.log.push({ what, object: this.#object, root: this.#root });
  }

  /** Goes through a gate, if it may. */
  #then<R>(what: HookName, give: () => R): R | Promise<R> {
    this.#log(what);
    return this.#mayWait ? world.gate().then(give) : give();
  }

  exportPart(_protocol: string, part: Part): unknown {
    if (part.kind === 'root') return undefined;
    return this.#then('export', () => (this.rep() as CellRep).count);
  }

  importPart(_protocol: string, _part: Part, exported: unknown): unknown {
    return this.#then('import', () => {
      (this.rep() as CellRep).count = exported as number;
    });
  }

  freeze(): Promise<void> | undefined {
    if (!world.freezes) return undefined;
    return world.gate().then(() => this.#log('frozen'));
  }

  thaw(): void {
    if (world.freezes) this.#log('thaw');
  }

  adopt(): void {
    this.#log('adopt');
  }

  relinquish(): void {
    this.#log('relinquish');
  }
}

function versions<T extends Cell>(
  served: Interface<T>,
  mayWait: boolean,
): readonly Implementation<T, number>[] {
  return [1, 2].map((version) =>
    defineImplementation<T, number>({
      name: `${served.name}-${version}`,
      interface: served,
      Root: class extends CellRoot {
        constructor(context: RootContext) {
          super(context, mayWait);
        }
      } as never,
      stateBytes: ARGUMENT_BYTES,
      initialise: ({ memory, stateOffset }, object) => {
        memory.i32[stateOffset / 4] = object;
      },
    }),
  );
}

/** Two implementations each; the argument is the number that the object has in the log. */
export const CELLS: readonly Implementation<Cell, number>[] = versions(Cell, true);
export const SYNC_CELLS: readonly Implementation<SyncCell, number>[] = versions(SyncCell, false);
