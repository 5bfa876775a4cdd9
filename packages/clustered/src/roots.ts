/**
 * Roots: the anchors of objects.
 *
 * There is one logical Root per object: its record and its state, in machine memory. Every processor that uses the
 * object has a thin *view* of it, an instance of the Root class, which answers the misses of that processor. A view
 * holds the processor's Rep, so that a later miss (the slot was reset, a swap was undone) is answered with the same
 * Rep and nothing the Rep knows is lost.
 */
import type { RootContext } from './implementations.ts';
import { gather } from './internal/gather.ts';
import { markRep, repSet } from './internal/records.ts';

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

  constructor(context: RootContext) {
    this.context = context;
  }

  /**
   * Makes or finds the Rep that serves this processor. Runs with the entry locked for reading, synchronously; it may
   * call other objects, but must not wait. Whatever it throws reaches the caller as a `MissError`.
   */
  abstract handleMiss(miss: Miss): T;

  /**
   * Frees what the state refers to (descriptors, further blocks). Runs once per object, on the processor that
   * destroyed or replaced it, after a grace period, just before the state itself is freed. It must not throw.
   */
  reclaim(): void {}

  /**
   * Called when the object is to be destroyed while this Root is installed. A Root that cannot let go now returns a
   * promise; the destruction tries again when it settles. The standard Roots never object.
   */
  holdDestroy(): Promise<void> | undefined {
    return undefined;
  }
}

/** A Root whose view on each processor has one Rep, made on the first miss there. */
abstract class SingleRepPerViewRoot<T extends object> extends Root<T> {
  #rep: T | undefined;

  /** Makes this processor's Rep; called once per processor. */
  protected abstract createRep(): T;

  /** This processor's Rep, made now if there is none. */
  rep(): T {
    if (this.#rep === undefined) {
      this.#rep = this.createRep();
      markRep(this.context.rootWord);
    }
    return this.#rep;
  }

  /** This processor's Rep if it has one. */
  repIfAny(): T | undefined {
    return this.#rep;
  }

  /** Processors on which this object has a Rep, ascending. May grow at any time. */
  repProcessors(): number[] {
    return repSet(this.context.rootWord);
  }

  override handleMiss(_miss: Miss): T {
    return this.rep();
  }
}

/** All Reps are views of one state in machine memory; what is in their own fields is at most a cache of it. */
export abstract class SharedRoot<T extends object> extends SingleRepPerViewRoot<T> {
  /** How the object is divided, for whoever takes it apart. */
  readonly distribution = 'shared' as const;
}

/** A Rep per processor, each with a share of the object's state, in its own heap or in machine memory. */
export abstract class DistributedRoot<T extends object> extends SingleRepPerViewRoot<T> {
  readonly distribution = 'distributed' as const;

  /**
   * Calls a synchronous method of every Rep, on the Rep's own processor between turns, and gives the results. It is
   * no snapshot: calls go on meanwhile, and a Rep made meanwhile may be missed. The method need not belong to the
   * interface. Costs a message round trip per processor that has a Rep.
   * @throws what the method throws; ProcessorGoneError.
   */
  gather<R>(method: string, ...args: unknown[]): Promise<R[]> {
    return gather<R>(this.context.rootWord, this.repProcessors(), method, args);
  }
}
