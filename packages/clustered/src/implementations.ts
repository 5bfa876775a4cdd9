/**
 * Implementations: how an interface is served.
 *
 * An implementation is a Root class (or, for the common cases, just a Rep class) plus the size and first contents of
 * the machine memory its objects share. It is registered under a versioned name, so that any processor can build its
 * own view of a Root from the number it finds in the Global Translation Table: every processor has to load the module
 * that defines it.
 */
import type { MachineMemory } from '@k42/rcu';
import { NameError } from './errors.ts';
import { checkName, type Interface } from './interfaces.ts';
import { DistributedRoot, type Root, SharedRoot } from './roots.ts';

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

export type RootClass<T extends object> = new (context: RootContext) => Root<T>;
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

/**
 * Defines and registers an implementation on this JavaScript thread. Call it at the top level of a module that every
 * processor loads.
 * @throws NameError if the name is unusable or another implementation has it.
 */
export function defineImplementation<T extends object, A = void>(
  options: ImplementationOptions<T, A>,
): Implementation<T, A> {
  checkName('An implementation', options.name);
  if (implementations.has(options.name))
    throw new NameError(`An implementation named ${options.name} is defined already.`);
  const { stateBytes = 0 } = options;
  const implementation: Implementation<T, A> = {
    name: options.name,
    interface: options.interface,
    Root: 'Root' in options ? options.Root : standardRoot(options.Rep, options.distribution),
    stateBytes: typeof stateBytes === 'number' ? () => stateBytes : stateBytes,
    initialise: options.initialise ?? (() => {}),
  };
  implementations.set(options.name, implementation as unknown as AnyImplementation);
  return implementation;
}

/** The implementation of that name, if this thread has defined it. */
export function implementationNamed(name: string): AnyImplementation | undefined {
  return implementations.get(name);
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
