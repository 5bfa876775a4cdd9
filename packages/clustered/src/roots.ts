/**
 * The standard Roots: how an object is divided over the processors.
 *
 * A view of any of them holds its processor's Rep, so that a later miss (the slot was reset, a swap was undone) is
 * answered with the same Rep and nothing the Rep knows is lost.
 */
import { ReentrantMissError } from './errors.ts';
import { gather } from './internal/gather.ts';
import { markRep, repSet, unmarkRep } from './internal/records.ts';
import { type Miss, Root } from './root.ts';

/** A Root whose view on each processor has one Rep, made on the first miss there. */
abstract class SingleRepPerViewRoot<T extends object> extends Root<T> {
  #rep: T | undefined;
  #making = false;

  /** Makes this processor's Rep: on the first miss, and on the first after the Rep has been dropped. */
  protected abstract createRep(): T;

  /** This processor's Rep, made now if there is none. @throws ReentrantMissError, what `createRep` throws */
  rep(): T {
    if (this.#rep === undefined) this.#rep = this.#makeRep();
    return this.#rep;
  }

  #makeRep(): T {
    if (this.#making) throw new ReentrantMissError();
    this.#making = true;
    try {
      const rep = this.createRep();
      markRep(this.context.rootWord);
      return rep;
    } finally {
      this.#making = false;
    }
  }

  override repIfAny(): T | undefined {
    return this.#rep;
  }

  /** Processors on which this object has a Rep, ascending. May change at any time. */
  repProcessors(): number[] {
    return repSet(this.context.rootWord);
  }

  override handleMiss(_miss: Miss): T {
    return this.rep();
  }

  override dropRep(): boolean {
    if (this.#rep === undefined || !this.canDrop(this.#rep)) return false;
    this.#rep = undefined;
    unmarkRep(this.context.rootWord);
    return true;
  }

  /** Whether a Rep knows nothing that is not elsewhere too. Asked when nobody has called it for a while. */
  protected abstract canDrop(rep: T): boolean;
}

/** All Reps are views of one state in machine memory; what is in their own fields is at most a cache of it. */
export abstract class SharedRoot<T extends object> extends SingleRepPerViewRoot<T> {
  /** How the object is divided, for whoever takes it apart. */
  readonly distribution: 'shared' = 'shared' as const;

  protected override canDrop(_rep: T): boolean {
    return true;
  }
}

/** Roots whose Reps differ, and can be asked one by one. */
abstract class DividedRoot<T extends object> extends SingleRepPerViewRoot<T> {
  /** A Rep may have state of its own: dropped only where an implementation says that it can be. */
  protected override canDrop(_rep: T): boolean {
    return false;
  }

  /**
   * Calls a synchronous method of every Rep, on the Rep's own processor between turns, and gives the results, by
   * processor. It is no snapshot: calls go on meanwhile, and a Rep made meanwhile may be missed. What a departing Rep has
   * handed over is counted once. The method need not belong to the interface. Costs a message round trip per processor that
   * has a Rep.
   * @throws what the method throws; ProcessorGoneError (the processor died with what its Rep had in its heap);
   *   GatherError, MachineClosedError.
   */
  gather<R>(method: string, ...args: unknown[]): Promise<R[]> {
    return gather<R>(this.context.rootWord, method, args);
  }

  /** `gather`, folded into one value. */
  async reduce<R, V>(
    method: string,
    fold: (value: V, result: R) => V,
    initial: V,
    ...args: unknown[]
  ): Promise<V> {
    return (await this.gather<R>(method, ...args)).reduce(fold, initial);
  }
}

/** A Rep per processor, each with a share of the object's state, in its own heap or in machine memory. */
export abstract class DistributedRoot<T extends object> extends DividedRoot<T> {
  readonly distribution: 'distributed' = 'distributed' as const;
}

/**
 * A share of the state per cluster of n consecutive processors, k·n to k·n + n - 1. JavaScript threads have no object in
 * common: each processor has a Rep, and those of a cluster are views of one share in machine memory (`context.shareOffset`).
 */
export abstract class ClusteredRoot<T extends object> extends DividedRoot<T> {
  readonly distribution: 'clustered' = 'clustered' as const;

  protected override canDrop(_rep: T): boolean {
    return true;
  }
}
