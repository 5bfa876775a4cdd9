/**
 * Program of the tests of deaths, faults, phases and endurance: an object that counts its calls, in two implementations, whose
 * hooks stop at gates and fail on demand, and callers that notice what becomes of each of their calls.
 *
 * Each *caller* numbers its calls, apart for each way of calling (a *stream*). Whichever Rep runs one compares its number with the
 * one before it of that stream, in machine memory: a call that is lost, doubled or out of order does not follow, and is
 * counted. A Rep whose object has been replaced counts every call that still reaches it.
 *
 * The state comes in all kinds of parts: a block of machine memory that is handed over by reference, with an owner who must
 * free it; a share for each processor, by value; and a count in the heap of each Rep. All must agree at any quiet moment.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as delay } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
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
import { type Part, type SwapOptions, type SwappableRoot, type SwapReport, swap } from '@k42/hotswap';
import { currentProcessor, spawn } from '@k42/rcu';
import { AT, type Controls, controlsOf, STEP, STREAM, STREAMS, type Step } from './tallyControls.ts';

/** All methods are asynchronous: its processors are never stopped. */
export interface CalmTally {
  /** Settles in this turn for even numbers, in a later one for odd ones. */
  addLater(caller: number, number: number): Promise<number>;
  /** Adds, and one turn later calls the object itself with the number `inner`. */
  addNested(caller: number, number: number, inner: number): Promise<void>;
  /** Adds, after a stop at a gate. */
  addAtGate(caller: number, number: number): Promise<number>;
  /** Lasts until it is let go. */
  linger(): Promise<void>;
  /** Version of the implementation that runs it, and what it knows. */
  audit(): Promise<Audit>;
}

/** The same with a synchronous method. */
export interface Tally extends CalmTally {
  add(caller: number, number: number): number;
}

export interface Audit {
  readonly version: number;
  readonly total: number;
  readonly shares: number;
  /** Calls that have run on this Rep and those before it here, and what this processor's share says of that. */
  readonly heap: number;
  readonly share: number;
}

const CALM = {
  addLater: 'async',
  addNested: 'async',
  addAtGate: 'async',
  linger: 'async',
  audit: 'async',
} as const;
export const CalmTally: Interface<CalmTally> = defineInterface<CalmTally>('test/calm-tally', CALM);
export const Tally: Interface<Tally> = defineInterface<Tally>('test/tally', { ...CALM, add: 'sync' });

export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Words of the state: where the block is, whether it is this object's to free, whether it has been replaced. */
const STATE = { BLOCK: 0, OWNED: 1, REPLACED: 2 } as const;
const STATE_BYTES = 16;
const BLOCK_BYTES = 256;
const SHARE_BYTES = 8;

/** Nobody waits longer for the others to be first. */
const LAST_MS = 1000;

const PROTOCOL = 'test/tally-parts@1';

class TallyRep implements Tally {
  readonly #root: TallyRoot;
  readonly #controls: Controls;
  heap = 0;

  constructor(root: TallyRoot) {
    this.#root = root;
    this.#controls = controlsOf(root.context.memory);
  }

  add(caller: number, number: number): number {
    this.#controls.note(caller, number < 0 ? STREAM.NESTED : STREAM.SYNC, number);
    return this.#count();
  }

  async addLater(caller: number, number: number): Promise<number> {
    this.#controls.note(caller, number < 0 ? STREAM.NESTED : STREAM.ASYNC, number);
    const total = this.#count();
    if (number % 2 !== 0) await nextTurn();
    return total;
  }

  async addNested(caller: number, number: number, inner: number): Promise<void> {
    this.#controls.note(caller, STREAM.ASYNC, number);
    this.#count();
    await nextTurn();
    await handle(self as Coid<CalmTally>).addLater(caller, inner);
  }

  async addAtGate(caller: number, number: number): Promise<number> {
    note(`call on version ${this.#root.version}`);
    await this.#controls.pass(STEP.CALL, true);
    return this.addLater(caller, number);
  }

  async linger(): Promise<void> {
    note(`linger on version ${this.#root.version}`);
    while (this.#controls.get(AT.LINGER_CALL) !== 0) await nextTurn();
    note('linger has ended');
  }

  async audit(): Promise<Audit> {
    const { context } = this.#root;
    const { i32 } = context.memory;
    const count = (offset: number): number => Atomics.load(i32, offset / 4);
    return {
      version: this.#root.version,
      total: count(this.#root.block),
      shares: context.shareOffsets().reduce((sum, offset) => sum + count(offset), 0),
      heap: this.heap,
      share: count(context.shareOffset),
    };
  }

  #count(): number {
    const { context } = this.#root;
    const { i32 } = context.memory;
    if (Atomics.load(i32, context.stateOffset / 4 + STATE.REPLACED) !== 0) this.#controls.add(AT.WRONG);
    this.heap++;
    Atomics.add(i32, context.shareOffset / 4, 1);
    return Atomics.add(i32, this.#root.block / 4, 1) + 1;
  }
}

abstract class TallyRoot extends DistributedRoot<Tally> implements SwappableRoot {
  static readonly exports: readonly string[] = [PROTOCOL];
  static readonly imports: readonly string[] = [PROTOCOL];
  abstract readonly version: number;
  abstract readonly isCalm: boolean;
  readonly #controls: Controls;
  readonly #i32: Int32Array;
  readonly #at: number;

  constructor(context: RootContext) {
    super(context);
    this.#controls = controlsOf(context.memory);
    this.#i32 = context.memory.i32;
    this.#at = context.stateOffset / 4;
  }

  get block(): number {
    return this.#i32[this.#at + STATE.BLOCK] as number;
  }

  protected override createRep(): Tally {
    return new TallyRep(this);
  }

  freeze(): unknown {
    note('freeze');
    return this.#hook(STEP.FREEZE, () => {});
  }

  thaw(): unknown {
    note('thaw');
    return this.#hook(STEP.THAW, () => {});
  }

  exportPart(_protocol: string, part: Part): unknown {
    note(`export ${partName(part)}`);
    return this.#hook(STEP.EXPORT, () => {
      if (part.kind === 'root') return this.block;
      if (part.kind === 'share') return Atomics.load(this.#i32, part.offset / 4);
      return (this.rep() as TallyRep).heap;
    });
  }

  importPart(_protocol: string, part: Part, exported: unknown): unknown {
    note(`import ${partName(part)}`);
    return this.#hook(STEP.IMPORT, () => {
      const value = exported as number;
      if (part.kind === 'root') this.#i32[this.#at + STATE.BLOCK] = value;
      else if (part.kind === 'share')
        Atomics.store(this.#i32, this.context.shareOffsetOf(part.share) / 4, value);
      else (this.rep() as TallyRep).heap = value;
    });
  }

  validate(): unknown {
    note('validate');
    if (this.#controls.get(AT.LAST) === 1 + this.context.processor) this.#letOthersBeFirst();
    return this.#hook(STEP.VALIDATE, () => {
      const shares = this.context.shareOffsets();
      const sum = shares.reduce((total, offset) => total + Atomics.load(this.#i32, offset / 4), 0);
      const total = Atomics.load(this.#i32, this.block / 4);
      if (Math.abs(sum - total) > this.#controls.get(AT.TORN))
        throw new Error(`The shares say ${sum}, and the block says ${total}.`);
      this.#controls.add(AT.VALIDATED);
    });
  }

  /** Until all the others have validated, and a little more for what they do after that. */
  #letOthersBeFirst(): void {
    const until = performance.now() + LAST_MS;
    while (this.#controls.get(AT.VALIDATED) < this.#controls.get(AT.OTHERS) && performance.now() < until);
    busy(20);
  }

  adopt(): void {
    note('adopt');
    void this.#controls.pass(STEP.ADOPT, false);
    this.#i32[this.#at + STATE.OWNED] = 1;
    this.#controls.add(AT.ADOPTED);
  }

  relinquish(): void {
    note('relinquish');
    void this.#controls.pass(STEP.RELINQUISH, false);
    this.#i32[this.#at + STATE.OWNED] = 0;
    Atomics.store(this.#i32, this.#at + STATE.REPLACED, 1);
    this.#controls.add(AT.RELINQUISHED);
  }

  override reclaim(): void {
    void this.#controls.pass(STEP.RECLAIM, false);
    if (this.#i32[this.#at + STATE.OWNED] !== 0) this.context.free(this.block, BLOCK_BYTES);
  }

  /** What every hook does first: it stops at its gate, and fails if it has been told to. */
  #hook(step: Step, work: () => unknown): unknown {
    const held = this.#controls.pass(step, this.isCalm);
    const fails = this.#controls.fails(step);
    const end = (): unknown => {
      if (fails) throw new Error(`step ${step} asked to fail`);
      return work();
    };
    if (held !== undefined) return held.then(end);
    if (this.isCalm && this.#controls.get(AT.FAULT_LATER) !== 0) return nextTurn().then(end);
    return end();
  }
}

function initialise(context: RootContext, isFirst: boolean): void {
  void controlsOf(context.memory).pass(STEP.INITIALISE, false);
  if (!isFirst) return;
  const at = context.stateOffset / 4;
  context.memory.i32[at + STATE.BLOCK] = context.allocate(BLOCK_BYTES);
  context.memory.i32[at + STATE.OWNED] = 1;
}

type Tallies<T extends object> = readonly [Implementation<T, boolean>, Implementation<T, boolean>];

/** A version of its own name; the argument of its objects says whether they are the first, and do not take over. */
export function defineVersion<T extends CalmTally>(
  served: Interface<T>,
  number: number,
): Implementation<T, boolean> {
  return defineImplementation<T, boolean>({
    name: `${served.name}@${number}`,
    interface: served,
    Root: class extends TallyRoot {
      override readonly version = number;
      override readonly isCalm = served.name === CalmTally.name;
      // A Rep has the methods of both interfaces.
    } as unknown as Implementation<T, boolean>['Root'],
    stateBytes: STATE_BYTES,
    shareBytes: SHARE_BYTES,
    initialise,
  });
}

function define<T extends CalmTally>(served: Interface<T>): Tallies<T> {
  return [defineVersion(served, 1), defineVersion(served, 2)];
}

export const TALLIES: Tallies<Tally> = define(Tally);
export const CALM_TALLIES: Tallies<CalmTally> = define(CalmTally);

export const KINDS = ['calm', 'sync'] as const;
export type Kind = (typeof KINDS)[number];

export function versionOf(kind: Kind, version: number): Implementation<CalmTally, boolean> {
  const versions: Tallies<CalmTally> =
    kind === 'calm' ? CALM_TALLIES : (TALLIES as unknown as Tallies<CalmTally>);
  return versions[version - 1] as Implementation<CalmTally, boolean>;
}

function partName(part: Part): string {
  return part.kind === 'root'
    ? 'root'
    : `${part.kind} ${part.kind === 'share' ? part.share : part.processor}`;
}

// What has happened on this processor, in order

let log: string[] | undefined;

function note(what: string): void {
  log?.push(what);
}

const onPhase = (message: unknown): void => note((message as { readonly phase: string }).phase.toUpperCase());

/** From now on this processor notes what it does in swaps: phases that it sees, hooks, some calls. */
export function startLog(): void {
  if (log === undefined) subscribe('k42:hotswap:phase', onPhase);
  log = [];
}

/** Gives what has been noted so far, and goes on with an empty log; or ends it. */
export function takeLog(goesOn: boolean): string[] {
  const taken = log ?? [];
  if (!goesOn) unsubscribe('k42:hotswap:phase', onPhase);
  log = goesOn ? [] : undefined;
  return taken;
}

// What the processors are told to do

/** The object that calls itself. */
let self: Coid<CalmTally> | undefined;

export function createHere(kind: Kind): Coid<CalmTally> {
  return create(versionOf(kind, 1), true);
}

export async function swapHere(
  coid: Coid<CalmTally>,
  kind: Kind,
  version: number,
  options: Omit<SwapOptions<boolean>, 'signal' | 'module' | 'argument'> = {},
): Promise<SwapReport> {
  return swap(coid, versionOf(kind, version), { ...options, argument: false });
}

export function auditHere(coid: Coid<CalmTally>): Promise<Audit> {
  return handle(coid).audit();
}

/** Calls that a caller has made, by stream. */
export type Made = readonly number[];

/** How many calls of a caller are under way at once. */
const UNDER_WAY_MAX = 20;

/**
 * Calls the object in every way there is until told to stop, a few times per turn, and lets so many milliseconds pass between two
 * turns (0 for none); gives how many calls it has made of each stream.
 */
export async function callUntilStopped(
  coid: Coid<CalmTally>,
  kind: Kind,
  caller: number,
  pauseMs: number,
): Promise<Made> {
  self = coid;
  const controls = controlsOf(currentProcessor().memory);
  const made: number[] = Array.from({ length: STREAMS }, () => 0);
  const next = (stream: number): number => {
    made[stream] = (made[stream] as number) + 1;
    return made[stream];
  };
  const underWay = new Set<Promise<unknown>>();
  const failures: unknown[] = [];
  const track = (call: PromiseLike<unknown>): void => {
    const ended: Promise<unknown> = Promise.resolve(call).then(
      () => underWay.delete(ended),
      (error: unknown) => {
        underWay.delete(ended);
        failures.push(error);
      },
    );
    underWay.add(ended);
  };
  const calm = handle(coid);
  const tally = coid as unknown as Coid<Tally>;
  while (controls.get(AT.STOP) === 0 && failures.length === 0) {
    if (kind === 'sync') {
      // From a plain callback, and from a synchronous thread in the paper's form.
      handle(tally).add(caller, next(STREAM.SYNC));
      spawn(() => DREF(tally).add(caller, next(STREAM.SYNC)));
    }
    if (underWay.size < UNDER_WAY_MAX) {
      track(calm.addLater(caller, next(STREAM.ASYNC)));
      track(calm.addNested(caller, next(STREAM.ASYNC), -next(STREAM.NESTED)));
      // From a thread that spans turns, with the Rep it has got at its beginning.
      track(
        spawn(async () => {
          const rep = DREF(coid);
          await nextTurn();
          await rep.addLater(caller, -next(STREAM.NESTED));
          if (kind === 'sync') (rep as Tally).add(caller, -next(STREAM.NESTED));
        }),
      );
    }
    await (pauseMs === 0 ? nextTurn() : delay(pauseMs));
  }
  while (underWay.size !== 0) await Promise.race(underWay);
  if (failures.length !== 0) throw failures[0];
  return made;
}

/** A call that is under way when this returns; what comes of it is forgotten if it has to be. */
export function begin(
  coid: Coid<CalmTally>,
  method: 'addAtGate' | 'addLater' | 'linger',
  caller: number,
  number: number,
): void {
  const tally = handle(coid);
  (method === 'linger' ? tally.linger() : tally[method](caller, number)).catch(() => {});
}

/** A synchronous call of a processor that may never have called the object. */
export function addHere(coid: Coid<Tally>, caller: number, number: number): number {
  return handle(coid).add(caller, number);
}

/** A thread (by `Machine.call`) that lasts until it is let go. */
export async function lingerInThread(): Promise<void> {
  const controls = controlsOf(currentProcessor().memory);
  while (controls.get(AT.LINGER_THREAD) !== 0) await nextTurn();
}

/** Lets this processor's event loop turn a few times. */
export async function turnsHere(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await nextTurn();
}

/** Keeps this processor's event loop from turning. */
export function busy(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}

/** From now on promises that are rejected and not handled on this processor are counted. */
export function countRejections(): void {
  const controls = controlsOf(currentProcessor().memory);
  process.on('unhandledRejection', () => controls.add(AT.REJECTIONS));
}

/** Bytes of this thread's heap that are in use after a collection; needs `--expose-gc`. */
export async function heapHere(): Promise<number> {
  for (let pass = 0; pass < 3; pass++) {
    globalThis.gc?.();
    // What a collection finds is dealt with in turns of its own.
    await nextTurn();
  }
  return getHeapStatistics().used_heap_size;
}
