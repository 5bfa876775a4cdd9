/**
 * Roots: the anchors of objects.
 *
 * There is one logical Root per object: its record and its state, in machine memory. Every processor that uses the
 * object has a thin *view* of it, an instance of the Root class, which answers the misses of that processor. The standard
 * Roots are in `roots.ts`.
 */
import type { MachineMemory } from '@k42/rcu';

/**
 * What a Root view and its Reps know about their object: where its shared state is and where they are themselves.
 * One per Root and processor.
 */
export interface RootContext {
  readonly memory: MachineMemory;
  /** The processor this view lives on. */
  readonly processor: number;
  /** Processors of the machine. */
  readonly processors: number;
  /** Byte offset of the object's state in machine memory (64-byte aligned, zeroed at creation); 0 if it has none. */
  readonly stateOffset: number;
  readonly stateBytes: number;
  /** Identifies the Root machine-wide, also before it has a COID and after it has lost it. */
  readonly rootWord: bigint;
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
