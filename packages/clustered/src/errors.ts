/** Errors of `@k42/clustered`; all are `K42Error`s with a stable code. */
import { K42Error } from '@k42/rcu';

/** The object was destroyed, or the COID was never given out. */
export class ObjectGoneError extends K42Error {
  readonly coid: number;

  constructor(coid: number) {
    super('K42_OBJECT_GONE', `Object ${coid} has been destroyed, or never was.`);
    this.coid = coid;
  }
}

/** All COIDs of the calling processor's region are in use. */
export class RegionExhaustedError extends K42Error {
  readonly processor: number;
  readonly capacity: number;

  constructor(processor: number, capacity: number) {
    super(
      'K42_REGION_EXHAUSTED',
      `All ${capacity} COIDs of processor ${processor}'s region are in use (configureObjects raises the capacity).`,
    );
    this.processor = processor;
    this.capacity = capacity;
  }
}

/** A name (of an interface, implementation, method or object) is unusable or already means something else. */
export class NameError extends K42Error {
  constructor(message: string) {
    super('K42_NAME', message);
  }
}

/** An object's interface or implementation has not been loaded on this processor. */
export class NotLoadedError extends K42Error {
  /** The registered name that is missing. */
  readonly missing: string;
  readonly processor: number;
  /** The module it comes from, if its definition says so (`module: import.meta.url`). */
  readonly module: string | undefined;

  constructor(kind: string, missing: string, processor: number, module: string | undefined) {
    const from = module === undefined ? 'the module that defines it' : module;
    super(
      'K42_NOT_LOADED',
      `${kind} ${missing} is not loaded on processor ${processor}; load ${from} on every processor (Machine.load, or import it in the program).`,
    );
    this.missing = missing;
    this.processor = processor;
    this.module = module;
  }
}

/** Two processors mean different things by one name: they have loaded different versions of a module. */
export class DefinitionMismatchError extends K42Error {
  readonly definition: string;

  constructor(kind: string, definition: string, processor: number) {
    super(
      'K42_DEFINITION_MISMATCH',
      `${kind} ${definition} is defined otherwise on processor ${processor} than where it was used first; give a changed one another name or version.`,
    );
    this.definition = definition;
  }
}

/** `handleMiss` threw or returned nothing. The entry stays usable; the next call misses again. */
export class MissError extends K42Error {
  readonly coid: number;
  readonly implementation: string;

  constructor(coid: number, implementation: string, options?: ErrorOptions) {
    const reason = options?.cause instanceof Error ? `: ${options.cause.message}` : '';
    super('K42_MISS', `handleMiss of ${implementation} made no Rep for object ${coid}${reason}`, options);
    this.coid = coid;
    this.implementation = implementation;
  }
}

/** A standard Root was asked for its Rep by the Rep's own constructor, or `createRep`: they called their own object. */
export class ReentrantMissError extends K42Error {
  constructor() {
    super('K42_REENTRANT_MISS', 'The object was called by what makes its Rep: there is none yet to call.');
  }
}

/** Where the machine proves: a method that is declared as synchronous gave what outlasts its call, and nothing counts it. */
export class UncountedResultError extends K42Error {
  readonly method: string;

  constructor(interfaceName: string, method: string) {
    super(
      'K42_UNCOUNTED_RESULT',
      `${method} of ${interfaceName} is declared as synchronous and gave a promise or an iterator: nothing keeps the object for it.`,
    );
    this.method = method;
  }
}

/** A destruction has not been completed in the time given. It goes on by itself. */
export class DestroyDeadlineError extends K42Error {
  readonly coid: number;
  /** Processors that have not let go of the object: a thread, a waiting call or an iterator may be using it there. */
  readonly processors: readonly number[];

  constructor(coid: number, processors: readonly number[], deadlineMs: number) {
    const what =
      processors.length === 0
        ? 'misses on it, or a swap of it'
        : `the threads, waiting calls and iterators of processors ${processors.join(', ')}`;
    super(
      'K42_DESTROY_DEADLINE',
      `Object ${coid} was not reclaimed within ${deadlineMs} ms: waited for ${what} to end. The destruction goes on.`,
    );
    this.coid = coid;
    this.processors = processors;
  }
}

/** A whole-object operation found processors departing in its midst again and again. */
export class GatherError extends K42Error {
  constructor(tries: number) {
    super('K42_GATHER', `Processors departed during each of ${tries} tries to ask all Reps.`);
  }
}
