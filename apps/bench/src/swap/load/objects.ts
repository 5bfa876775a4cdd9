/**
 * The objects that are swapped under load: two interfaces, each with two implementations that can be exchanged, in two ways.
 *
 * An object has a Rep per processor, with a share of its state: how often each caller has called, and so many bytes of other
 * state that only have to be there. The shares move by value (all of it is copied) or by reference (nothing is). The
 * implementations of a pair are the same; what is measured is the exchange.
 *
 * `Later` has asynchronous methods only; `Mixed` has a synchronous one as well, so that its swaps need processors to stop.
 */
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import {
  DistributedRoot,
  defineImplementation,
  defineInterface,
  type Implementation,
  type Interface,
  type RootContext,
} from '@k42/clustered';
import type { Part, SwappableRoot } from '@k42/hotswap';
import { noteMisdirected, noteRun } from './records.ts';

export interface Later {
  /** Takes so long by timer, or with 0 one turn of the event loop; the number of the call. */
  later(caller: number, call: number, lengthMs: number): Promise<number>;
  /** How often each caller of this processor has called. */
  counts(): Promise<number[]>;
  /** Gives this processor's share so many bytes more to carry. */
  fill(bytes: number): Promise<void>;
}

export interface Mixed extends Later {
  /** Takes so long; the number of the call. */
  now(caller: number, call: number, lengthMs: number): number;
}

export const INTERFACES = ['async', 'mixed'] as const;
export type InterfaceName = (typeof INTERFACES)[number];
export const TRANSFERS = ['reference', 'value'] as const;
export type Transfer = (typeof TRANSFERS)[number];

export type Loaded = Implementation<Mixed>;

interface Share {
  counts: number[];
  ballast: Uint8Array;
}

/** One word of machine memory: whether the object has been replaced. */
const STATE_BYTES = 4;

class LoadedRep implements Mixed {
  share: Share;
  readonly #words: Int32Array;
  readonly #replaced: number;

  constructor({ memory, stateOffset }: RootContext) {
    this.#words = memory.i32;
    this.#replaced = stateOffset / 4;
    this.share = { counts: [], ballast: new Uint8Array(0) };
  }

  now(caller: number, call: number, lengthMs: number): number {
    this.#begin(caller, call);
    const until = performance.now() + lengthMs;
    while (performance.now() < until);
    this.#end(caller);
    return call;
  }

  async later(caller: number, call: number, lengthMs: number): Promise<number> {
    this.#begin(caller, call);
    await (lengthMs === 0 ? nextTurn() : pause(lengthMs));
    this.#end(caller);
    return call;
  }

  async counts(): Promise<number[]> {
    return [...this.share.counts];
  }

  async fill(bytes: number): Promise<void> {
    this.share.ballast = new Uint8Array(bytes).fill(1);
  }

  #begin(caller: number, call: number): void {
    noteRun(caller, call);
    this.#mustServe(caller);
  }

  /** The state changes at the end: a call that a swap has not waited for changes what has been given away. */
  #end(caller: number): void {
    const { counts } = this.share;
    counts[caller] = (counts[caller] ?? 0) + 1;
    this.#mustServe(caller);
  }

  #mustServe(caller: number): void {
    if (this.#words[this.#replaced] !== 0) noteMisdirected(caller);
  }
}

abstract class LoadedRoot extends DistributedRoot<Mixed> implements SwappableRoot {
  protected override createRep(): LoadedRep {
    return new LoadedRep(this.context);
  }

  protected abstract give(share: Share): Share;

  exportPart(_protocol: string, part: Part): unknown {
    return part.kind === 'rep' ? this.give((this.rep() as LoadedRep).share) : undefined;
  }

  importPart(_protocol: string, _part: Part, share: unknown): void {
    (this.rep() as LoadedRep).share = share as Share;
  }

  relinquish(): void {
    this.context.memory.i32[this.context.stateOffset / 4] = 1;
  }
}

class ByReferenceRoot extends LoadedRoot {
  static readonly exports: readonly string[] = ['bench/share-by-reference@1'];
  static readonly imports: readonly string[] = ['bench/share-by-reference@1'];

  protected override give(share: Share): Share {
    return share;
  }
}

class ByValueRoot extends LoadedRoot {
  static readonly exports: readonly string[] = ['bench/share-by-value@1'];
  static readonly imports: readonly string[] = ['bench/share-by-value@1'];

  protected override give({ counts, ballast }: Share): Share {
    return { counts: [...counts], ballast: ballast.slice() };
  }
}

const ROOTS = { reference: ByReferenceRoot, value: ByValueRoot } as const;

const LATER = { later: 'async', counts: 'async', fill: 'async' } as const;

const SERVED: Record<InterfaceName, Interface<Mixed>> = {
  // The synchronous method is there, but nobody can call it: the interface does not name it.
  async: defineInterface<Later>('bench/swap-later', LATER) as Interface<Mixed>,
  mixed: defineInterface<Mixed>('bench/swap-mixed', { ...LATER, now: 'sync' }),
};

function pair(name: InterfaceName, transfer: Transfer): readonly [Loaded, Loaded] {
  const one = (which: string): Loaded =>
    defineImplementation<Mixed>({
      name: `bench/swap-${name}-${transfer}-${which}@1`,
      interface: SERVED[name],
      Root: ROOTS[transfer],
      stateBytes: STATE_BYTES,
    });
  return [one('one'), one('other')];
}

/** The two implementations between which an object goes to and fro. */
export const PAIRS: Record<InterfaceName, Record<Transfer, readonly [Loaded, Loaded]>> = {
  async: { reference: pair('async', 'reference'), value: pair('async', 'value') },
  mixed: { reference: pair('mixed', 'reference'), value: pair('mixed', 'value') },
};
