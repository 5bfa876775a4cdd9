/**
 * The Mediator: itself a Clustered Object, interposed before the object that is being swapped.
 *
 * Its Root's state is the swap block (`internal/swapBlock.ts`). Its view on a processor, this class, is that
 * processor's part in the swap: it answers misses with an interceptor Rep, through which every call comes to `intercept`:
 *
 *     FORWARD    run on the old Rep; asynchronous calls are counted until they settle
 *     BLOCK      synchronous calls run on the old Rep; asynchronous ones queue, unless a forwarded call needs them
 *     TRANSFER   asynchronous calls queue; a synchronous one (on a processor first touched just now) waits
 *     decided    the queue is run in order on whichever object won, then the slot goes back to the table
 *
 * `step` does whatever is due on this processor, between turns. It is called when the swap begins, on every transition
 * anyone makes, and when a local condition becomes true; calling it too often is harmless.
 */
import { type AnyInterface, type Method, type Miss, Root, type RootContext } from '@k42/clustered';
import {
  type Interceptor,
  implementationOf,
  interfaceServedBy,
  redispatch,
  resetSlot,
  rootView,
  swingRoot,
} from '@k42/clustered/interpose';
import { errorToWire, rcu, type WireError, whenThreadsElapsed } from '@k42/rcu';
import {
  QueueOverflowError,
  SwapDeadlineError,
  SwapDestroyedError,
  SwapProcessorGoneError,
  TransferError,
  TransferReentryError,
} from './errors.ts';
import { type Exchange, exchange, type Participant } from './internal/exchange.ts';
import { PHASE } from './internal/layout.ts';
import { isInShare, isMarked, runMarked } from './internal/marks.ts';
import { CallQueue, QUEUE_BOUND } from './internal/queue.ts';
import { Share } from './internal/share.ts';
import type { StopPoint, Stoppable } from './internal/stopPoint.ts';
import { phaseName, SwapBlock } from './internal/swapBlock.ts';
import { TrackedCalls } from './internal/tracked.ts';
import { emptyReport, type ProcessorReport } from './report.ts';
import { asSwappable } from './swappable.ts';

/** First stop of a processor in a swap, in milliseconds; each stop in vain doubles it. */
const FIRST_PAUSE_MS = 0.2;
/** Others give up this much after the initiator should have. */
const DEADLINE_SLACK_MS = 250;
/** Cap on one sleep of a synchronous caller that waits for the outcome. */
const SLEEP_CAP_MS = 20;

type Methods = Record<string, (...args: unknown[]) => unknown>;

/** Where a call or a share runs is decided by the phase; this is the swap as one processor sees it. */
export class MediatorRoot extends Root<object> implements Interceptor, Participant, Stoppable {
  readonly block: SwapBlock;
  /** Kept here because an interceptor Rep somebody holds outlives the block. */
  readonly coid: number;
  readonly sequence: number;
  readonly report: ProcessorReport = emptyReport();
  /** Settles when this processor has done all it has to do for the decided swap. */
  readonly finished: Promise<void>;
  /** What this processor aborted the swap for, if it did. */
  abortedFor: WireError | undefined;
  readonly #exchange: Exchange;
  readonly #stopPoint: StopPoint;
  readonly #served: AnyInterface;
  readonly #rep: object;
  readonly #queue = new CallQueue();
  readonly #share: Share;
  readonly #resolveFinished: () => void;
  readonly #timer: NodeJS.Timeout;
  #oldRep: object | undefined;
  /** Forwarded calls that are not over. */
  readonly #tracked = new TrackedCalls(() => {
    if (this.block.phase() === PHASE.BLOCK) this.stepLater();
  });
  #resetDone = false;
  #interested = false;
  /** The swap of this object before this one, where this processor has not finished it yet. */
  readonly #earlier: Participant | undefined;
  #stepping = false;
  #isFinished = false;
  #transferSeenAt: number | undefined;
  #stops = 0;
  #nextStopAt = 0;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(context: RootContext) {
    super(context);
    this.block = new SwapBlock(context.memory, context.stateOffset, context.processor);
    this.coid = this.block.coid;
    this.sequence = this.block.sequence;
    this.#share = new Share(this.block, context.processor);
    this.#exchange = exchange();
    this.#stopPoint = this.#exchange.stopPoint;
    this.#served = interfaceServedBy(this.block.oldRoot);
    this.#rep = new this.#served.Interceptor(this);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#resolveFinished = resolve;
    const initiates = context.processor === this.block.initiator;
    const slackMs = initiates ? 0 : DEADLINE_SLACK_MS;
    this.#timer = setTimeout(() => this.#deadline(), this.block.deadlineMs + slackMs);
    if (!initiates) this.#timer.unref();
    this.#earlier = this.#exchange.began(this);
  }

  /** Whether this processor has done all it has to do. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  // Misses

  override handleMiss(miss: Miss): object {
    const { block } = this;
    this.#takeInterest();
    while (!block.decided) {
      if (this.#joined() || block.join()) return this.#rep;
      // Too late to take part: calls queue here. Whoever saw this processor as a participant for a moment looks again.
      this.#announce();
      if (block.phase() === PHASE.TRANSFER) return this.#rep;
    }
    if (!this.#isFinished && this.#queue.length !== 0) return this.#rep;
    this.#swing();
    return rootView(block.finalRoot).handleMiss(miss);
  }

  /** From the first miss on this processor is told of every transition, and has a step to come in any case. */
  #takeInterest(): void {
    if (this.#interested) return;
    this.#interested = true;
    this.block.interest();
    this.stepLater();
  }

  override holdDestroy(): { readonly until: Promise<void> } {
    this.#takeInterest();
    this.abort(new SwapDestroyedError(this.coid));
    return { until: this.finished };
  }

  #joined(): boolean {
    return this.block.joined().includes(this.context.processor);
  }

  // Calls

  /** A call on the interceptor Rep. */
  intercept(method: string, args: unknown[]): unknown {
    if (this.#isFinished) return redispatch(this.coid, this.sequence, method, args);
    const declared = this.#served.methods[method] as Method;
    return declared.kind === 'async'
      ? this.#callAsync(method, args, declared.completes)
      : this.#callSync(method, args, declared);
  }

  #callSync(method: string, args: unknown[], { kind }: Method): unknown {
    const { block } = this;
    for (;;) {
      const phase = block.phase();
      // Nothing calls on a processor that is ready; if something does, it is not ready any more.
      if (phase === PHASE.BLOCK && !block.inSet() && !block.withdraw()) continue;
      if (phase === PHASE.FORWARD || phase === PHASE.BLOCK) {
        // Not counted: a worker step of this processor never finds a synchronous call on the stack.
        this.report.forwarded++;
        const result = runMarked(
          () => call(this.#old(), method, args),
          () => {},
        );
        return kind === 'sync' ? result : this.#tracked.iterator(result, kind === 'async-iterator');
      }
      if (phase !== PHASE.TRANSFER) return call(this.#finalRep(), method, args);
      // It would wait for a swap that may wait for this very processor.
      if (isInShare()) throw this.#reentry();
      this.#awaitOutcome();
    }
  }

  #callAsync(method: string, args: unknown[], completes: boolean): unknown {
    const { block } = this;
    for (;;) {
      const phase = block.phase();
      if (phase === PHASE.FORWARD) return this.#forward(method, args);
      if (phase === PHASE.BLOCK && (completes || isMarked())) {
        // A tracked call needs it, or may wait for it. If this processor was ready already, it is not any more.
        if (block.inSet() || block.withdraw()) return this.#forward(method, args);
        continue;
      }
      if (phase === PHASE.TRANSFER && isInShare()) throw this.#reentry();
      return this.#enqueue(method, args);
    }
  }

  #forward(method: string, args: unknown[]): unknown {
    this.report.forwarded++;
    return this.#tracked.run(() => call(this.#old(), method, args));
  }

  #enqueue(method: string, args: unknown[]): Promise<unknown> {
    this.report.queued++;
    const result = this.#queue.append(method, args);
    if (this.#queue.length > QUEUE_BOUND) this.abort(new QueueOverflowError(this.coid, QUEUE_BOUND));
    // Decided already, and nobody may ring any more: what follows is this processor's own business.
    if (this.block.decided) this.stepLater();
    return result;
  }

  /** A synchronous caller on a processor that is no participant holds its breath until the outcome. */
  #awaitOutcome(): void {
    this.#noteTransfer();
    while (this.block.phase() === PHASE.TRANSFER) {
      this.block.sleepWhile(PHASE.TRANSFER, SLEEP_CAP_MS);
      this.#enforceTransferDeadline();
    }
  }

  #old(): object {
    this.#oldRep ??= rootView(this.block.oldRoot).handleMiss(this.#uninstalled());
    return this.#oldRep;
  }

  #finalRep(): object {
    this.#swing();
    return rootView(this.block.finalRoot).handleMiss(this.#uninstalled());
  }

  #uninstalled(): Miss {
    return { coid: this.coid, processor: this.context.processor, install: false };
  }

  #reentry(): TransferReentryError {
    return new TransferReentryError(this.coid);
  }

  // Steps

  /** Does whatever is due on this processor. Between turns only. */
  step(): void {
    if (this.#stepping || this.#isFinished) return;
    this.#stepping = true;
    try {
      this.#stepOnce();
    } finally {
      this.#stepping = false;
    }
  }

  #stepOnce(): void {
    const { block } = this;
    if (!block.decided) this.#reset();
    if (block.phase() === PHASE.FORWARD && block.tryBlock()) this.#announce();
    if (block.phase() === PHASE.BLOCK) this.#stepBlock();
    if (block.phase() < PHASE.TRANSFER) return;
    // Shares and queued calls are user code: at the stop point of another swap they have to wait.
    if (this.#stopPoint.active) {
      this.stepLater();
      return;
    }
    if (block.phase() === PHASE.TRANSFER) this.transfer();
    if (block.decided) this.#finish();
  }

  /** The first step of a participant: later calls miss to the Mediator, earlier ones are waited for. */
  #reset(): void {
    if (this.#resetDone || !this.#joined()) return;
    if (!this.#earlierFinished()) return;
    this.#resetDone = true;
    const { block } = this;
    try {
      // Anything that is missing on this processor shows now, while nothing has been blocked yet.
      implementationOf(block.newRoot);
    } catch (error) {
      this.abort(error);
      return;
    }
    const open = resetSlot(this.coid, this.sequence);
    whenThreadsElapsed(() => {
      const elapsed = (): void => {
        block.elapsed();
        this.step();
      };
      // Waiting calls and iterators of before are on the old Rep as well, and are no threads.
      if (open === undefined) elapsed();
      else open.whenNone(elapsed);
    });
  }

  /**
   * Whether the swap of this object before this one is over on this processor; if not, this one steps again when it is.
   * That one is decided, or this one could not have begun; its queue goes first.
   */
  #earlierFinished(): boolean {
    const earlier = this.#earlier;
    if (earlier === undefined || earlier.isFinished) return true;
    earlier.step();
    if (earlier.isFinished) return true;
    void earlier.finished.then(() => this.stepLater());
    return false;
  }

  #stepBlock(): void {
    if (!this.canBeReady()) return;
    if (!this.block.synchronous) {
      // Its calls are all asynchronous: whoever comes now is queued, so this processor is ready from here on.
      this.becomeReady();
      return;
    }
    const early = this.#nextStopAt - performance.now();
    if (early > 0 && !this.#stopPoint.active) {
      this.#retryTimer ??= setTimeout(() => {
        this.#retryTimer = undefined;
        this.step();
      }, early);
      return;
    }
    this.#stopPoint.enter(this);
  }

  canBeReady(): boolean {
    return this.block.phase() === PHASE.BLOCK && this.#tracked.none && this.#joined() && this.block.inSet();
  }

  becomeReady(): void {
    this.block.ready();
    // Transition or mere arrival: the others may have something to do now, or find company at a stop.
    this.#announce();
  }

  withdraw(): boolean {
    return this.block.withdraw();
  }

  get pauseMs(): number {
    return Math.min(this.block.maxPauseMs, FIRST_PAUSE_MS * 2 ** this.#stops);
  }

  stopped(milliseconds: number, inVain: boolean): void {
    this.report.longestStopMs = Math.max(this.report.longestStopMs, milliseconds);
    if (!inVain) return;
    this.#stops++;
    this.#nextStopAt = performance.now() + milliseconds / 2;
  }

  transferring(): boolean {
    return this.block.phase() === PHASE.TRANSFER;
  }

  decided(): boolean {
    return this.block.decided;
  }

  stepLater(): void {
    // A stopped processor serves steps as they come; one that asks for another would keep it from sleeping.
    if (this.#stopPoint.active) this.#stopPoint.afterwards(this);
    else this.#exchange.stepLater(this);
  }

  #announce(): void {
    this.#exchange.announce(this);
  }

  // Transfer

  /** This processor's shares, the attempt to commit, the deadline. */
  transfer(): void {
    const { block } = this;
    this.#noteTransfer();
    if (!this.#share.begun && this.#takesPart()) this.#beginShare();
    if (block.tryCommit()) this.#committed();
    else this.#enforceTransferDeadline();
  }

  /** Participants do their shares; the initiator steps in where there is no participant at all. */
  #takesPart(): boolean {
    return (
      this.#joined() || (this.block.initiator === this.context.processor && this.block.joined().length === 0)
    );
  }

  #noteTransfer(): void {
    if (this.#transferSeenAt !== undefined) return;
    this.#transferSeenAt = performance.now();
    const timer = setTimeout(() => this.#enforceTransferDeadline(), this.block.transferDeadlineMs + 1);
    timer.unref();
    void this.finished.then(() => clearTimeout(timer));
  }

  #enforceTransferDeadline(): void {
    const { block } = this;
    if (block.phase() !== PHASE.TRANSFER || this.#transferSeenAt === undefined) return;
    if (performance.now() - this.#transferSeenAt <= block.transferDeadlineMs) return;
    const missing = block.sharesMissing();
    this.abort(
      new SwapDeadlineError(this.coid, 'transfer', missing, `the shares of processors ${missing.join(', ')}`),
    );
  }

  #beginShare(): void {
    const { block } = this;
    this.#share.begin(
      () => {
        block.shareDone();
        // The others may be waiting for exactly this share to commit; and so may this processor, in a later turn.
        this.#announce();
        this.stepLater();
      },
      (error) => {
        const message = error instanceof Error ? error.message : String(error);
        this.abort(new TransferError(message, this.context.processor, { cause: error }));
      },
    );
  }

  #committed(): void {
    asSwappable(rootView(this.block.newRoot)).adopt?.();
    asSwappable(rootView(this.block.oldRoot)).relinquish?.();
    this.#swing();
    this.#announce();
  }

  // The end

  /** Aborts the swap, unless it is decided; the first reason given counts. */
  abort(reason: unknown): void {
    if (!this.block.tryAbort()) return;
    this.abortedFor = errorToWire(reason);
    this.#swing();
    this.#announce();
    this.stepLater();
  }

  /** Another processor died. */
  processorGone(number: number): void {
    if (this.#isFinished || this.block.decided) return;
    if (!this.block.bury(number)) this.abort(new SwapProcessorGoneError(this.coid, number));
    this.stepLater();
  }

  #deadline(): void {
    const { block } = this;
    const phase = phaseName(block.phase());
    if (phase === 'complete' || phase === 'aborted') return;
    const late =
      phase === 'forward' ? block.notElapsed() : phase === 'block' ? block.waiting() : block.sharesMissing();
    const names = rcu.namedThreads().map((thread) => thread.name);
    const here =
      rcu.liveThreads === 0
        ? ''
        : `; ${rcu.liveThreads} threads live on processor ${this.context.processor}${names.length === 0 ? '' : ` (${names.join(', ')})`}`;
    const what =
      phase === 'forward'
        ? 'threads older than the swap'
        : phase === 'block'
          ? 'calls to end and processors to stop'
          : 'shares';
    this.abort(
      new SwapDeadlineError(this.coid, phase, late, `${what} on processors ${late.join(', ')}${here}`),
    );
  }

  /** From this swap's Mediator to the Root the phase implies; whoever comes first does it. */
  #swing(): void {
    swingRoot(this.coid, this.context.rootWord, this.block.finalRoot);
  }

  /** Runs what has queued, in order, and gives the slot back to the table. In a turn of its own. */
  #finish(): void {
    if (!this.#earlierFinished()) return;
    this.#swing();
    // Calls made while the queue runs are appended to it: order is kept, and nothing is left when the loop ends.
    this.report.longestBlockMs = this.#queue.run((method, args) => call(this.#finalRep(), method, args));
    resetSlot(this.coid, this.sequence);
    this.#end();
    this.#exchange.finished(this);
  }

  /** The processor has left the machine: nothing of this can happen any more. */
  processorLeft(): void {
    this.#end();
  }

  #end(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#retryTimer);
    this.#isFinished = true;
    this.#resolveFinished();
  }
}

function call(rep: object, method: string, args: unknown[]): unknown {
  return ((rep as Methods)[method] as (...args: unknown[]) => unknown).apply(rep, args);
}
