/**
 * The implementations this JavaScript thread has defined, by name.
 */
import { NameError } from '../errors.ts';
import type { Interface } from '../interfaces.ts';
import type { Root, RootContext } from '../root.ts';

export type RootClass<T extends object> = new (context: RootContext) => Root<T>;

/** A defined implementation; made by `defineImplementation`. */
export interface Implementation<T extends object, A = void> {
  readonly name: string;
  readonly interface: Interface<T>;
  readonly Root: RootClass<T>;
  readonly stateBytes: (argument: A) => number;
  readonly initialise: (context: RootContext, argument: A) => void;
}

/** Any implementation, where its types do not matter. */
export type AnyImplementation = Implementation<object, never>;

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
