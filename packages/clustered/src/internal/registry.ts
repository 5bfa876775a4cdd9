/**
 * The implementations this JavaScript thread has defined, by name.
 */
import { NameError } from '../errors.ts';
import type { AnyInterface, Interface } from '../interfaces.ts';
import type { Root, RootContext } from '../root.ts';

export type RootClass<T extends object> = new (context: RootContext) => Root<T>;

/** Any implementation, where its types do not matter. */
export interface AnyImplementation {
  readonly name: string;
  readonly interface: AnyInterface;
  readonly Root: RootClass<object>;
  /** Bytes of state that all Reps of one object share. */
  readonly stateBytes: (argument: never) => number;
  /** Bytes of each share, of `clusterSize` consecutive processors together. */
  readonly shareBytes: (argument: never) => number;
  readonly clusterSize: number;
  readonly initialise: (context: RootContext, argument: never) => void;
  /** URL of the module that defines it. */
  readonly module: string | undefined;
  /** Its objects stand in for another's for a while, as a mediator does. */
  readonly standsIn: boolean;
  readonly fingerprint: number;
}

/** A defined implementation of an interface, whose objects are created with an argument; made by `defineImplementation`. */
export interface Implementation<T extends object, A = void> extends AnyImplementation {
  readonly interface: Interface<T>;
  readonly Root: RootClass<T>;
  readonly stateBytes: (argument: A) => number;
  readonly shareBytes: (argument: A) => number;
  readonly initialise: (context: RootContext, argument: A) => void;
}

const implementations = new Map<string, AnyImplementation>();

/** @throws NameError if another implementation has that name */
export function register(implementation: AnyImplementation): void {
  const { name } = implementation;
  if (implementations.has(name)) throw new NameError(`An implementation named ${name} is defined already.`);
  implementations.set(name, implementation);
}

/** The implementation of that name, if this thread has defined it. */
export function implementationNamed(name: string): AnyImplementation | undefined {
  return implementations.get(name);
}
