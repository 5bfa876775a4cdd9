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
  constructor(processor: number, capacity: number) {
    super('K42_REGION_EXHAUSTED', `All ${capacity} COIDs of processor ${processor}'s region are in use.`);
  }
}

/** A name (of an interface or implementation) is unusable or already means something else. */
export class NameError extends K42Error {
  constructor(message: string) {
    super('K42_NAME', message);
  }
}

/** An object's interface or implementation has not been loaded on this processor. */
export class NotLoadedError extends K42Error {
  /** The registered name that is missing. */
  readonly missing: string;

  constructor(missing: string, processor: number) {
    super(
      'K42_NOT_LOADED',
      `${missing} is not loaded on processor ${processor}; load the module that defines it on every processor (Machine.load, or the program).`,
    );
    this.missing = missing;
  }
}

/** `handleMiss` threw or returned nothing. The entry stays usable; the next call misses again. */
export class MissError extends K42Error {
  readonly coid: number;

  constructor(coid: number, implementation: string, options?: ErrorOptions) {
    super('K42_MISS', `handleMiss of ${implementation} made no Rep for object ${coid}.`, options);
    this.coid = coid;
  }
}
