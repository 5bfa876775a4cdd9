/**
 * Implementations: how an interface is served.
 *
 * An implementation is a Root class (or, for the common cases, just a Rep class) plus the size and first contents of
 * the machine memory its objects share. It is registered under a versioned name, so that any processor can build its
 * own view of a Root from the number it finds in the Global Translation Table: every processor has to load the module
 * that defines it.
 */
import { InvalidArgumentError } from '@k42/rcu';
import { checkName, type Interface } from './interfaces.ts';
import { fingerprint } from './internal/fingerprint.ts';
import { type Implementation, type RootClass, register } from './internal/registry.ts';
import type { Layout } from './layout.ts';
import type { RootContext } from './root.ts';
import { ClusteredRoot, DistributedRoot, SharedRoot } from './roots.ts';

export type { AnyImplementation, Implementation, RootClass } from './internal/registry.ts';

export type RepClass<T extends object> = new (context: RootContext) => T;

/** How Reps divide an object: one state for all, a share for each processor, or one for each cluster of processors. */
export type Distribution = 'shared' | 'distributed' | 'clustered';

type Bytes<A> = number | ((argument: A) => number);

interface Common<T extends object, A> {
  /** Stable and versioned, such as `counter/shared@1`. */
  readonly name: string;
  readonly interface: Interface<T>;
  /** The module that defines it (`import.meta.url`): a processor that lacks it says where it comes from. */
  readonly module?: string;
  /** Machine memory shared by all Reps of one object: a layout, or bytes. Default none. */
  readonly state?: Layout;
  readonly stateBytes?: Bytes<A>;
  /** Machine memory of each processor, or cluster, made when it first uses it: a layout, or bytes. Default none. */
  readonly share?: Layout;
  readonly shareBytes?: Bytes<A>;
  /** Consecutive processor numbers that have a share together. Default 1. */
  readonly clusterSize?: number;
  /** Fills the state of a new object, once, on the creating processor, before anyone can see it. */
  readonly initialise?: (context: RootContext, argument: A) => void;
  /** Its objects stand in for others' for a while, as mediators do: they show as `switching`. */
  readonly standsIn?: boolean;
}

/** Either a Root class of one's own, or a Rep class and which standard Root to put over it. */
export type ImplementationOptions<T extends object, A> = Common<T, A> &
  (
    | {
        readonly Root: RootClass<NoInfer<T>>;
        readonly Rep?: never;
        readonly distribution?: never;
        readonly reclaim?: never;
      }
    | {
        readonly Root?: never;
        readonly Rep: RepClass<NoInfer<T>>;
        readonly distribution: Distribution;
        /** Frees what the state refers to; see `Root.reclaim`. */
        readonly reclaim?: (context: RootContext) => void;
      }
  );

/**
 * Defines and registers an implementation on this JavaScript thread. Call it at the top level of a module that every
 * processor loads.
 * @throws NameError if the name is unusable or another implementation has it; InvalidArgumentError
 */
export function defineImplementation<T extends object, A = void>(
  options: ImplementationOptions<T, A>,
): Implementation<T, A> {
  checkName('An implementation', options.name);
  const { name, module, clusterSize = 1, standsIn = false } = options;
  if (!Number.isInteger(clusterSize) || clusterSize < 1)
    throw new InvalidArgumentError(`clusterSize of ${name} must be a positive integer, not ${clusterSize}.`);
  const state = sizeOf(name, 'state', options.state, options.stateBytes);
  const share = sizeOf(name, 'share', options.share, options.shareBytes);
  const distribution = options.Root === undefined ? options.distribution : 'own';
  if (distribution === 'clustered' && share === 0)
    throw new InvalidArgumentError(
      `${name} is clustered, so it needs a share: that is what a cluster has in common.`,
    );
  const implementation: Implementation<T, A> = {
    name,
    interface: options.interface,
    Root: options.Root ?? standardRoot(options),
    stateBytes: asFunction(state),
    shareBytes: asFunction(share),
    clusterSize,
    initialise: options.initialise ?? (() => {}),
    module,
    standsIn,
    fingerprint: fingerprint([
      options.interface.name,
      options.interface.fingerprint,
      distribution,
      clusterSize,
      typeof state === 'number' ? state : null,
      typeof share === 'number' ? share : null,
    ]),
  };
  register(implementation);
  return implementation;
}

function sizeOf<A>(
  name: string,
  what: string,
  layout: Layout | undefined,
  bytes: Bytes<A> | undefined,
): Bytes<A> {
  if (layout !== undefined && bytes !== undefined)
    throw new InvalidArgumentError(`${name} gives its ${what} both as a layout and in bytes.`);
  return layout?.bytes ?? bytes ?? 0;
}

function asFunction<A>(bytes: Bytes<A>): (argument: A) => number {
  return typeof bytes === 'number' ? () => bytes : bytes;
}

interface Shorthand<T extends object> {
  readonly Rep: RepClass<T>;
  readonly distribution: Distribution;
  readonly reclaim?: (context: RootContext) => void;
}

/** A Root class that does nothing but make Reps. */
function standardRoot<T extends object>({ Rep, distribution, reclaim }: Shorthand<T>): RootClass<T> {
  switch (distribution) {
    case 'shared':
      return class extends SharedRoot<T> {
        protected override createRep(): T {
          return new Rep(this.context);
        }

        override reclaim(): void {
          reclaim?.(this.context);
        }
      };
    case 'distributed':
      return class extends DistributedRoot<T> {
        protected override createRep(): T {
          return new Rep(this.context);
        }

        override reclaim(): void {
          reclaim?.(this.context);
        }
      };
    case 'clustered':
      return class extends ClusteredRoot<T> {
        protected override createRep(): T {
          return new Rep(this.context);
        }

        override reclaim(): void {
          reclaim?.(this.context);
        }
      };
    default:
      throw new InvalidArgumentError(
        `distribution must be shared, distributed or clustered, not ${JSON.stringify(distribution)}.`,
      );
  }
}
