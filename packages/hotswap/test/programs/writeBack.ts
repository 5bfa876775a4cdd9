/**
 * Program of the tests of background work: a journal that keeps what is appended in the heap of each processor and writes it
 * back to machine memory by a timer, which is no call and which nobody waits for.
 *
 * Every write-back, freeze and thaw is noted on the tape with the implementation's version. Flags make a freeze or a validation
 * on one processor fail in one way or another; a gate holds asynchronous freezes.
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
import type { Part, SwappableRoot } from '@k42/hotswap';
import { currentProcessor, type MachineMemory } from '@k42/rcu';
import { flag, note, passGate, setFlag } from './tape.ts';

export interface Journal {
  append(by: number): Promise<void>;
  /** What is not written back on this processor. Sees to it that it will be. */
  pending(): Promise<number>;
  version(): Promise<number>;
}

export interface StillJournal extends Journal {
  appendNow(by: number): void;
}

const methods = { append: 'async', pending: 'async', version: 'async' } as const;
export const Journal: Interface<Journal> = defineInterface<Journal>('background/journal', methods);
export const StillJournal: Interface<StillJournal> = defineInterface<StillJournal>(
  'background/still-journal',
  {
    ...methods,
    appendNow: 'sync',
  },
);

export const GATE = { FREEZE: 0, IMPORT_ON_1: 1, THREAD: 2 } as const;
/** How a step behaves, and on which processor, plus one, if that is not on all. */
const FLAG = { FREEZE: 0, FREEZE_ON: 1, VALIDATE: 2, VALIDATE_ON: 3 } as const;
const WAYS = ['well', 'later', 'throws', 'rejects', 'false', 'false later'] as const;
export type Way = (typeof WAYS)[number];

export function letFreeze(way: Way, on = -1): void {
  setFlag(FLAG.FREEZE, WAYS.indexOf(way));
  setFlag(FLAG.FREEZE_ON, 1 + on);
}

export function letValidate(way: Way, on = -1): void {
  setFlag(FLAG.VALIDATE, WAYS.indexOf(way));
  setFlag(FLAG.VALIDATE_ON, 1 + on);
}

function wayOf(which: number, whichOn: number): Way {
  const on = flag(whichOn);
  return on === 0 || on === 1 + currentProcessor().number ? (WAYS[flag(which)] as Way) : 'well';
}

/** What has been written back by all. */
export function written(memory: MachineMemory): number {
  return Atomics.load(memory.i32, memory.block('test/journal', 64) / 4);
}

/** Those that write back on this thread, for the test to stop what a failure has left. */
const running = new Set<Rep>();

export function stopAll(): void {
  for (const rep of running) rep.stop();
}

class Rep implements StillJournal {
  dirty: number[] = [];
  readonly #version: number;
  readonly #memory: MachineMemory;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor({ memory }: RootContext, version: number) {
    this.#memory = memory;
    this.#version = version;
  }

  async append(by: number): Promise<void> {
    this.appendNow(by);
  }

  async pending(): Promise<number> {
    this.start();
    return this.dirty.length;
  }

  async version(): Promise<number> {
    return this.#version;
  }

  appendNow(by: number): void {
    this.dirty.push(by);
    this.start();
  }

  start(): void {
    if (this.#isStopped) return;
    this.#timer ??= setInterval(() => this.#writeBack(), 1);
    this.#timer.unref();
    running.add(this);
  }

  stop(): void {
    running.delete(this);
    this.#isStopped = true;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  resume(): void {
    this.#isStopped = false;
    this.start();
  }

  #writeBack(): void {
    note('flush', this.#version);
    for (const by of this.dirty.splice(0))
      Atomics.add(this.#memory.i32, this.#memory.block('test/journal', 64) / 4, by);
  }
}

abstract class JournalRoot extends DistributedRoot<StillJournal> implements SwappableRoot {
  static readonly exports: readonly string[] = ['background/dirty@1'];
  static readonly imports: readonly string[] = ['background/dirty@1'];
  abstract readonly version: number;
  abstract readonly asynchronous: boolean;

  protected override createRep(): Rep {
    return new Rep(this.context, this.version);
  }

  freeze(): unknown {
    note('freeze begins', this.version);
    const rep = this.repIfAny() as Rep | undefined;
    const way = wayOf(FLAG.FREEZE, FLAG.FREEZE_ON);
    if (way === 'throws') throw new RangeError('freeze asked to fail');
    rep?.stop();
    if (way === 'well') {
      note('freeze ends', this.version);
      return undefined;
    }
    return passGate(GATE.FREEZE).then(() => {
      note('freeze ends', this.version);
      if (way === 'rejects') throw new RangeError('freeze asked to fail');
    });
  }

  thaw(): void {
    note('thaw', this.version);
    (this.repIfAny() as Rep | undefined)?.resume();
  }

  exportPart(_protocol: string, part: Part): unknown {
    note('export begins', this.version);
    return part.kind === 'rep' ? (this.repIfAny() as Rep).dirty : undefined;
  }

  importPart(_protocol: string, _part: Part, exported: unknown): unknown {
    const take = (): void => {
      (this.rep() as Rep).dirty = [...(exported as number[])];
      Atomics.add(this.context.memory.i32, this.context.stateOffset / 4, 1);
      note('import ends', this.version);
    };
    if (!this.asynchronous || this.context.processor !== 1) return take();
    return passGate(GATE.IMPORT_ON_1).then(take);
  }

  /** Notes how many parts have been imported by then, on all processors. */
  validate(): unknown {
    note('validate', Atomics.load(this.context.memory.i32, this.context.stateOffset / 4));
    switch (wayOf(FLAG.VALIDATE, FLAG.VALIDATE_ON)) {
      case 'throws':
        throw new RangeError('validation asked to fail');
      case 'rejects':
        return Promise.reject(new RangeError('validation asked to fail'));
      case 'false':
        return false;
      case 'false later':
        return Promise.resolve(false);
      default:
        return undefined;
    }
  }

  adopt(): void {
    note('adopt', this.version);
  }

  relinquish(): void {
    note('relinquish', this.version);
  }

  override cleanUp(): void {
    (this.repIfAny() as Rep | undefined)?.stop();
  }

  override depart(): unknown {
    return undefined;
  }
}

function version<T extends Journal>(
  served: Interface<T>,
  version: number,
  asynchronous: boolean,
): Implementation<T> {
  const Root = class extends JournalRoot {
    override readonly version = version;
    override readonly asynchronous = asynchronous;
  };
  // What serves more methods serves the fewer, too.
  return defineImplementation<T>({
    name: `${served.name}@${version}`,
    interface: served,
    Root: Root as never,
    stateBytes: 4,
  });
}

export const Async: readonly [Implementation<Journal>, Implementation<Journal>] = [
  version(Journal, 1, true),
  version(Journal, 2, true),
];
export const Sync: readonly [Implementation<StillJournal>, Implementation<StillJournal>] = [
  version(StillJournal, 1, false),
  version(StillJournal, 2, false),
];

// What processors are asked for

export function append(coid: Coid<Journal>, by: number): Promise<void> {
  return handle(coid).append(by);
}

export function pending(coid: Coid<Journal>): Promise<number> {
  return handle(coid).pending();
}

export function versionHere(coid: Coid<Journal>): Promise<number> {
  return handle(coid).version();
}
