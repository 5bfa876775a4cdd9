/**
 * Starting a swap.
 *
 * The initiator has the new implementation loaded everywhere, negotiates, makes the new Root and the Mediator, and interposes:
 * up to there a failure has touched nothing. From then on it is one participant among others (or an onlooker, if it has never
 * called the object), and sees the swap through (`internal/initiation.ts`).
 */
import {
  type Coid,
  defineImplementation,
  defineInterface,
  type Implementation,
  type Interface,
} from '@k42/clustered';
import {
  type AnyImplementation,
  createRoot,
  discardRoot,
  holdRoot,
  implementationNamed,
  implementationOf,
  interfaceServedBy,
  members,
  membersOf,
  reclaimRoot,
  repProcessors,
  rootView,
  swingRoot,
  withEntryLocked,
} from '@k42/clustered/interpose';
import { currentProcessor, DeadlineError, InvalidArgumentError, onAttach, type Processor } from '@k42/rcu';
import {
  NegotiationError,
  SwapAbortedError,
  SwapDeadlineError,
  SwapError,
  SwapInProgressError,
  SwapModuleError,
} from './errors.ts';
import { exchange } from './internal/exchange.ts';
import { Initiation } from './internal/initiation.ts';
import { BLOCK_BYTES, PROTOCOL_BYTES_MAX } from './internal/layout.ts';
import { type AnySwapOptions, checkOptions, type Limits, type SwapOptions } from './internal/options.ts';
import { SwapBlock, type SwapPlan } from './internal/swapBlock.ts';
import { MediatorRoot } from './mediator.ts';
import type { SwapReport } from './report.ts';
import { exportsOf, importsOf, negotiate } from './swappable.ts';

export type { SwapOptions } from './internal/options.ts';

/** An implementation by its name, in a module that need not have been loaded anywhere yet. */
export interface ImplementationInModule {
  readonly module: URL;
  readonly name: string;
}

interface MediatorArgument {
  readonly plan: SwapPlan;
  /** Set by `initialise`: the initiator's view of the block it has just laid out. */
  block?: SwapBlock;
}

/** The Mediator stands in for any interface; it has none of its own. */
const Anything: Interface<object> = defineInterface<object>('hotswap/anything', {});

const Mediator: Implementation<object, MediatorArgument> = defineImplementation<object, MediatorArgument>({
  name: 'hotswap/mediator@1',
  interface: Anything,
  Root: MediatorRoot,
  standsIn: true,
  stateBytes: BLOCK_BYTES,
  initialise: ({ memory, stateOffset, processor }, argument) => {
    argument.block = new SwapBlock(memory, stateOffset, processor);
    argument.block.plan(argument.plan);
  },
});

onAttach(() => {
  exchange().adopt = (mediator) => {
    // The swap of one that is gone: nobody awaits it.
    new Initiation(mediator as MediatorRoot, undefined).report.catch(() => {});
  };
});

/**
 * Replaces the implementation behind a COID while it is being used, with its state, on all processors at once or on
 * none. Clients neither notice nor cooperate; calls made meanwhile are forwarded to the old object or wait for the
 * new one, and none is lost, doubled or run against the wrong object.
 *
 * Any processor may call it. Do not await it inside a thread: the swap waits for older threads, that one included.
 * The new implementation is an object of `defineImplementation`, whose module is loaded on the other processors if it says
 * which that is, or named in a module that is loaded now.
 *
 * @throws NegotiationError, SwapInProgressError, SwapModuleError, SwapAbortedError, ObjectGoneError, InvalidArgumentError,
 *   SwapDeadlineError before anything changes; any SwapError after the old object has been restored. In every case it serves
 *   on, and a retry is possible.
 */
export function swap<T extends object, A = void>(
  coid: Coid<T>,
  implementation: Implementation<T, A>,
  options?: SwapOptions<A>,
): Promise<SwapReport>;
export function swap(
  coid: Coid<object>,
  implementation: ImplementationInModule,
  options?: SwapOptions<unknown>,
): Promise<SwapReport>;
export function swap(
  coid: number,
  implementation: AnyImplementation | ImplementationInModule,
  options: AnySwapOptions = {},
): Promise<SwapReport> {
  return swapAny(coid, implementation, options);
}

/** Puts the implementation back that a swap has replaced, with its state, as another swap. @throws as `swap` */
export async function revert<A = void>(
  report: SwapReport,
  options: SwapOptions<A> = {},
): Promise<SwapReport> {
  const old = implementationNamed(report.from);
  if (old === undefined)
    throw new SwapModuleError(
      { coid: report.coid, phase: 'prepare' },
      `${report.from} is not defined on this processor.`,
    );
  return swapAny(report.coid, old, options as AnySwapOptions);
}

async function swapAny(
  coid: number,
  wanted: AnyImplementation | ImplementationInModule,
  options: AnySwapOptions,
): Promise<SwapReport> {
  const limits = checkOptions(options);
  const attempt = new Attempt(coid, limits, options.signal);
  const implementation = await attempt.load(wanted, options.module);
  for (;;) {
    attempt.assertGoesOn();
    const oldRoot = holdRoot(coid);
    const standing = implementationOf(oldRoot);
    if (standing.name === Mediator.name) {
      await attempt.awaitEarlier(oldRoot, options.ifInProgress);
      continue;
    }
    const started = await attempt.start(oldRoot, standing, implementation, options.argument);
    const names = { from: standing.name, to: implementation.name };
    if (started !== undefined) return new Initiation(started, names, options.signal).report;
    // Somebody else's swap came in between: its Mediator, or the object it has put here, is not what we negotiated with.
    if (options.ifInProgress !== 'queue') throw new SwapInProgressError(coid);
  }
}

/** Modules that all processors of a machine have: those there are by now, and those that join, for it is on the machine's list. */
const loadedModules = new WeakMap<Processor, Set<string>>();

/** A swap before it can be seen. */
class Attempt {
  readonly #coid: number;
  readonly #limits: Limits;
  readonly #signal: AbortSignal | undefined;
  readonly #giveUpAt: number;

  constructor(coid: number, limits: Limits, signal: AbortSignal | undefined) {
    this.#coid = coid;
    this.#limits = limits;
    this.#signal = signal;
    this.#giveUpAt = performance.now() + limits.deadlineMs;
  }

  /** Milliseconds left of the swap's time, at least 1. */
  get #leftMs(): number {
    return Math.max(1, Math.ceil(this.#giveUpAt - performance.now()));
  }

  /** @throws SwapAbortedError, SwapDeadlineError */
  assertGoesOn(waitedFor = 'its turn'): void {
    if (this.#signal?.aborted === true)
      throw new SwapAbortedError(this.#coid, 'prepare', this.#signal.reason);
    if (performance.now() >= this.#giveUpAt) throw this.#late(waitedFor);
  }

  #late(waitedFor: string): SwapDeadlineError {
    return new SwapDeadlineError(this.#coid, 'prepare', [], waitedFor);
  }

  /** Has every processor load what it needs, and finds the implementation. @throws SwapModuleError */
  async load(
    wanted: AnyImplementation | ImplementationInModule,
    module: URL | undefined,
  ): Promise<AnyImplementation> {
    // Without this module a processor could not take part, nor serve a miss.
    await this.#loadModule(import.meta.url);
    if ('Root' in wanted) {
      const named = module?.href ?? wanted.module;
      // What this thread has by another way (a bundle, a test runner's copy) may have no module others could load.
      if (module !== undefined || named?.startsWith('file:') === true)
        await this.#loadModule(named as string);
      return wanted;
    }
    if (!(wanted.module instanceof URL) || typeof wanted.name !== 'string')
      throw new InvalidArgumentError(
        'What to swap to is an implementation, or the URL of a module and a name.',
      );
    await this.#loadModule(wanted.module.href);
    const found = implementationNamed(wanted.name);
    if (found !== undefined) return found;
    throw this.#moduleError(`${wanted.module.href} defines no implementation named ${wanted.name}.`);
  }

  async #loadModule(url: string): Promise<void> {
    this.assertGoesOn();
    const processor = currentProcessor();
    const loaded = loadedModules.get(processor) ?? new Set();
    loadedModules.set(processor, loaded);
    if (loaded.has(url)) return;
    try {
      const waitedFor = `module ${url} on every processor`;
      await this.#unlessAborted(processor.load(url, { deadlineMs: this.#leftMs }), waitedFor);
      loaded.add(url);
    } catch (cause) {
      if (cause instanceof SwapError) throw cause;
      if (cause instanceof DeadlineError) throw this.#late(`module ${url} on every processor`);
      const message = cause instanceof Error ? cause.message : String(cause);
      throw this.#moduleError(`${url} cannot be loaded on every processor: ${message}`, { cause });
    }
  }

  #moduleError(message: string, options?: ErrorOptions): SwapModuleError {
    return new SwapModuleError({ coid: this.#coid, phase: 'prepare' }, message, options);
  }

  /** Waits for the swap that is in progress, if that is wanted. @throws SwapInProgressError */
  async awaitEarlier(root: bigint, ifInProgress: SwapOptions<unknown>['ifInProgress']): Promise<void> {
    if (ifInProgress !== 'queue') throw new SwapInProgressError(this.#coid);
    rootView(root);
    const earlier = exchange().participant(root);
    if (earlier === undefined) return;
    await this.#unlessAborted(earlier.whenFinished(), 'the swap before it to end');
  }

  /** Settles as `work` does, or rejects when the signal is raised or the time is over. */
  async #unlessAborted<R>(work: Promise<R>, waitedFor?: string): Promise<R> {
    const signal = this.#signal;
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(new SwapAbortedError(this.#coid, 'prepare', signal?.reason));
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer =
      waitedFor === undefined ? undefined : setTimeout(() => reject(this.#late(waitedFor)), this.#leftMs);
    try {
      return await Promise.race([work, promise]);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      clearTimeout(timer);
    }
  }

  /**
   * Negotiates, builds, interposes; gives the Mediator, or undefined if another swap has been faster. Nothing is left behind
   * by what fails.
   */
  async start(
    oldRoot: bigint,
    old: AnyImplementation,
    implementation: AnyImplementation,
    argument: unknown,
  ): Promise<MediatorRoot | undefined> {
    const served = interfaceServedBy(oldRoot);
    if (served.name !== implementation.interface.name)
      throw new InvalidArgumentError(
        `Object ${this.#coid} serves ${served.name}; ${implementation.name} implements ${implementation.interface.name}.`,
      );
    const protocol = this.#negotiate(old, implementation);
    const { number, incarnation } = currentProcessor();
    const newRoot = createRoot(implementation as Implementation<object, unknown>, served, argument);
    const mediation: MediatorArgument = {
      plan: {
        ...this.#limits,
        // What is left of it.
        deadlineMs: this.#leftMs,
        coid: this.#coid,
        newRoot,
        initiator: number,
        initiatorIncarnation: incarnation,
        // An iterator is given synchronously, too.
        synchronous: Object.values(served.methods).some(({ kind }) => kind !== 'async'),
        protocol,
      },
    };
    let mediatorRoot: bigint | undefined;
    let interposed = false;
    try {
      mediatorRoot = createRoot(Mediator, served, mediation);
      exchange().journal.enter(mediatorRoot, mediation.block as SwapBlock);
      interposed = await this.#interpose(oldRoot, mediatorRoot, mediation.block as SwapBlock);
    } finally {
      if (!interposed) {
        if (mediatorRoot !== undefined) {
          exchange().journal.remove(mediatorRoot);
          discardRoot(mediatorRoot);
        }
        reclaimRoot(newRoot);
      }
    }
    return interposed ? (rootView(mediatorRoot as bigint) as MediatorRoot) : undefined;
  }

  #negotiate(old: AnyImplementation, implementation: AnyImplementation): string {
    const exports = exportsOf(old);
    const imports = importsOf(implementation);
    const protocol = negotiate(exports, imports);
    if (protocol === undefined)
      throw new NegotiationError(this.#coid, old.name, implementation.name, exports, imports);
    if (!/^[\x21-\x7e]+$/.test(protocol) || protocol.length > PROTOCOL_BYTES_MAX)
      throw new InvalidArgumentError(
        `A protocol's name has 1 to ${PROTOCOL_BYTES_MAX} printable ASCII characters, and no space: ${protocol}.`,
      );
    return protocol;
  }

  /** Puts the Mediator before the object: from its first miss on, a processor's calls go through it. False if it has changed. */
  async #interpose(oldRoot: bigint, mediatorRoot: bigint, block: SwapBlock): Promise<boolean> {
    let isInterposed = false;
    try {
      // Should it be given up before the lock is had: what is done then looks once more, before anything else.
      const locked = withEntryLocked(
        this.#coid,
        (entry) => {
          this.assertGoesOn('misses on it to end');
          if (entry.root !== oldRoot) return false;
          // A processor may hold a part of the object without ever having called it: a Rep that a transfer has made there.
          const concerned = new Set([...members(entry.touched), ...repProcessors(entry.root)]);
          const participants = [...concerned].filter((number) => exchange().members.has(number));
          block.begin(entry.root, entry.sequence, participants);
          swingRoot(this.#coid, entry.root, mediatorRoot);
          isInterposed = true;
          return true;
        },
        this.#leftMs,
        ({ touched }) => membersOf(touched).every((number) => exchange().members.has(number)),
      );
      return await this.#unlessAborted(locked);
    } catch (error) {
      // Given up in the very moment: whoever sees the swap through looks at the signal again.
      if (isInterposed) return true;
      if (error instanceof DeadlineError) throw this.#late('misses on it to end');
      throw error;
    }
  }
}
