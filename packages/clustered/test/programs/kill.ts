/**
 * Program of the deaths at chosen points: objects whose Root stops at gates, so that a processor can be killed where it stands.
 */
import { beginThread, currentProcessor, endThread, type MachineMemory, spawn } from '@k42/rcu';
import {
  type Coid,
  create,
  DistributedRoot,
  DREF,
  defineImplementation,
  defineInterface,
  destroy,
  handle,
  type Implementation,
  type Interface,
  type Miss,
  ObjectGoneError,
  objectNamed,
  type RootContext,
  reviveHandle,
  SharedRoot,
  type StoredCoid,
} from '../../src/index.ts';
import { currentRoot, keepRoot } from '../../src/interpose.ts';

// Gates

export const GATE = { MISS: 0, INITIALISE: 1, HOLD_DESTROY: 2, CLEAN_UP: 3, RECLAIM: 4, TURN: 5 } as const;
const GATES = 8;
/** Not a gate: the word that counts tries. */
const TRIES = 7;
const OPEN = 0;
const STANDING = 1000;
/** Nobody stands longer, whatever has become of the test. */
const STAND_MS = 60_000;

function gateWord(memory: MachineMemory, gate: number): number {
  return memory.block('test/gates', GATES * 4) / 4 + gate;
}

/** The next time that a processor comes to a gate it stops there. */
export function arm(memory: MachineMemory, gate: number, processor: number): void {
  Atomics.store(memory.i32, gateWord(memory, gate), 1 + processor);
}

export function openGate(memory: MachineMemory, gate: number): void {
  const at = gateWord(memory, gate);
  Atomics.store(memory.i32, at, OPEN);
  Atomics.notify(memory.i32, at);
}

export function standsAt(memory: MachineMemory, gate: number): boolean {
  return Atomics.load(memory.i32, gateWord(memory, gate)) === STANDING;
}

function pass(gate: number): void {
  const { memory, number } = currentProcessor();
  const at = gateWord(memory, gate);
  // Pairs with arm(): one processor stops, once.
  if (Atomics.compareExchange(memory.i32, at, 1 + number, STANDING) !== 1 + number) return;
  Atomics.wait(memory.i32, at, STANDING, STAND_MS);
}

// Objects

export interface Thing {
  identity(): number;
  /** Lasts until this processor is told to `release`. */
  later(): Promise<number>;
  park(): Promise<number>;
  items(): IterableIterator<number>;
}

export const Thing: Interface<Thing> = defineInterface<Thing>('test/thing', {
  identity: 'sync',
  later: 'async',
  park: { kind: 'async', waits: true },
  items: 'iterator',
});

let released = Promise.withResolvers<void>();

/** Ends what lasts on this processor. */
export function release(): void {
  released.resolve();
  released = Promise.withResolvers<void>();
}

/** Bytes that every thing has besides its state. */
const EXTRA_BYTES = 256;
const POISON = -1;

class ThingRep implements Thing {
  readonly #f64: Float64Array;
  readonly #at: number;

  constructor({ memory, stateOffset }: RootContext) {
    this.#f64 = memory.f64;
    this.#at = stateOffset / 8;
  }

  identity(): number {
    return this.#f64[this.#at] as number;
  }

  async later(): Promise<number> {
    await released.promise;
    return this.identity();
  }

  park(): Promise<number> {
    return this.later();
  }

  *items(): IterableIterator<number> {
    for (;;) yield this.identity();
  }
}

class GatedRoot extends SharedRoot<Thing> {
  protected override createRep(): Thing {
    return new ThingRep(this.context);
  }

  override handleMiss(miss: Miss): Thing {
    pass(GATE.MISS);
    return super.handleMiss(miss);
  }

  override holdDestroy(): undefined {
    pass(GATE.HOLD_DESTROY);
  }

  override cleanUp(): void {
    pass(GATE.CLEAN_UP);
  }

  override reclaim(): void {
    const { memory, stateOffset } = this.context;
    pass(GATE.RECLAIM);
    memory.f64[stateOffset / 8] = POISON;
    this.context.free(memory.f64[stateOffset / 8 + 1] as number, EXTRA_BYTES);
  }
}

export const GatedThing: Implementation<Thing, number> = defineImplementation<Thing, number>({
  name: 'test/thing@1',
  interface: Thing,
  Root: GatedRoot,
  stateBytes: 16,
  initialise: (context, identity) => {
    const { memory, stateOffset } = context;
    memory.f64[stateOffset / 8] = identity;
    memory.f64[stateOffset / 8 + 1] = context.allocate(EXTRA_BYTES);
    pass(GATE.INITIALISE);
  },
});

/** Each processor's own word in machine memory. */
export interface Notes {
  write(note: number): void;
  read(): number;
}

class NotesRep implements Notes {
  readonly #i32: Int32Array;
  readonly #at: number;

  constructor({ memory, shareOffset }: RootContext) {
    this.#i32 = memory.i32;
    this.#at = shareOffset / 4;
  }

  write(note: number): void {
    this.#i32[this.#at] = note;
  }

  read(): number {
    return this.#i32[this.#at] as number;
  }
}

export const DividedNotes: Implementation<Notes> = defineImplementation<Notes>({
  name: 'test/notes@1',
  interface: defineInterface<Notes>('test/notes', { write: 'sync', read: 'sync' }),
  Root: class extends DistributedRoot<Notes> {
    protected override createRep(): Notes {
      return new NotesRep(this.context);
    }
  },
  shareBytes: 8,
});

// What the processors are told to do

export function createThing(identity: number): Coid<Thing> {
  return create(GatedThing, identity);
}

export function createThings(identities: readonly number[]): Coid<Thing>[] {
  return identities.map(createThing);
}

export async function destroyAll(coids: readonly Coid<Thing>[]): Promise<void> {
  await Promise.all(coids.map((coid) => destroy(coid)));
}

export function identityOf(coid: Coid<Thing>): number {
  return handle(coid).identity();
}

/** As `identityOf`, and lets it be known that it begins, for it may not get far. */
export function tryIdentityOf(coid: Coid<Thing>): number {
  const { memory } = currentProcessor();
  Atomics.add(memory.i32, gateWord(memory, TRIES), 1);
  return identityOf(coid);
}

/** How many have begun to try. */
export function tries(memory: MachineMemory): number {
  return Atomics.load(memory.i32, gateWord(memory, TRIES));
}

export function writeNote(coid: Coid<Notes>, note: number): void {
  handle(coid).write(note);
}

export function readNote(coid: Coid<Notes>): number {
  return handle(coid).read();
}

/** Begins a call that lasts, and gives its result when it ends. */
export function lastingCall(coid: Coid<Thing>, method: 'later' | 'park'): Promise<number> {
  return handle(coid)[method]();
}

/** Has an iterator open until released, and gives what it yields then. */
export async function lastingIterator(coid: Coid<Thing>): Promise<unknown> {
  const items = handle(coid).items();
  items.next();
  await released.promise;
  const { value } = items.next();
  items.return?.();
  return value;
}

/** Uses a Root until released, outside any thread. */
export function keepUntilReleased(coid: Coid<Thing>): void {
  handle(coid).identity();
  keepRoot(currentRoot(coid), released.promise);
}

/** Keeps a thread that has nothing but a number; what it finds by that number when it is released. */
export async function lastingThread(coid: Coid<Thing>): Promise<unknown> {
  const generation = beginThread();
  try {
    await released.promise;
    return spawn(() => DREF(coid).identity());
  } finally {
    endThread(generation);
  }
}

/** Finds an object by its stored number, and calls it later in the same turn, which is no thread. */
export function reviveAndCall(stored: StoredCoid<Thing>): number {
  const thing = reviveHandle(stored);
  pass(GATE.TURN);
  return thing.identity();
}

/** Finds an object by its name, and calls it later in the same thread. */
export function findAndCall(name: string): number {
  return spawn(() => {
    const coid = objectNamed(name, Thing);
    if (coid === undefined) throw new Error(`There is no ${name}.`);
    pass(GATE.TURN);
    return DREF(coid).identity();
  });
}

const kept = new Map<number, Thing>();

/** Makes a handle and does not call it. */
export function keepHandle(coid: Coid<Thing>): void {
  kept.set(coid, handle(coid));
}

export function callKept(coid: Coid<Thing>): number {
  return (kept.get(coid) as Thing).identity();
}

/** Looks for an object of a number all the time, from before there is one, and gives its identity when it has found it. */
export function lookFor(coid: Coid<Thing>): number {
  for (const end = performance.now() + STAND_MS; performance.now() < end; ) {
    try {
      return handle(coid).identity();
    } catch (error) {
      if (error instanceof ObjectGoneError) continue;
      throw new Error(`An object was found before it was whole: ${error}`);
    }
  }
  throw new Error('No object was found.');
}
