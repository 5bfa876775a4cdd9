/**
 * Program of the tests of options and observation: a number in machine memory behind two interfaces, one of asynchronous methods
 * only, in implementations that differ in name; what they do in a swap can be held at gates.
 */
import { channel } from 'node:diagnostics_channel';
import {
  type Coid,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
  SharedRoot,
} from '@k42/clustered';
import { implementationNamed } from '@k42/clustered/interpose';
import {
  type ImplementationInModule,
  type Part,
  revert,
  type SwapInProgress,
  type SwapOptions,
  type SwappableRoot,
  type SwapReport,
  swap,
  swapsInProgress,
} from '@k42/hotswap';
import { currentProcessor, spawn } from '@k42/rcu';
import { blockAtGate, passGate } from './tape.ts';

export interface Box {
  put(by: number): Promise<void>;
  sum(): Promise<number>;
  /** The implementation's name. */
  which(): Promise<string>;
  /** Lasts until its gate is open. */
  hold(): Promise<void>;
  /** Begins a swap of this object from inside, and goes on for some turns. Gives whether the swap was over by then. */
  swapItself(to: string): Promise<boolean>;
}

export interface StillBox extends Box {
  peek(): number;
}

const methods = { put: 'async', sum: 'async', which: 'async', hold: 'async', swapItself: 'async' } as const;
export const Box: Interface<Box> = defineInterface<Box>('boxes/box', methods);
export const StillBox: Interface<StillBox> = defineInterface<StillBox>('boxes/still-box', {
  ...methods,
  peek: 'sync',
});

/** Gates: of calls, of asynchronous exports, of threads, of the first miss on processor 1, of a module that loads slowly. */
export const GATE = { CALL: 0, EXPORT: 1, THREAD: 2, MISS: 3, MODULE: 4, EXPORT_ON_1: 5 } as const;

const NUMBER = 'boxes/number@1';
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let self: Coid<Box> | undefined;
let begun: Promise<SwapReport> | undefined;
let adopting: () => void = () => {};

/** The object that `swapItself` swaps. */
export function introduce(coid: Coid<Box>): void {
  self = coid;
}

/** What has become of the swap that `swapItself` began. */
export function ofItself(): Promise<SwapReport> {
  return begun as Promise<SwapReport>;
}

/** Has something done when a new box takes over, on the processor where it does. */
export function whenAdopting(callback: () => void): void {
  adopting = callback;
}

class Rep implements StillBox {
  readonly #root: BoxRoot;

  constructor(root: BoxRoot) {
    this.#root = root;
  }

  async put(by: number): Promise<void> {
    this.#root.add(by);
  }

  async sum(): Promise<number> {
    return this.#root.read();
  }

  async which(): Promise<string> {
    return this.#root.name;
  }

  hold(): Promise<void> {
    return passGate(GATE.CALL);
  }

  async swapItself(to: string): Promise<boolean> {
    begun = swap(self as Coid<Box>, implementationNamed(to) as Implementation<Box>);
    let isOver = false;
    begun.then(
      () => {
        isOver = true;
      },
      () => {},
    );
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    this.#root.add(1);
    return isOver;
  }

  peek(): number {
    return this.#root.read();
  }
}

export abstract class BoxRoot extends SharedRoot<StillBox> implements SwappableRoot {
  static readonly exports: readonly string[] = [NUMBER];
  static readonly imports: readonly string[] = [NUMBER];
  abstract readonly name: string;
  protected readonly asynchronous: boolean = true;

  protected override createRep(): StillBox {
    if (this.context.processor === 1) blockAtGate(GATE.MISS);
    return new Rep(this);
  }

  read(): number {
    return Atomics.load(this.context.memory.i32, this.context.stateOffset / 4);
  }

  add(by: number): void {
    Atomics.add(this.context.memory.i32, this.context.stateOffset / 4, by);
  }

  exportPart(_protocol: string, { kind }: Part): unknown {
    const exported = kind === 'root' ? this.read() : undefined;
    if (!this.asynchronous) {
      if (this.context.processor === 1) blockAtGate(GATE.EXPORT_ON_1);
      return exported;
    }
    return passGate(GATE.EXPORT)
      .then(() => (this.context.processor === 1 ? passGate(GATE.EXPORT_ON_1) : undefined))
      .then(() => exported);
  }

  importPart(_protocol: string, _part: Part, exported: unknown): void {
    this.add(exported as number);
  }

  adopt(): void {
    adopting();
  }
}

/** An implementation of that name; `module` as its definition is to say it. */
export function defineBox(name: string, module?: string): Implementation<Box> {
  return defineImplementation<Box>({
    name,
    interface: Box,
    stateBytes: 4,
    ...(module !== undefined && { module }),
    Root: class extends BoxRoot {
      override readonly name = name;
    },
  });
}

function defineStillBox(name: string): Implementation<StillBox> {
  return defineImplementation<StillBox>({
    name,
    interface: StillBox,
    stateBytes: 4,
    Root: class extends BoxRoot {
      override readonly name = name;
      protected override readonly asynchronous = false;
    },
  });
}

export const Boxes: readonly [Implementation<Box>, ...Implementation<Box>[]] = [
  defineBox('box@1'),
  defineBox('box@2'),
  defineBox('box@3'),
  defineBox('box@4'),
];
export const StillBoxes: readonly [Implementation<StillBox>, Implementation<StillBox>] = [
  defineStillBox('still-box@1'),
  defineStillBox('still-box@2'),
];

// What processors are asked for

export function put(coid: Coid<Box>, by: number): Promise<void> {
  return handle(coid).put(by);
}

export function sum(coid: Coid<Box>): Promise<number> {
  return handle(coid).sum();
}

export function which(coid: Coid<Box>): Promise<string> {
  return handle(coid).which();
}

export function isDefined(name: string): boolean {
  return implementationNamed(name) !== undefined;
}

export function swapHere(
  coid: Coid<Box>,
  to: string | ImplementationInModule,
  options?: SwapOptions<void>,
): Promise<SwapReport> {
  return typeof to === 'string'
    ? swap(coid, implementationNamed(to) as Implementation<Box>, options)
    : swap(coid, { module: new URL(to.module), name: to.name }, options);
}

export function revertHere(report: SwapReport): Promise<SwapReport> {
  return revert(report);
}

/** A thread that has a name and lasts until its gate is open. */
export function holdThread(): Promise<void> {
  return spawn(async function namedThread() {
    await passGate(GATE.THREAD);
  });
}

/** Holds the processor: its event loop does not run until the gate is open. */
export function block(): void {
  blockAtGate(GATE.THREAD);
}

/** Begins a call that lasts until its gate is open, and does not wait for it. */
export function beginHolding(coid: Coid<Box>): void {
  handle(coid)
    .hold()
    .catch(() => {});
}

export function swapsSeenHere(): Promise<SwapInProgress[]> {
  return swapsInProgress();
}

const phases: unknown[] = [];

/** Notes what the diagnostics channel of phases says on this processor. (The host has its own.) */
export function listenToPhases(): void {
  if (currentProcessor().number !== 0)
    channel('k42:hotswap:phase').subscribe((message) => phases.push(message));
}

export function phasesHeard(): unknown[] {
  return phases;
}

export function exitNow(): void {
  process.exit(1);
}
