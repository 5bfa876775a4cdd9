/**
 * Roots: the anchors of objects.
 *
 * There is one logical Root per object: its record and its state, in machine memory. Every processor that uses the
 * object has a thin *view* of it, an instance of the Root class, which answers the misses of that processor. The standard
 * Roots are in `roots.ts`.
 */
import type { MachineMemory } from '@k42/rcu';

/**
 * What a Root view and its Reps know about their object: where its machine memory is and where they are themselves.
 * One per Root and processor.
 *
 * *State* is shared by all Reps. A *share* belongs to one processor number, or to a cluster of consecutive ones. Both are
 * whole cache lines, zeroed when they are made, and freed with the object. Who may write what is the implementation's
 * business; plain accesses of several processors to one word are unordered.
 */
export interface RootContext {
  readonly memory: MachineMemory;
  /** The processor this view lives on. */
  readonly processor: number;
  /** Processor numbers of the machine: its capacity, not how many there are now. */
  readonly processors: number;
  /** Byte offset of the object's state in machine memory (64-byte aligned); 0 if it has none. */
  readonly stateOffset: number;
  readonly stateBytes: number;
  /**
   * Byte offset of this processor's share (64-byte aligned), made on first use; 0 if the implementation has none. It
   * outlives the processor: whoever has the number next finds it as it was left.
   * @throws OutOfMachineMemoryError
   */
  readonly shareOffset: number;
  readonly shareBytes: number;
  /** Consecutive processor numbers that have a share together: k·n to k·n + n - 1. */
  readonly clusterSize: number;
  /** Identifies the Root machine-wide, also before it has a COID and after it has lost it. */
  readonly rootWord: bigint;
  /** Offsets of all shares that exist, those of departed processors included. More may come at any time. */
  shareOffsets(): number[];
  /** The same with the number of each: of its processor, or of its cluster. */
  allShares(): { readonly share: number; readonly offset: number }[];
  /**
   * Byte offset of the share of a processor or cluster, made if there is none; 0 if the implementation has none.
   * @throws OutOfMachineMemoryError, InvalidArgumentError
   */
  shareOffsetOf(share: number): number;
  /**
   * At least so many zeroed bytes of machine memory more, on cache lines of their own, from this processor's arena.
   * @throws OutOfMachineMemoryError, InvalidArgumentError
   */
  allocate(bytes: number): number;
  /**
   * Frees what `allocate` gave on any processor, once; `bytes` as it was asked for. Nobody may reach it any more.
   * @throws InvalidArgumentError where it can be seen that there is no such block; a second time shows as a failed invariant
   */
  free(offset: number, bytes: number): void;
}

/** A miss being handled: the first call on an object on this processor, or the first since its slot was reset. */
export interface Miss {
  readonly coid: number;
  readonly processor: number;
  /** Set it to false to have this one call run on the Rep returned without installing it: the next call misses again. */
  install: boolean;
}

/** Base class of all Roots. One instance per object and processor, made when the processor first needs it. */
export abstract class Root<T extends object> {
  readonly context: RootContext;
  /** @internal Whether this view counts as having a Rep, in the record and among all Reps. */
  repNoted = false;

  constructor(context: RootContext) {
    this.context = context;
  }

  /**
   * Makes or finds the Rep that serves this processor. Runs with the entry locked for reading, synchronously; it may
   * call other objects, but must not wait. It may call this object, which is another miss inside of this one: a Root of
   * one's own has to be ready for that, and the standard ones refuse it while they make a Rep. Whatever it throws reaches
   * the caller as a `MissError`, and the next call misses again.
   */
  abstract handleMiss(miss: Miss): T;

  /** This view's Rep, if it keeps one. */
  repIfAny(): T | undefined {
    return undefined;
  }

  /**
   * Lets go of this view's Rep, because nobody on this processor has called the object for a while; whether it did. The
   * next call misses. It must be safe to lose: whatever the Rep knows has to be elsewhere.
   */
  dropRep(): boolean {
    return false;
  }

  /**
   * Frees what this processor holds for a destroyed object outside machine memory: timers, descriptors, entries of
   * tables. Runs on every processor that has a view of this Root, when no call of anybody can be using it any more, and
   * before `reclaim`: when the object has been destroyed, or its Root exchanged. What it throws is an uncaught exception.
   */
  cleanUp(): void {}

  /**
   * Frees what the state refers to (descriptors, further blocks). Runs once per object, on the processor that
   * destroyed or exchanged it, just before the state itself is freed. What it throws is an uncaught exception. If the
   * processor dies in it, it is not run again: what it had not freed yet is lost.
   */
  reclaim(): void {}

  /**
   * This processor leaves the machine in good order, and no thread of it lives any more. Moves what its Rep keeps in its
   * own heap to machine memory, or returns it (something that can be cloned): then the host's view gets it by `inherit`.
   * Return `undefined` if there is nothing. A processor that is killed does none of this.
   */
  depart(): unknown {
    return undefined;
  }

  /**
   * Of a Root that stands in for another's (`standsIn`): this processor leaves, and the Root must not be in the table any more
   * when this returns. Called with the entry locked for reading.
   */
  standDown(): void {}

  /** On the host: takes over what a Rep on another processor has left (see `depart`). It must not wait. */
  inherit(_contribution: unknown, _from: number): void {}

  /**
   * Called when the object is to be destroyed while this Root is installed. A Root that cannot let go now says until when;
   * it is asked again then, and must say `undefined` some time. The standard Roots never object. Runs with the entry locked for
   * writing, which stands in the way of other destructions and swaps: it must be short and must not call the object.
   * What it throws, `destroy` rejects with, and the object lives on.
   */
  holdDestroy(): { readonly until: Promise<void> } | undefined {
    return undefined;
  }
}
