/**
 * Program of the protocol tests: objects with asynchronous methods only, whose transfer can be held open, and a pair
 * of objects that call each other.
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
import { currentRoot } from '@k42/clustered/interpose';
import type { Part, SwappableRoot } from '@k42/hotswap';
import { currentProcessor, type MachineMemory } from '@k42/rcu';

export interface Recorder {
  /** Appends to this processor's list; settles in a later turn for odd numbers. */
  record(n: number): Promise<number>;
  list(): Promise<number[]>;
  /** Settles when the gate is open. */
  waitForGate(): Promise<void>;
}

export const Recorder: Interface<Recorder> = defineInterface<Recorder>('test/recorder', {
  record: 'async',
  list: 'async',
  waitForGate: 'async',
});

const GATES_BYTES = 64;
export const GATE = { EXPORT: 0, CALL: 1 } as const;

export function isGateClosed(gate: number): boolean {
  const { memory } = currentProcessor();
  return Atomics.load(memory.i32, gateIndex(memory, gate)) !== 0;
}

function gateIndex(memory: MachineMemory, gate: number): number {
  return memory.block('test/gates', GATES_BYTES) / 4 + gate;
}

export function setGate(gate: number, closed: boolean): void {
  const { memory } = currentProcessor();
  Atomics.store(memory.i32, gateIndex(memory, gate), closed ? 1 : 0);
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function gateOpen(memory: MachineMemory, gate: number): Promise<void> {
  while (Atomics.load(memory.i32, gateIndex(memory, gate)) !== 0) await nextTurn();
}

const LIST = 'test/recorder-list@1';

class RecorderRep implements Recorder {
  readonly #memory: MachineMemory;
  recorded: number[] = [];

  constructor({ memory }: RootContext) {
    this.#memory = memory;
  }

  async record(n: number): Promise<number> {
    this.recorded.push(n);
    if (n % 2 === 1) await nextTurn();
    return n;
  }

  async list(): Promise<number[]> {
    return [...this.recorded];
  }

  waitForGate(): Promise<void> {
    return gateOpen(this.#memory, GATE.CALL);
  }
}

class RecorderRoot extends DistributedRoot<Recorder> implements SwappableRoot {
  static readonly exports: readonly string[] = [LIST];
  static readonly imports: readonly string[] = [LIST];

  protected override createRep(): Recorder {
    return new RecorderRep(this.context);
  }

  async exportPart(_protocol: string, part: Part): Promise<unknown> {
    await gateOpen(this.context.memory, GATE.EXPORT);
    // By reference: the importer runs on the same processor.
    return part.kind === 'rep' ? (this.rep() as RecorderRep).recorded : undefined;
  }

  importPart(_protocol: string, _part: Part, exported: unknown): void {
    (this.rep() as RecorderRep).recorded = [...(exported as number[])];
  }
}

export const RecorderV1: Implementation<Recorder> = defineImplementation<Recorder>({
  name: 'test/recorder@1',
  interface: Recorder,
  Root: RecorderRoot,
});
export const RecorderV2: Implementation<Recorder> = defineImplementation<Recorder>({
  name: 'test/recorder@2',
  interface: Recorder,
  Root: class extends RecorderRoot {},
});

/**
 * Records 0, 1, 2, ... without awaiting, a few per turn, until the call gate opens; gives what is on the list
 * afterwards. Throws if a call did not give its own number back.
 */
export async function recordUntilGate(coid: Coid<Recorder>): Promise<number[]> {
  const { memory } = currentProcessor();
  const recorder = handle(coid);
  const calls: Promise<number>[] = [];
  while (Atomics.load(memory.i32, gateIndex(memory, GATE.CALL)) !== 0) {
    for (let i = 0; i < 5; i++) calls.push(recorder.record(calls.length));
    await nextTurn();
  }
  const settled = await Promise.all(calls);
  settled.forEach((value, n) => {
    if (value !== n) throw new Error(`call ${n} gave ${value}`);
  });
  return recorder.list();
}

/** A round trip. */
export function listNothing(): void {}

export function listHere(coid: Coid<Recorder>): Promise<number[]> {
  return handle(coid).list();
}

export function recordOne(coid: Coid<Recorder>, n: number): Promise<number> {
  return handle(coid).record(n);
}

/** Objects that call each other, over several turns. */
export interface Partner {
  visit(depth: number): Promise<number>;
  count(): Promise<number>;
}

export const Partner: Interface<Partner> = defineInterface<Partner>('test/partner', {
  visit: 'async',
  count: 'async',
});

let partners: readonly Coid<Partner>[] = [];
export function introducePartners(coids: readonly Coid<Partner>[]): void {
  partners = coids;
}

class PartnerRep implements Partner {
  visits = 0;

  async visit(depth: number): Promise<number> {
    this.visits++;
    await nextTurn();
    if (depth === 0) return 1;
    const other = partners[depth % partners.length] as Coid<Partner>;
    return 1 + (await handle(other).visit(depth - 1));
  }

  async count(): Promise<number> {
    return this.visits;
  }
}

class PartnerRoot extends DistributedRoot<Partner> implements SwappableRoot {
  static readonly exports: readonly string[] = ['test/visits@1'];
  static readonly imports: readonly string[] = ['test/visits@1'];

  protected override createRep(): Partner {
    return new PartnerRep();
  }

  exportPart(_protocol: string, part: Part): unknown {
    return part.kind === 'rep' ? (this.rep() as PartnerRep).visits : undefined;
  }

  importPart(_protocol: string, _part: Part, exported: unknown): void {
    (this.rep() as PartnerRep).visits += exported as number;
  }
}

export const PartnerV1: Implementation<Partner> = defineImplementation<Partner>({
  name: 'test/partner@1',
  interface: Partner,
  Root: PartnerRoot,
});
export const PartnerV2: Implementation<Partner> = defineImplementation<Partner>({
  name: 'test/partner@2',
  interface: Partner,
  Root: class extends PartnerRoot {},
});

/** Visits from outside, several at a time, `rounds` times; gives the number of visits made in all. */
export async function visitMany(coid: Coid<Partner>, rounds: number, depth: number): Promise<number> {
  let made = 0;
  for (let round = 0; round < rounds; round++) {
    const visits = await Promise.all([handle(coid).visit(depth), handle(coid).visit(depth)]);
    made += visits[0] + visits[1];
  }
  return made;
}

export function countHere(coid: Coid<Partner>): Promise<number> {
  return handle(coid).count();
}

/** Keeps this processor busy in turns of so many milliseconds, until the call gate opens. */
export async function busyTurns(milliseconds: number): Promise<number> {
  const { memory } = currentProcessor();
  let turns = 0;
  while (Atomics.load(memory.i32, gateIndex(memory, GATE.CALL)) !== 0) {
    const until = performance.now() + milliseconds;
    while (performance.now() < until);
    turns++;
    await nextTurn();
  }
  return turns;
}

export function exitNow(): void {
  process.exit(1);
}

/** A thread (when run by `Machine.call`) that lasts until the call gate opens. */
export function lingerInThread(): Promise<void> {
  return gateOpen(currentProcessor().memory, GATE.CALL);
}

export function countInHere(coid: Coid<{ inc(id: number): number }>): number {
  return handle(coid).inc(currentProcessor().number);
}

let started: Promise<number> | undefined;
/** Makes a call and returns while it is under way. */
export function startRecording(coid: Coid<Recorder>, n: number): void {
  started = handle(coid).record(n);
}

/** Within one turn: waits until the table names another Root, then makes a call. Says by the gate of exports that it has begun. */
export function recordWhenSwung(coid: Coid<Recorder>, n: number): void {
  const before = currentRoot(coid);
  setGate(GATE.EXPORT, true);
  const until = performance.now() + 5000;
  while (currentRoot(coid) === before)
    if (performance.now() > until) throw new Error('the table was not swung');
  started = handle(coid).record(n);
}

export function finishRecording(): Promise<number> | undefined {
  return started;
}

let called: Coid<Recorder> | undefined;
/** From now on exports of the partners below call that object. */
export function callFromExports(coid: Coid<Recorder>): void {
  called = coid;
}

/** Its export calls another object. */
export const NosyPartner: Implementation<Partner> = defineImplementation<Partner>({
  name: 'test/partner-nosy@1',
  interface: Partner,
  Root: class extends PartnerRoot {
    override exportPart(protocol: string, part: Part): unknown {
      const exported = super.exportPart(protocol, part);
      return called === undefined
        ? exported
        : handle(called)
            .record(-1)
            .then(() => exported);
    }
  },
});
