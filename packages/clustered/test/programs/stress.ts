/**
 * Program of the stress tests: a *cell* is an object that knows which object it is, in every implementation, and *mayhem* does
 * everything that can be done with objects, at random, on a set of cells that all processors have in common.
 *
 * What a cell says of itself is the stored COID it was given, plus one. Its machine memory is poisoned when it is reclaimed. So a call
 * that reaches another object than meant, or one that has been reclaimed, gives something else than its caller expects.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { currentProcessor, type MachineMemory, spawn } from '@k42/rcu';
import { pick, type Random, randomFrom } from '@k42/tooling/random';
import {
  ClusteredRoot,
  type Coid,
  create,
  DistributedRoot,
  DREF,
  defineImplementation,
  defineInterface,
  destroy,
  dropIdleReps,
  handle,
  type Implementation,
  type Interface,
  liveObjects,
  nameObject,
  ObjectGoneError,
  objectNamed,
  type RootContext,
  reviveCoid,
  reviveHandle,
  SharedRoot,
  type StoredCoid,
  storeCoid,
} from '../../src/index.ts';

export interface Cell {
  become(identity: number): void;
  identity(): number;
  later(turns: number): Promise<number>;
  /** As `later`, and does not count as a thread. */
  park(turns: number): Promise<number>;
  walk(): IterableIterator<number>;
  walkLater(turns: number): AsyncIterableIterator<number>;
  /** What the Reps of all processors say. */
  everywhere(): Promise<number[]>;
}

export const Cell: Interface<Cell> = defineInterface<Cell>('test/cell', {
  become: 'sync',
  identity: 'sync',
  later: 'async',
  park: { kind: 'async', waits: true },
  walk: 'iterator',
  walkLater: 'async-iterator',
  everywhere: 'async',
});

const POISON = -1;
const WRONG_SHARE = -2;

class CellRep implements Cell {
  readonly #root: SharedCellRoot | DistributedCellRoot | ClusteredCellRoot;
  readonly #f64: Float64Array;
  readonly #state: number;
  readonly #share: number;

  constructor(root: SharedCellRoot | DistributedCellRoot | ClusteredCellRoot) {
    this.#root = root;
    this.#f64 = root.context.memory.f64;
    this.#state = root.context.stateOffset / 8;
    this.#share = root.context.shareOffset / 8;
  }

  become(identity: number): void {
    this.#f64[this.#state] = identity;
  }

  identity(): number {
    const identity = this.#f64[this.#state] as number;
    if (this.#share === 0 || identity <= 0) return identity;
    // A share is zeroed when it is made. Those of a cluster write the same.
    const noted = this.#f64[this.#share];
    if (noted === 0) this.#f64[this.#share] = identity;
    else if (noted !== identity) return WRONG_SHARE;
    return identity;
  }

  async later(turns: number): Promise<number> {
    for (let turn = 0; turn < turns; turn++) await nextTurn();
    return this.identity();
  }

  park(turns: number): Promise<number> {
    return this.later(turns);
  }

  *walk(): IterableIterator<number> {
    for (;;) yield this.identity();
  }

  async *walkLater(turns: number): AsyncIterableIterator<number> {
    for (;;) yield await this.later(turns);
  }

  async everywhere(): Promise<number[]> {
    return this.#root instanceof SharedRoot ? [this.identity()] : this.#root.gather<number>('identity');
  }
}

function poison(context: RootContext): void {
  const { f64 } = context.memory;
  f64[context.stateOffset / 8] = POISON;
  for (const share of context.shareOffsets()) f64[share / 8] = POISON;
}

class SharedCellRoot extends SharedRoot<Cell> {
  protected override createRep(): Cell {
    return new CellRep(this);
  }

  override reclaim(): void {
    poison(this.context);
  }
}

class DistributedCellRoot extends DistributedRoot<Cell> {
  protected override createRep(): Cell {
    return new CellRep(this);
  }

  override reclaim(): void {
    poison(this.context);
  }
}

class ClusteredCellRoot extends ClusteredRoot<Cell> {
  protected override createRep(): Cell {
    return new CellRep(this);
  }

  override reclaim(): void {
    poison(this.context);
  }
}

const common = { interface: Cell, stateBytes: 8 };
export const CELLS: readonly Implementation<Cell>[] = [
  defineImplementation<Cell>({ ...common, name: 'test/cell-shared@1', Root: SharedCellRoot }),
  defineImplementation<Cell>({
    ...common,
    name: 'test/cell-distributed@1',
    Root: DistributedCellRoot,
    shareBytes: 8,
  }),
  defineImplementation<Cell>({
    ...common,
    name: 'test/cell-clustered@1',
    Root: ClusteredCellRoot,
    shareBytes: 8,
    clusterSize: 2,
  }),
];

/** Makes a cell that knows who it is. */
export function createCell(implementation: Implementation<Cell>): StoredCoid<Cell> {
  const coid = create(implementation);
  const stored = storeCoid(coid);
  handle(coid).become(identityOf(stored));
  return stored;
}

/** Of an object that is known to be there: a handle was made in this turn. */
function coidOf(stored: StoredCoid<Cell>): Coid<Cell> {
  return reviveCoid(stored);
}

/** What the cell of a stored COID says of itself. */
export function identityOf(stored: StoredCoid<Cell>): number {
  return stored + 1;
}

type Action = (typeof Common.ACTIONS)[number];

/** The set that all have in common, and what has been done, in machine memory. */
export class Common {
  static readonly PLACES = 24;
  static readonly ACTIONS = [
    'create',
    'destroy',
    'destroyRudely',
    'call',
    'callByDref',
    'callKept',
    'later',
    'park',
    'walk',
    'walkLater',
    'everywhere',
    'list',
    'dropIdle',
    'name',
    'find',
  ] as const;
  readonly #memory: MachineMemory;
  /** In 64-bit words: the places, then in 32-bit words the stop word and a counter for each action, and of calls that found nothing. */
  readonly #base: number;
  readonly #words: number;

  constructor(memory: MachineMemory) {
    const bytes = Common.PLACES * 8 + 4 * (2 + Common.ACTIONS.length);
    const offset = memory.block('test/stress', bytes);
    this.#memory = memory;
    this.#base = offset / 8;
    this.#words = offset / 4 + Common.PLACES * 2;
  }

  /** Puts an identity in a place, 0 for none, and gives what was there. */
  exchange(place: number, identity: number): number {
    return Number(Atomics.exchange(this.#memory.i64, this.#base + place, BigInt(identity)));
  }

  at(place: number): number {
    return Number(Atomics.load(this.#memory.i64, this.#base + place));
  }

  get stopped(): boolean {
    return Atomics.load(this.#memory.i32, this.#words) !== 0;
  }

  stop(): void {
    Atomics.store(this.#memory.i32, this.#words, 1);
  }

  count(action: Action): void {
    Atomics.add(this.#memory.i32, this.#words + 2 + Common.ACTIONS.indexOf(action), 1);
  }

  countGone(): void {
    Atomics.add(this.#memory.i32, this.#words + 1, 1);
  }

  counts(): Record<string, number> {
    const load = (word: number): number => Atomics.load(this.#memory.i32, this.#words + word);
    const counts: Record<string, number> = { gone: load(1) };
    for (const [index, action] of Common.ACTIONS.entries()) counts[action] = load(2 + index);
    return counts;
  }
}

/** So many calls that take turns are in progress at a time on each processor. */
const IN_FLIGHT_MAX = 24;
/** Well-known names that cells get. */
const NAMES = 6;

interface Kept {
  readonly stored: StoredCoid<Cell>;
  readonly cell: Cell;
}

class Mayhem {
  readonly #common = new Common(currentProcessor().memory);
  readonly #random: Random;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #kept: Kept[] = [];
  readonly #tolerated: readonly string[];
  #failure: unknown;

  constructor(seed: number, tolerated: readonly string[]) {
    this.#random = randomFrom(seed);
    this.#tolerated = tolerated;
  }

  async run(): Promise<void> {
    const { ACTIONS } = Common;
    while (!this.#common.stopped && this.#failure === undefined) {
      for (let step = this.#random(12); step >= 0; step--) {
        const action = pick(this.#random, ACTIONS);
        const place = this.#random(Common.PLACES);
        try {
          const work = this.#act(action, place);
          if (work !== undefined) this.#later(action, work);
        } catch (error) {
          this.#caught(error, action);
        }
        this.#common.count(action);
      }
      if (this.#inFlight.size >= IN_FLIGHT_MAX) await Promise.race(this.#inFlight);
      await nextTurn();
    }
    await Promise.all(this.#inFlight);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Does something, and gives what is not done within the turn. */
  #act(action: Action, place: number): Promise<unknown> | undefined {
    const stored = (this.#common.at(place) - 1) as StoredCoid<Cell>;
    switch (action) {
      case 'create':
        return this.#create(place);
      case 'destroy':
        return this.#destroyThat(this.#common.exchange(place, 0));
      case 'callKept':
        return this.#callKept();
      case 'list':
        return this.#list();
      case 'dropIdle':
        return this.#random(8) === 0 ? dropIdleReps({ idleMs: this.#random(5) }) : undefined;
      case 'find':
        return this.#find();
      default:
        return stored === -1 ? undefined : this.#use(action, stored, this.#random(5));
    }
  }

  /** Something with a cell that was there a moment ago. */
  #use(action: Action, stored: StoredCoid<Cell>, turns: number): Promise<unknown> | undefined {
    const expected = identityOf(stored);
    const is = (found: number): void => this.#expect(action, found, expected);
    // In a thread a number is enough; outside, only a handle keeps it from becoming another's.
    if (action === 'callByDref') return spawn(() => void is(DREF(reviveCoid(stored)).identity()));
    const cell = reviveHandle(stored);
    const coid = coidOf(stored);
    switch (action) {
      case 'destroyRudely':
        // Others have it too, and may be faster.
        return this.#random(4) === 0 ? destroy(coid) : undefined;
      case 'later':
        return cell.later(turns).then(is);
      case 'park':
        return cell.park(turns).then(is);
      case 'walkLater':
        return this.#walkLater(cell, turns, is);
      case 'everywhere':
        return cell.everywhere().then((all) => all.forEach(is));
      case 'walk': {
        let left = turns;
        for (const found of cell.walk()) {
          is(found);
          if (left-- === 0) break;
        }
        return undefined;
      }
      case 'name':
        nameObject(coid, `cell/${this.#random(NAMES)}`);
        return undefined;
      default:
        is(cell.identity());
        if (this.#random(4) === 0) this.#keep({ stored, cell });
        return undefined;
    }
  }

  #create(place: number): Promise<void> | undefined {
    const stored = createCell(pick(this.#random, CELLS));
    return this.#destroyThat(this.#common.exchange(place, identityOf(stored)));
  }

  /** Destroys what nobody else has in common any more. */
  #destroyThat(identity: number): Promise<void> | undefined {
    if (identity === 0) return undefined;
    const stored = (identity - 1) as StoredCoid<Cell>;
    reviveHandle(stored);
    return destroy(coidOf(stored));
  }

  #keep(kept: Kept): void {
    if (this.#kept.length >= 40) this.#kept[this.#random(40)] = kept;
    else this.#kept.push(kept);
  }

  #callKept(): undefined {
    if (this.#kept.length === 0) return;
    const { stored, cell } = pick(this.#random, this.#kept);
    this.#expect('callKept', cell.identity(), identityOf(stored));
  }

  async #walkLater(cell: Cell, turns: number, is: (found: number) => void): Promise<void> {
    let left = turns;
    for await (const found of cell.walkLater(1)) {
      is(found);
      if (left-- === 0) break;
    }
  }

  #list(): undefined {
    let left = this.#random(Common.PLACES);
    for (const { interface: served, implementation, stateBytes } of liveObjects()) {
      if (served !== Cell.name || !implementation.startsWith('test/cell-') || stateBytes !== 8)
        throw new Error(`There is no such object: ${implementation}, ${served}, ${stateBytes} bytes.`);
      if (left-- === 0) return;
    }
  }

  #find(): undefined {
    spawn(() => {
      const coid = objectNamed(`cell/${this.#random(NAMES)}`, Cell);
      if (coid === undefined) return;
      const stored = storeCoid(coid);
      this.#expect('find', DREF(coid).identity(), identityOf(stored));
    });
  }

  #expect(action: string, found: number, expected: number): void {
    if (found === expected) return;
    throw new Error(`${action}: a call on object ${expected} reached ${found}.`);
  }

  #later(action: string, work: Promise<unknown>): void {
    const done: Promise<void> = work
      .then(
        () => {},
        (error: unknown) => this.#caught(error, action),
      )
      .finally(() => this.#inFlight.delete(done));
    this.#inFlight.add(done);
  }

  /** A call may find its object gone; a name may be another's. */
  #caught(error: unknown, action: string): void {
    if (error instanceof ObjectGoneError) {
      this.#common.countGone();
      return;
    }
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (action === 'name' && code === 'K42_NAME') return;
    if (this.#tolerated.includes(code)) return;
    this.#failure ??= new Error(`${action} failed: ${error}`, { cause: error });
    this.#common.stop();
  }
}

/** Works until all are told to stop. @throws Error if anything was seen that must not be; then all stop. */
export async function mayhem(seed: number, tolerated: readonly string[]): Promise<void> {
  await new Mayhem(seed, tolerated).run();
}

/** Makes and destroys a cell, which takes in what others have freed of this processor's memory. */
export async function tidy(): Promise<void> {
  for (const implementation of CELLS) {
    const stored = createCell(implementation);
    await destroy(reviveCoid(stored));
  }
}
