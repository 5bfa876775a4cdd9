/**
 * Starting a swap, and seeing it through.
 *
 * The initiator negotiates, makes the new Root and the Mediator, and interposes: up to there a failure has touched
 * nothing. From then on it is one participant among others (or an onlooker, if it has never called it). When every processor concerned has finished it reports, and then, in the background, has the swap
 * released everywhere and reclaims the Mediator and whichever object lost.
 */
import type { Coid, Implementation, Interface } from '@k42/clustered';
import { defineImplementation, defineInterface } from '@k42/clustered';
import {
  createRoot,
  discardRoot,
  finishBeforeClose,
  holdRoot,
  implementationOf,
  interfaceServedBy,
  members,
  reclaimRoot,
  repProcessors,
  rootView,
  swingRoot,
  touchedProcessors,
  withEntryLocked,
} from '@k42/clustered/interpose';
import {
  currentProcessor,
  errorFromWire,
  InvalidArgumentError,
  MachineClosedError,
  type Processor,
} from '@k42/rcu';
import { NegotiationError, SwapInProgressError, SwapProcessorGoneError } from './errors.ts';
import { exchange, type FinishedMessage, type Initiator } from './internal/exchange.ts';
import { BLOCK_BYTES, PHASE, PROTOCOL_BYTES_MAX } from './internal/layout.ts';
import { SwapBlock, type SwapPlan } from './internal/swapBlock.ts';
import { MediatorRoot } from './mediator.ts';
import type { ProcessorReport } from './report.ts';
import { exportsOf, importsOf, negotiate } from './swappable.ts';

const DEADLINE_MS = 10_000;
const MAX_PAUSE_MS = 20;
const TRANSFER_DEADLINE_MS = 2_000;

export interface SwapOptions<A> {
  /** Given to the new implementation's `initialise`. */
  readonly argument?: A;
  /** Module that defines the implementation, where the other processors may not have loaded it yet. */
  readonly module?: URL;
  /** Milliseconds for the whole swap, default 10 000. When they pass the old object serves on. */
  readonly deadlineMs?: number;
  /**
   * Longest time a processor is held still to let the others catch up, in milliseconds, default 20. Only interfaces
   * with synchronous methods need it; it must exceed the usual length of a turn on the other processors.
   */
  readonly maxPauseMs?: number;
  /** Milliseconds for the transfer of state alone, default 2000. */
  readonly transferDeadlineMs?: number;
}

/** What happened in a swap. Times in milliseconds. */
export interface SwapReport {
  readonly coid: number;
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  /** Processors that took part, ascending. */
  readonly participants: readonly number[];
  readonly forwarded: number;
  readonly queued: number;
  readonly milliseconds: number;
  readonly phases: {
    readonly forward: number;
    readonly block: number;
    readonly transfer: number;
    readonly complete: number;
  };
  /** Longest time a call was kept waiting, and a processor was held still. */
  readonly longestBlockMs: number;
  readonly longestStopMs: number;
  /** The same, processor by processor. */
  readonly processors: ReadonlyMap<number, ProcessorReport>;
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

/**
 * Replaces the implementation behind a COID while it is being used, with its state, on all processors at once or on
 * none. Clients neither notice nor cooperate; calls made meanwhile are forwarded to the old object or wait for the
 * new one, and none is lost, doubled or run against the wrong object.
 *
 * Any processor may call it. Do not await it inside a thread: the swap waits for older threads, that one included.
 * The new implementation must be loaded on every processor that uses the object, or come from `options.module`.
 *
 * @throws NegotiationError, SwapInProgressError, ObjectGoneError, InvalidArgumentError before anything changes;
 *   SwapDeadlineError, TransferError, SwapDestroyedError, QueueOverflowError, SwapProcessorGoneError, NotLoadedError
 *   (by name and code) after the old object has been restored. In every case it serves on, and a retry is possible.
 */
export async function swap<T extends object, A = void>(
  coid: Coid<T>,
  implementation: Implementation<T, A>,
  options: SwapOptions<A> = {},
): Promise<SwapReport> {
  const durations = checkOptions(options);
  await prepareProcessors(options.module, durations.deadlineMs);
  const oldRoot = holdRoot(coid);
  const served = interfaceServedBy(oldRoot);
  if (served.name !== implementation.interface.name) {
    throw new InvalidArgumentError(
      `Object ${coid} serves ${served.name}; ${implementation.name} implements ${implementation.interface.name}.`,
    );
  }
  const old = implementationOf(oldRoot);
  if (isMediator(oldRoot)) throw new SwapInProgressError(coid);
  const exports = exportsOf(old);
  const imports = importsOf(implementation);
  const protocol = negotiate(exports, imports);
  if (protocol === undefined) throw new NegotiationError(old.name, implementation.name, exports, imports);
  if (protocol.length > PROTOCOL_BYTES_MAX)
    throw new InvalidArgumentError(
      `A protocol's name has at most ${PROTOCOL_BYTES_MAX} characters: ${protocol}.`,
    );

  const newRoot = createRoot(implementation, served, options.argument as A);
  const argument: MediatorArgument = {
    plan: {
      coid,
      newRoot,
      initiator: currentProcessor().number,
      // An iterator is given synchronously, too.
      synchronous: Object.values(served.methods).some(({ kind }) => kind !== 'async'),
      protocol,
      ...durations,
    },
  };
  let mediatorRoot: bigint | undefined;
  try {
    mediatorRoot = createRoot(Mediator, served, argument);
    await interpose(coid, oldRoot, mediatorRoot, argument.block as SwapBlock);
  } catch (error) {
    if (mediatorRoot !== undefined) discardRoot(mediatorRoot);
    reclaimRoot(newRoot);
    throw error;
  }
  const initiation = new Initiation(rootView(mediatorRoot) as MediatorRoot, old.name, implementation.name);
  finishBeforeClose(initiation.reclaimed);
  return initiation.report;
}

/** Machines whose processors all have this module: a processor without it could not take part, nor serve a miss. */
const prepared = new WeakSet<Processor>();

async function prepareProcessors(module: URL | undefined, deadlineMs: number): Promise<void> {
  const processor = currentProcessor();
  if (!prepared.has(processor)) {
    await processor.load(import.meta.url, { deadlineMs });
    prepared.add(processor);
  }
  if (module !== undefined) await processor.load(module, { deadlineMs });
}

/** Puts the Mediator before the object: from its first miss on, a processor's calls go through it. */
function interpose(coid: number, oldRoot: bigint, mediatorRoot: bigint, block: SwapBlock): Promise<void> {
  const processor = currentProcessor();
  return withEntryLocked(coid, (entry) => {
    // Somebody else's swap came in between: its Mediator, or the object it has put here, is not what we negotiated with.
    if (entry.root !== oldRoot) throw new SwapInProgressError(coid);
    // A processor may hold a part of the object without ever having called it: a Rep that a transfer has made there.
    const concerned = new Set([...members(entry.touched), ...repProcessors(entry.root)]);
    const participants = [...concerned].filter((number) => processor.isLive(number));
    block.begin(entry.root, entry.sequence, participants);
    swingRoot(coid, entry.root, mediatorRoot);
  });
}

function isMediator(root: bigint): boolean {
  return implementationOf(root).name === Mediator.name;
}

function checkOptions<A>(
  options: SwapOptions<A>,
): Pick<SwapPlan, 'deadlineMs' | 'maxPauseMs' | 'transferDeadlineMs'> {
  const durations = {
    deadlineMs: options.deadlineMs ?? DEADLINE_MS,
    maxPauseMs: options.maxPauseMs ?? MAX_PAUSE_MS,
    transferDeadlineMs: options.transferDeadlineMs ?? TRANSFER_DEADLINE_MS,
  };
  for (const [name, value] of Object.entries(durations)) {
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 30)
      throw new InvalidArgumentError(
        `${name} must be a whole number of milliseconds, at least 1, not ${value}.`,
      );
  }
  return durations;
}

/** The initiator's ear: collects what the processors report, and then has the swap taken down. */
class Initiation implements Initiator {
  readonly report: Promise<SwapReport>;
  readonly reclaimed: Promise<void>;
  readonly #mediator: MediatorRoot;
  readonly #word: bigint;
  readonly #from: string;
  readonly #to: string;
  readonly #reports = new Map<number, ProcessorReport>();
  readonly #gone = new Set<number>();
  readonly #resolve: (report: SwapReport) => void;
  readonly #reject: (error: Error) => void;
  readonly #resolveReclaimed: () => void;
  readonly #timer: NodeJS.Timeout;
  #releasing: Set<number> | undefined;
  #loser = 0n;

  constructor(mediator: MediatorRoot, from: string, to: string) {
    this.#mediator = mediator;
    this.#word = mediator.context.rootWord;
    this.#from = from;
    this.#to = to;
    const report = Promise.withResolvers<SwapReport>();
    this.report = report.promise;
    this.#resolve = report.resolve;
    this.#reject = report.reject;
    const reclaimed = Promise.withResolvers<void>();
    this.reclaimed = reclaimed.promise;
    this.#resolveReclaimed = reclaimed.resolve;
    const { deadlineMs } = mediator.block;
    this.#timer = setTimeout(() => this.#reportWhatThereIs(), deadlineMs);
    this.#timer.unref();
    exchange().initiate(mediator, this);
  }

  finished(processor: number, message: FinishedMessage): void {
    this.#reports.set(processor, message.report);
    // The old object serves already: whoever waits need not wait for a busy processor to notice.
    if (message.abortedFor !== undefined) this.#reject(errorFromWire(message.abortedFor));
    this.#checkFinished();
  }

  processorGone(processor: number): void {
    this.#gone.add(processor);
    this.#checkFinished();
    this.released(processor);
  }

  machineClosed(): void {
    clearTimeout(this.#timer);
    this.#reject(new MachineClosedError('swapping'));
  }

  /** The deadline: once the swap is decided, whoever waits has what there is by now. */
  #reportWhatThereIs(): void {
    if (this.#mediator.block.phase() === PHASE.COMPLETE) this.#resolve(this.#makeReport());
  }

  /** When every live processor concerned has done its part, the swap is over. */
  #checkFinished(): void {
    const { block } = this.#mediator;
    if (this.#releasing !== undefined || !block.decided) return;
    for (const number of block.interested())
      if (!this.#reports.has(number) && !this.#gone.has(number)) return;
    clearTimeout(this.#timer);
    const completed = block.phase() === PHASE.COMPLETE;
    this.#loser = completed ? block.oldRoot : block.newRoot;
    if (completed) this.#resolve(this.#makeReport());
    // Without a reason by now: whoever decided it died before it could say.
    else this.#reject(new SwapProcessorGoneError(block.coid, [...this.#gone][0] ?? -1));
    this.#release();
  }

  #makeReport(): SwapReport {
    const { block } = this.#mediator;
    const reports = [...this.#reports.values()];
    const sum = (field: keyof ProcessorReport): number =>
      reports.reduce((total, report) => total + report[field], 0);
    const most = (field: keyof ProcessorReport): number =>
      reports.reduce((max, report) => Math.max(max, report[field]), 0);
    const [begun, blocked, transferring, decided] = [
      block.time('BEGUN'),
      block.time('BLOCKED'),
      block.time('TRANSFERRING'),
      block.time('DECIDED'),
    ];
    const over = performance.timeOrigin + performance.now();
    // An object nobody ever called goes from FORWARD to TRANSFER directly.
    const forwardEnd = blocked === 0 ? transferring : blocked;
    return {
      coid: block.coid,
      from: this.#from,
      to: this.#to,
      protocol: block.protocol,
      participants: block.joined(),
      forwarded: sum('forwarded'),
      queued: sum('queued'),
      milliseconds: over - begun,
      phases: {
        forward: forwardEnd - begun,
        block: transferring - forwardEnd,
        transfer: decided - transferring,
        complete: over - decided,
      },
      longestBlockMs: most('longestBlockMs'),
      longestStopMs: most('longestStopMs'),
      processors: new Map(this.#reports),
    };
  }

  #release(): void {
    const { block } = this.#mediator;
    const processor = currentProcessor();
    const concerned = [
      ...touchedProcessors(block.coid),
      ...block.interested(),
      ...block.joined(),
      processor.number,
    ];
    this.#releasing = new Set(concerned.filter((number) => processor.isLive(number)));
    for (const number of this.#releasing)
      exchange().askRelease(number, this.#word, [this.#word, this.#loser]);
  }

  released(processor: number): void {
    if (this.#releasing === undefined || !this.#releasing.delete(processor) || this.#releasing.size !== 0)
      return;
    exchange().over(this.#word);
    // In a turn of its own: what a Root does when it is reclaimed is user code, and this may be a stop point.
    setImmediate(() => {
      reclaimRoot(this.#loser);
      discardRoot(this.#word);
      this.#resolveReclaimed();
    });
  }
}
