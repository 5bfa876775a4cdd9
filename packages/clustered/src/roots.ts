/**
 * The standard Roots: how an object is divided over the processors.
 *
 * A view of either holds its processor's Rep, so that a later miss (the slot was reset, a swap was undone) is answered
 * with the same Rep and nothing the Rep knows is lost.
 */
import { gather } from './internal/gather.ts';
import { markRep, repSet } from './internal/records.ts';
import { type Miss, Root } from './root.ts';

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
