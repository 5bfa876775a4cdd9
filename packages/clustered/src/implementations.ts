/**
 * Implementations: how an interface is served.
 *
 * An implementation is a Root class (or, for the common cases, just a Rep class) plus the size and first contents of
 * the machine memory its objects share. It is registered under a versioned name, so that any processor can build its
 * own view of a Root from the number it finds in the Global Translation Table: every processor has to load the module
 * that defines it.
 */
import { checkName, type Interface } from './interfaces.ts';
import {
  type AnyImplementation,
  type Implementation,
  type RootClass,
  register,
} from './internal/registry.ts';
import type { RootContext } from './root.ts';
import { DistributedRoot, SharedRoot } from './roots.ts';

export type { Implementation, RootClass } from './internal/registry.ts';

export type RepClass<T extends object> = new (context: RootContext) => T;

interface Common<T extends object, A> {
  /** Stable and versioned, such as `counter/shared@1`. */
  readonly name: string;
  readonly interface: Interface<T>;
  /** Bytes of machine memory shared by all Reps of one object. Default 0. */
  readonly stateBytes?: number | ((argument: A) => number);
  /** Fills the state of a new object, once, on the creating processor, before anyone can see it. */
  readonly initialise?: (context: RootContext, argument: A) => void;
}

/** Either a Root class of one's own, or a Rep class and which standard Root to put over it. */
export type ImplementationOptions<T extends object, A> = Common<T, A> &
  (
    | { readonly Root: RootClass<T> }
    | { readonly Rep: RepClass<T>; readonly distribution: 'shared' | 'distributed' }
  );

/**
 * Defines and registers an implementation on this JavaScript thread. Call it at the top level of a module that every
 * processor loads.
 * @throws NameError if the name is unusable or another implementation has it.
 */
export function defineImplementation<T extends object, A = void>(
  options: ImplementationOptions<T, A>,
): Implementation<T, A> {
  checkName('An implementation', options.name);
  const { stateBytes = 0 } = options;
  const implementation: Implementation<T, A> = {
    name: options.name,
    interface: options.interface,
    Root: 'Root' in options ? options.Root : standardRoot(options.Rep, options.distribution),
    stateBytes: typeof stateBytes === 'number' ? () => stateBytes : stateBytes,
    initialise: options.initialise ?? (() => {}),
  };
  register(implementation as unknown as AnyImplementation);
  return implementation;
}

function standardRoot<T extends object>(
  Rep: RepClass<T>,
  distribution: 'shared' | 'distributed',
): RootClass<T> {
  if (distribution === 'shared') {
    return class extends SharedRoot<T> {
      protected override createRep(): T {
        return new Rep(this.context);
      }
    };
  }
  return class extends DistributedRoot<T> {
    protected override createRep(): T {
      return new Rep(this.context);
    }
  };
}
