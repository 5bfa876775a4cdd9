/**
 * Program of the scenes: objects whose calls and hooks stand at gates, and answer with the implementation that runs them.
 *
 * There are two implementations of two interfaces: one of asynchronous methods, and one with a synchronous method and an iterator,
 * for which processors have to stop. The state is in the heap of each Rep and goes along by reference. Sources are imported by
 * relative paths, so that a variant of them runs with its own.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
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
import { currentRoot, rootView } from '@k42/clustered/interpose';
import { currentProcessor, spawn } from '@k42/rcu';
import { type Part, type SwapOptions, type SwappableRoot, swap } from '../../src/index.ts';
import { MediatorRoot } from '../../src/mediator.ts';
import { COUNT, GATE, type Gate, Gates } from './gates.ts';

export type Version = 'one' | 'two';

/** All methods give the version that runs them, unless something else is said. */
export interface Later {
  which(): Promise<Version>;
  /** Stands at a gate first. */
  hold(gate: Gate): Promise<Version>;
  /** The same, declared as one that may wait long. */
  park(gate: Gate): Promise<Version>;
  /** Stands at a gate, calls another object, and gives what that gave. */
  holdThenCall(gate: Gate, other: Coid<Later>): Promise<Version>;
  /** Stands at a gate, and has another processor call an object. */
  holdThenCallOn(gate: Gate, processor: number, other: Coid<Later>): Promise<Version>;
  /** Stands at a gate, has another processor call an object at a gate (see `left`), and stands at a last gate. */
  startOn(gate: Gate, processor: number, other: Coid<Later>, otherGate: Gate, last: Gate): Promise<Version>;
  /** Leaves something behind that calls an object when the gate is opened; see `left`. */
  leave(gate: Gate, other: Coid<Later>): Promise<Version>;
  /** Appends to this processor's list; gives it as it is then. */
  note(n: number): Promise<readonly number[]>;
  push(item: number): Promise<void>;
  /** Waits for an item; a swap waits for it. */
  take(): Promise<number>;
  /** Waits for an item; a swap takes it along. */
  pop(): Promise<number>;
}

export const Later: Interface<Later> = defineInterface<Later>('gated/later', {
  which: 'async',
  hold: 'async',
  park: { kind: 'async', waits: true },
  holdThenCall: 'async',
  holdThenCallOn: 'async',
  startOn: 'async',
  leave: 'async',
  note: 'async',
  push: { kind: 'async', completes: true },
  take: { kind: 'async', waits: true },
  pop: { kind: 'async', waits: 'transferable' },
});

export interface Now {
  which(): Version;
  hold(gate: Gate): Promise<Version>;
  items(): IterableIterator<Version>;
}

export const Now: Interface<Now> = defineInterface<Now>('gated/now', {
  which: 'sync',
  hold: 'async',
  items: 'iterator',
});

interface State {
  notes: number[];
  items: number[];
  waiting: ((item: number) => void)[];
}

/** What notes find in the asynchronous context in which they are made, in their order, on this processor. */
export const context: AsyncLocalStorage<number> = new AsyncLocalStorage<number>();
export const contexts: (number | undefined)[] = [];

const atGate = async (gate: Gate): Promise<void> => Gates.here().pass(gate, true);

class LaterRep implements Later {
  readonly #version: Version;
  state: State = { notes: [], items: [], waiting: [] };

  constructor(version: Version) {
    this.#version = version;
  }

  async which(): Promise<Version> {
    return this.#version;
  }

  async hold(gate: Gate): Promise<Version> {
    await atGate(gate);
    return this.#version;
  }

  park(gate: Gate): Promise<Version> {
    return this.hold(gate);
  }

  async holdThenCall(gate: Gate, other: Coid<Later>): Promise<Version> {
    await atGate(gate);
    return handle(other).which();
  }

  async holdThenCallOn(gate: Gate, processor: number, other: Coid<Later>): Promise<Version> {
    await atGate(gate);
    return currentProcessor().run<Version>(processor, 'whichHere', [other]);
  }

  async startOn(
    gate: Gate,
    processor: number,
    other: Coid<Later>,
    otherGate: Gate,
    last: Gate,
  ): Promise<Version> {
    await atGate(gate);
    begin('left', currentProcessor().run(processor, 'holdHere', [other, otherGate]));
    return this.hold(last);
  }

  async leave(gate: Gate, other: Coid<Later>): Promise<Version> {
    begin(
      'left',
      atGate(gate).then(() => handle(other).which()),
    );
    return this.#version;
  }

  async note(n: number): Promise<readonly number[]> {
    contexts.push(context.getStore());
    this.state.notes.push(n);
    return [...this.state.notes];
  }

  async push(item: number): Promise<void> {
    const waiting = this.state.waiting.shift();
    if (waiting === undefined) this.state.items.push(item);
    else waiting(item);
  }

  async take(): Promise<number> {
    const item = this.state.items.shift();
    return item ?? new Promise((resolve) => this.state.waiting.push(resolve));
  }

  pop(): Promise<number> {
    return this.take();
  }
}

class NowRep implements Now {
  readonly #version: Version;

  constructor(version: Version) {
    this.#version = version;
  }

  which(): Version {
    return this.#version;
  }

  async hold(gate: Gate): Promise<Version> {
    await atGate(gate);
    return this.#version;
  }

  *items(): IterableIterator<Version> {
    for (;;) yield this.#version;
  }
}

/** What an export calls, if anything: on this processor. */
let called: Coid<Later> | undefined;

const STATE = 'gated/state@1';

/** With what a version makes its Reps, and whether its hooks may wait. */
type Making<T> = readonly [version: Version, makeRep: () => T, mayWait: boolean];

class GatedRoot<T extends object> extends DistributedRoot<T> implements SwappableRoot {
  static readonly exports: readonly string[] = [STATE];
  static readonly imports: readonly string[] = [STATE];
  readonly gates: Gates;
  readonly #version: Version;
  readonly #makeRep: () => T;
  readonly #mayWait: boolean;

  constructor(context: RootContext, [version, makeRep, mayWait]: Making<T>) {
    super(context);
    this.gates = new Gates(context);
    this.#version = version;
    this.#makeRep = makeRep;
    this.#mayWait = mayWait;
  }

  protected override createRep(): T {
    return this.#makeRep();
  }

  exportPart(_protocol: string, part: Part): unknown {
    // The root part carries nothing, but it is there.
    const give = (): unknown => (part.kind === 'rep' ? ((this.rep() as { state?: State }).state ?? 0) : 0);
    if (called !== undefined) return handle(called).which().then(give);
    const opening = this.gates.pass(GATE.EXPORT, this.#mayWait);
    return opening === undefined ? give() : opening.then(give);
  }

  importPart(_protocol: string, part: Part, exported: unknown): unknown {
    this.gates.add(COUNT.IMPORTS);
    if (part.kind === 'rep' && exported !== 0) (this.rep() as { state?: State }).state = exported as State;
    return this.gates.pass(GATE.IMPORT, this.#mayWait);
  }

  adopt(): void {
    this.gates.add(COUNT.ADOPTIONS);
    adopting?.();
    void this.gates.pass(GATE.ADOPT, false);
  }

  override reclaim(): void {
    this.gates.add(this.#version === 'one' ? COUNT.RECLAIMED_ONE : COUNT.RECLAIMED_TWO);
  }
}

/** On this processor, when ownership passes. */
let adopting: (() => void) | undefined;
export function whenAdopting(work: (() => void) | undefined): void {
  adopting = work;
}

function rootOf<T extends object>(making: Making<T>): new (context: RootContext) => GatedRoot<T> {
  return class extends GatedRoot<T> {
    constructor(context: RootContext) {
      super(context, making);
    }
  };
}

const LATER_ONE: Making<Later> = ['one', () => new LaterRep('one'), true];
const LATER_TWO: Making<Later> = ['two', () => new LaterRep('two'), true];

export const LaterOne: Implementation<Later> = defineImplementation<Later>({
  name: 'gated/later@1',
  interface: Later,
  Root: rootOf(LATER_ONE),
});
export const LaterTwo: Implementation<Later> = defineImplementation<Later>({
  name: 'gated/later@2',
  interface: Later,
  Root: rootOf(LATER_TWO),
});

/** Its imports wait for all exports, and it looks at itself before it serves. */
export const StrictTwo: Implementation<Later> = defineImplementation<Later>({
  name: 'gated/later-strict@2',
  interface: Later,
  Root: class extends rootOf(LATER_TWO) {
    static readonly importsAfterAllExports = true;

    validate(): boolean {
      this.gates.add(COUNT.VALIDATIONS);
      return !this.gates.invalid;
    }
  },
});

/** Has background work to stop. */
export const BusyOne: Implementation<Later> = defineImplementation<Later>({
  name: 'gated/later-busy@1',
  interface: Later,
  Root: class extends rootOf(LATER_ONE) {
    freeze(): unknown {
      return this.gates.pass(GATE.FREEZE, true);
    }

    thaw(): void {
      this.gates.add(COUNT.THAWS);
    }
  },
});

export const NowOne: Implementation<Now> = defineImplementation<Now>({
  name: 'gated/now@1',
  interface: Now,
  Root: rootOf<Now>(['one', () => new NowRep('one'), false]),
});
export const NowTwo: Implementation<Now> = defineImplementation<Now>({
  name: 'gated/now@2',
  interface: Now,
  Root: rootOf<Now>(['two', () => new NowRep('two'), false]),
});

// What the processors are told to do

const begun = new Map<string, Promise<unknown>>();

function begin(key: string, work: Promise<unknown>): void {
  work.catch(() => {});
  begun.set(key, work);
}

/** Makes a call and returns while it is under way; `end` with the same key gives its result. */
export function beginCall(
  key: string,
  coid: Coid<object>,
  method: string,
  args: readonly unknown[] = [],
): void {
  const object = handle(coid) as unknown as Record<string, (...args: readonly unknown[]) => Promise<unknown>>;
  begin(key, (object[method] as (...args: readonly unknown[]) => Promise<unknown>)(...args));
}

/** Begins a thread that has found its Rep, if it has an object, and calls it when a gate is open. */
export function beginThread(key: string, gate: Gate, coid?: Coid<Later>): void {
  begin(
    key,
    spawn(async () => {
      const rep = coid === undefined ? undefined : DREF(coid);
      await atGate(gate);
      return rep?.which();
    }),
  );
}

export function end(key: string): Promise<unknown> {
  return begun.get(key) ?? Promise.reject(new Error(`Nothing named ${key} was begun.`));
}

export function whichHere(coid: Coid<Later | Now>): Version | Promise<Version> {
  return handle(coid).which();
}

export function holdHere(coid: Coid<Later>, gate: Gate): Promise<Version> {
  return handle(coid).hold(gate);
}

/** One turn that stands at the gate TURN. */
export function stand(): void {
  void Gates.here().pass(GATE.TURN, false);
}

/** One turn that stands at the gate TURN, has the swap that is in progress by then make a step, and makes a call. */
export function standThenStep(coid: Coid<Later>, n: number): Promise<readonly number[]> {
  stand();
  const mediator = rootView(currentRoot(coid));
  if (!(mediator instanceof MediatorRoot)) throw new Error('no swap is in progress');
  mediator.step();
  return handle(coid).note(n);
}

export function createHere(): Coid<Now> {
  return create(NowOne);
}

/** From now on exports on this processor call that object. */
export function callFromExports(coid: Coid<Later> | undefined): void {
  called = coid;
}

export async function swapHere(
  coid: Coid<Later | Now>,
  options?: SwapOptions<void>,
): Promise<readonly number[]> {
  const isNow = !(handle(coid).which() instanceof Promise);
  const report = isNow
    ? await swap(coid as Coid<Now>, NowTwo, options)
    : await swap(coid as Coid<Later>, LaterTwo, options);
  return report.participants;
}

export function nothing(): void {}
