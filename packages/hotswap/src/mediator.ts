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
import {
  type AnyInterface,
  type Method,
  type Miss,
  ObjectGoneError,
  Root,
  type RootContext,
} from '@k42/clustered';
import {
  holdRoot,
  type Interceptor,
  implementationOf,
  interfaceServedBy,
  type OpenCalls,
  redispatch,
  resetSlot,
  rootView,
  rootViewIfAny,
  swingRoot,
} from '@k42/clustered/interpose';
import { errorToWire, runGuarded, type WireError, whenThreadsElapsed } from '@k42/rcu';
import {
  FreezeError,
  type PhaseName,
  QueueOverflowError,
  SwapDeadlineError,
  SwapDestroyedError,
  SwapModuleError,
  SwapProcessorGoneError,
  TransferReentryError,
} from './errors.ts';
import type { Hindrance } from './hindrance.ts';
import { channels } from './internal/channels.ts';
import { type Exchange, exchange, type Participant } from './internal/exchange.ts';
import { Freezing } from './internal/freezing.ts';
import { hindranceIn } from './internal/hindrances.ts';
import { PHASE } from './internal/layout.ts';
import { isInShare, isMarked, runMarked } from './internal/marks.ts';
import { CallQueue } from './internal/queue.ts';
import { Share } from './internal/share.ts';
import type { StopPoint, Stoppable } from './internal/stopPoint.ts';
import { phaseName, SwapBlock } from './internal/swapBlock.ts';
import { Timeline } from './internal/timeline.ts';
import { TrackedCalls } from './internal/tracked.ts';
import type { ProcessorReport } from './report.ts';
import { asSwappable } from './swappable.ts';

/** First stop of a processor in a swap, in milliseconds; each stop in vain doubles it. */
const FIRST_PAUSE_MS = 0.2;
/** Others give up this much after the initiator should have. */
const DEADLINE_SLACK_MS = 250;
/** Cap on one sleep of a synchronous caller that waits for the outcome. */
const SLEEP_CAP_MS = 20;
/** One that waits for others' shares looks this often whether they are alive: held still, it is not told of deaths. */
const LOOK_MS = 5;

type Methods = Record<string, (...args: unknown[]) => unknown>;

/** Where a call or a share runs is decided by the phase; this is the swap as one processor sees it. */
export class MediatorRoot extends Root<object> implements Interceptor, Participant, Stoppable {
  readonly block: SwapBlock;
  /** Kept here because an interceptor Rep somebody holds outlives the block. */
  readonly coid: number;
  readonly sequence: number;
  /** Settles when this processor has done all it has to do for the decided swap. */
  readonly finished: Promise<void>;
  /** What this processor aborted the swap for, if it did. */
  abortedFor: WireError | undefined;
  /** The same, as it was thrown. */
  abortReason: unknown;
  /** The phase this processor saw in its last step. */
  sawPhase: PhaseName = 'forward';
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
    // A waiting call is no thread, and may end when this swap is long over and its block another's.
    if (!this.#isFinished && this.block.phase() === PHASE.BLOCK) this.stepLater();
  });
  readonly #timeline = new Timeline();
  readonly #freezing: Freezing;
  /** Waiting calls and iterators from before the swap, while they are waited for. */
  #openBefore: OpenCalls | undefined;
  #whenNoneOpen: (() => void) | undefined;
  #resetDone = false;
  #hasElapsed = false;
  #hasSeen = false;
  #interested = false;
  /** The swap of this object before this one, where this processor has not finished it yet. */
  readonly #earlier: Participant | undefined;
  #stepping = false;
  #stepAgain = false;
  #announcements = 0;
  #isFinished = false;
  #transferSeenAt: number | undefined;
  #nextLookAt = 0;
  #stops = 0;
  #firstStopAt: number | undefined;

  constructor(context: RootContext) {
    super(context);
    this.block = new SwapBlock(context.memory, context.stateOffset, context.processor);
    this.coid = this.block.coid;
    this.sequence = this.block.sequence;
    this.#share = new Share(this.block, context.processor, this);
    this.#freezing = new Freezing(this.block.oldRoot);
    this.#exchange = exchange();
    this.#stopPoint = this.#exchange.stopPoint;
    // Its own record says so: of an old swap both objects may be gone.
    this.#served = interfaceServedBy(context.rootWord);
    this.#rep = new this.#served.Interceptor(this);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#resolveFinished = resolve;
    // The initiator has a deadline of its own; this is for the case that it cannot see to it.
    this.#timer = setTimeout(() => this.#deadline(), this.block.deadlineMs + DEADLINE_SLACK_MS);
    this.#timer.unref();
    this.#earlier = this.#exchange.began(this);
  }

  /** Whether this processor has done all it has to do. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  // Misses (model: MISS)

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
    this.abort(new SwapDestroyedError(this.coid, this.#phase()));
    return { until: this.finished };
  }

  /** This processor leaves: what it has of the object is to be handed over by the Root that it belongs to. */
  override standDown(): void {
    this.abort(new SwapProcessorGoneError(this.coid, this.#phase(), this.context.processor, 'taking part'));
    this.#swing();
  }

  /** Settles when this processor has done with the swap; has it told of the swap's end in any case. */
  whenFinished(): Promise<void> {
    this.#takeInterest();
    return this.finished;
  }

  #phase(): PhaseName {
    return phaseName(this.block.phase());
  }

  #joined(): boolean {
    return this.block.isJoined(this.context.processor);
  }

  // Calls

  /** A call on the interceptor Rep. Model: INTERCEPT. */
  intercept(method: string, args: unknown[]): unknown {
    if (this.#isFinished) return redispatch(this.coid, this.sequence, method, args);
    const declared = this.#served.methods[method] as Method;
    return declared.kind === 'async'
      ? this.#callAsync(method, args, declared)
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
        this.#timeline.forwarded++;
        const result = runMarked(
          () => call(this.#old(), method, args),
          () => {},
        );
        return kind === 'sync' ? result : this.#tracked.iterator(method, result, kind === 'async-iterator');
      }
      if (phase !== PHASE.TRANSFER) return call(this.#finalRep(), method, args);
      // It would wait for a swap that may wait for this very processor.
      if (isInShare()) throw this.#reentry();
      this.#awaitOutcome();
    }
  }

  #callAsync(method: string, args: unknown[], declared: Method): unknown {
    const { block } = this;
    for (;;) {
      const phase = block.phase();
      if (phase === PHASE.FORWARD) return this.#forward(method, args, declared);
      if (phase === PHASE.BLOCK && (declared.completes || isMarked())) {
        // A tracked call needs it, or may wait for it. If this processor was ready already, it is not any more.
        if (block.inSet() || block.withdraw()) return this.#forward(method, args, declared);
        continue;
      }
      if (phase === PHASE.TRANSFER && isInShare()) return Promise.reject(this.#reentry());
      return this.#enqueue(method, args);
    }
  }

  #forward(method: string, args: unknown[], { waits }: Method): unknown {
    this.#timeline.forwarded++;
    const run = (): unknown => call(this.#old(), method, args);
    if (waits !== 'transferable') return this.#tracked.run(method, run);
    // Not waited for: what lets it go on is moved with the state. This processor may be ready again at once.
    if (this.block.phase() === PHASE.BLOCK) this.stepLater();
    return runMarked(run, () => {});
  }

  #enqueue(method: string, args: unknown[]): Promise<unknown> {
    const { queueBound } = this.block;
    this.#timeline.queued++;
    const result = this.#queue.append(method, args);
    if (this.#queue.length > queueBound)
      this.abort(new QueueOverflowError(this.coid, this.context.processor, queueBound));
    // Decided already, and nobody may ring any more: what follows is this processor's own business.
    if (this.block.decided) this.stepLater();
    return result;
  }

  /** A synchronous caller on a processor that is no participant holds its breath until the outcome. */
  #awaitOutcome(): void {
    this.#noteTransfer();
    while (this.block.phase() === PHASE.TRANSFER) {
      this.block.sleepWhile(PHASE.TRANSFER, SLEEP_CAP_MS);
      this.#lookAfterOthers();
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
    return new TransferReentryError(this.coid, this.context.processor);
  }

  // Steps

  /** Does whatever is due on this processor. Between turns only. Model: STEP. */
  step(): void {
    if (this.#isFinished) return;
    if (this.#stepping) {
      // It stands at a stop point and serves messages: what this one was about may not have been seen.
      this.#stepAgain = true;
      return;
    }
    this.#stepping = true;
    try {
      this.#stepOnce();
    } finally {
      this.#stepping = false;
      if (this.#stepAgain) {
        this.#stepAgain = false;
        this.stepLater();
      }
    }
  }

  #stepOnce(): void {
    const { block } = this;
    this.#seePhase();
    if (!block.decided) this.#reset();
    const opened = block.phase() === PHASE.FORWARD && block.tryBlock();
    const announced = this.#announcements;
    this.#seePhase();
    if (block.phase() === PHASE.BLOCK) this.#stepBlock();
    // Becoming ready tells the others as well, and of both at once.
    if (opened && this.#announcements === announced) this.#announce();
    this.#seePhase();
    if (block.phase() < PHASE.TRANSFER) return;
    // Shares and queued calls are user code: at the stop point of another swap they have to wait.
    if (this.#stopPoint.active) {
      this.stepLater();
      return;
    }
    if (block.phase() === PHASE.TRANSFER) this.transfer();
    if (block.decided) this.#finish();
  }

  /** The first step of a participant: later calls miss to the Mediator, earlier ones are waited for. Model: RESET. */
  #reset(): void {
    if (this.#resetDone || !this.#joined()) return;
    if (!this.#earlierFinished()) return;
    this.#resetDone = true;
    const { block } = this;
    try {
      // Anything that is missing on this processor shows now, while nothing has been blocked yet.
      implementationOf(block.newRoot);
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      const where = { coid: this.coid, phase: 'forward', processor: this.context.processor } as const;
      this.abort(new SwapModuleError(where, message, { cause }));
      return;
    }
    if (block.isElapsed(this.context.processor)) {
      // It joined by a miss, and its slot leads here already. To reset it would let a later call miss to the winner, before those
      // that are queued here.
      this.#hasElapsed = true;
      return;
    }
    const open = resetSlot(this.coid, this.sequence);
    this.#openBefore = open;
    whenThreadsElapsed(() => {
      // Waiting calls and iterators of before are on the old Rep as well, and are no threads.
      if (open === undefined || open.count === 0) {
        this.#elapsed();
        this.#exchange.step(this);
      } else {
        // The last one may end in the midst of a turn, with synchronous calls on the stack: no time for a step.
        this.#whenNoneOpen = () => {
          this.#elapsed();
          this.stepLater();
        };
        // It may take hours: of a swap that is over nothing is kept until then.
        open.whenNone(() => this.#whenNoneOpen?.());
      }
    });
  }

  /** Nothing of before the swap is left on this processor. Open calls may end long after the swap has, and its block been freed. */
  #elapsed(): void {
    this.#hasElapsed = true;
    this.#openBefore = undefined;
    if (!this.#isFinished && !this.block.decided) this.block.elapsed();
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
    if (!this.#freezing.isFrozen) {
      // User code: not at the stop point of another swap.
      if (this.#stopPoint.active && this.#freezing.runsUserCode) {
        this.stepLater();
        return;
      }
      this.#freezing.begin(
        () => this.stepLater(),
        (error) => this.abort(new FreezeError(this.coid, this.context.processor, error)),
      );
      // Calls may have come of it, an abort as well.
      if (!this.#freezing.isFrozen || !this.canBeReady()) return;
    }
    // Where its calls are all asynchronous, whoever comes now is queued: this processor is ready from here on.
    if (this.block.synchronous) this.#stopPoint.enter(this);
    else this.becomeReady();
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
    this.#timeline.stopped(milliseconds);
    this.#firstStopAt ??= performance.now() - milliseconds;
    if (inVain) this.#stops++;
  }

  transferring(): boolean {
    return this.block.phase() === PHASE.TRANSFER;
  }

  decided(): boolean {
    return this.block.decided;
  }

  stepLater(): void {
    if (this.#isFinished) return;
    // A stopped processor serves steps as they come; one that asks for another would keep it from sleeping.
    if (this.#stopPoint.active) this.#stopPoint.afterwards(this);
    else this.#exchange.stepLater(this);
  }

  #announce(): void {
    this.#announcements++;
    this.#exchange.announce(this);
  }

  // Transfer

  /** This processor's shares, the attempt to commit, the deadline. */
  transfer(): void {
    const { block } = this;
    this.#noteTransfer();
    this.#seePhase();
    const wasDone = this.#share.isDone;
    if (this.#takesPart()) this.#share.advance();
    if (block.tryCommit()) this.#committed();
    else {
      // Somebody else's share is the last one, and may be done by the time this is heard.
      if (!wasDone && this.#share.isDone) this.#announce();
      this.#lookAfterOthers();
    }
  }

  /** While others' shares are waited for: whether they are late, or dead. */
  #lookAfterOthers(): void {
    this.#enforceTransferDeadline();
    const now = performance.now();
    if (this.block.phase() !== PHASE.TRANSFER || now < this.#nextLookAt) return;
    this.#nextLookAt = now + LOOK_MS;
    for (const number of this.block.sharesMissing())
      if (number !== this.context.processor && !this.#exchange.isRunning(number)) this.processorGone(number);
  }

  /** Participants do their shares; the initiator steps in where there is no participant at all. */
  #takesPart(): boolean {
    if (this.#joined()) return true;
    if (this.block.initiator !== this.context.processor || this.block.joined().length !== 0) return false;
    this.block.stepIn();
    return true;
  }

  /** This processor's share has come a step further: others may wait for just that, and so may we, in a later turn. */
  advanced(): void {
    this.#announce();
    this.stepLater();
  }

  /** This processor's share has failed. */
  failed(error: unknown): void {
    this.abort(error);
  }

  #noteTransfer(): void {
    if (this.#transferSeenAt !== undefined) return;
    this.#transferSeenAt = performance.now();
    this.#nextLookAt = this.#transferSeenAt + LOOK_MS;
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
      new SwapDeadlineError(
        this.coid,
        'transfer',
        missing.map((processor) => ({
          processor,
          kind: 'share',
          names: [],
          count: 1,
          milliseconds: block.transferDeadlineMs,
        })),
      ),
    );
  }

  #committed(): void {
    this.#seePhase();
    this.#handOver();
    this.#swing();
    this.#announce();
  }

  /**
   * Passes ownership on, once: whoever decided the swap, or whoever finishes first, or who finds that the one that began it is
   * gone. Reclamation waits for it.
   */
  #handOver(predecessor?: number): void {
    const { block } = this;
    if (!block.claimHandOver(predecessor)) return;
    // They must not fail; should they, it is the process's.
    runGuarded(() => asSwappable(rootView(block.newRoot)).adopt?.());
    runGuarded(() => asSwappable(rootView(block.oldRoot)).relinquish?.());
    block.handedOver();
    // The others finish only now.
    this.#announce();
    this.stepLater();
  }

  // The end

  /** Aborts the swap, unless it is decided; the first reason given counts. */
  abort(reason: unknown): void {
    if (this.block.decided) return;
    // Looking at it may run code of users: before the decision, which has to be made known at once.
    const wire = errorToWire(reason);
    if (!this.block.tryAbort()) return;
    this.abortReason = reason;
    this.abortedFor = wire;
    this.abortHasBegun();
  }

  /** The swap has been aborted, by this processor: the table and the others are to know. */
  abortHasBegun(): void {
    this.#swing();
    this.#announce();
    this.stepLater();
  }

  /** Another processor has died, or left. */
  processorGone(number: number): void {
    const { block } = this;
    if (block.decided) {
      if (block.phase() === PHASE.COMPLETE) this.takeOverHandOver();
      // It may have died between deciding and saying so.
      this.stepLater();
      return;
    }
    if (this.#isFinished) return;
    if (number === block.initiator)
      this.abort(new SwapProcessorGoneError(this.coid, this.#phase(), number, 'seeing to its swap'));
    else if (!block.bury(number)) this.abort(new SwapProcessorGoneError(this.coid, this.#phase(), number));
    this.stepLater();
  }

  /** If whoever passes ownership on is gone, does it in its place: in a turn of its own, for it runs user code. */
  takeOverHandOver(): void {
    const predecessor = this.block.handOverBy;
    if (predecessor === undefined || this.#exchange.members.has(predecessor)) return;
    setImmediate(() => {
      if (this.#isFinished) return;
      this.#handOver(predecessor);
    });
  }

  /** The initiator should have given up by now. */
  #deadline(): void {
    if (this.block.decided) {
      this.stepLater();
      return;
    }
    const phase = this.#phase();
    this.abort(new SwapDeadlineError(this.coid, phase, [this.hindrance(phase)]));
  }

  /** Processors that have not done what this phase asks of them. */
  late(): number[] {
    switch (this.#phase()) {
      case 'forward':
        return this.block.notElapsed();
      case 'block':
        return this.block.waiting();
      default:
        return this.block.sharesMissing();
    }
  }

  /** What the swap waits for here; in a phase that is over, what it has been waiting for. */
  hindrance(phase: PhaseName = this.#phase()): Hindrance {
    return hindranceIn(phase, {
      processor: this.context.processor,
      isFinished: this.#isFinished,
      queued: this.#queue.length,
      // Before its first step nothing here is waited for.
      isElapsed: this.#hasElapsed || !this.#resetDone,
      openBefore: this.#openBefore?.count ?? 0,
      tracked: this.#tracked,
      isReady: this.block.phase() === PHASE.BLOCK && !this.block.inSet(),
      isFreezing: this.#freezing.isUnderWay,
      stops: this.#stops,
      firstStopAt: this.#firstStopAt,
      isMoving: this.#share.endedAt === undefined && this.#joined(),
      transferSeenAt: this.#transferSeenAt,
    });
  }

  /** From this swap's Mediator to the Root the phase implies; whoever comes first does it. Model: SWING. */
  #swing(): void {
    swingRoot(this.coid, this.context.rootWord, this.block.finalRoot);
  }

  /** Runs what has queued, in order, and gives the slot back to the table. In a turn of its own. Model: DRAIN. */
  #finish(): void {
    if (!this.#earlierFinished()) return;
    this.#seePhase();
    const completed = this.block.phase() === PHASE.COMPLETE;
    try {
      if (completed) this.#handOver();
      else this.#freezing.undo();
      this.#swing();
      // Calls made while the queue runs are appended to it: order is kept, and nothing is left when the loop ends.
      const blockedMs = this.#queue.run((method, args) => call(this.#finalRep(), method, args));
      this.#timeline.longestBlockMs = Math.max(this.#timeline.longestBlockMs, blockedMs);
      if (completed) this.#keepSlot();
    } finally {
      // Whatever has gone wrong: nobody may wait for this processor.
      resetSlot(this.coid, this.sequence);
      // The next swap of the object must not begin to move what has not been adopted. Whoever hands it over says when.
      if (!completed || this.block.isHandedOver) {
        this.#end();
        this.#exchange.finished(this);
      }
    }
  }

  /** A Rep that the transfer has made here is to be found by departures and destructions: they go by slots. */
  #keepSlot(): void {
    if (rootViewIfAny(this.block.newRoot)?.repIfAny() === undefined) return;
    try {
      holdRoot(this.coid);
    } catch (error) {
      if (!(error instanceof ObjectGoneError)) throw error;
    }
  }

  #seePhase(): void {
    const phase = this.#phase();
    if (phase === this.sawPhase && this.#hasSeen) return;
    this.sawPhase = phase;
    this.#hasSeen = true;
    if (channels.phase.hasSubscribers)
      channels.phase.publish({ processor: this.context.processor, coid: this.coid, phase });
  }

  /** What this processor saw, when it has finished. */
  get report(): ProcessorReport {
    return this.#timeline.report(this.block, this.#share, this.#share.parts);
  }

  /** Calls that have waited here so far. */
  get queued(): number {
    return this.#timeline.queued;
  }

  /** The processor has left the machine: nothing of this can happen any more. */
  processorLeft(): void {
    this.#end();
  }

  #end(): void {
    this.#seePhase();
    clearTimeout(this.#timer);
    this.#whenNoneOpen = undefined;
    this.#isFinished = true;
    this.#resolveFinished();
  }
}

function call(rep: object, method: string, args: unknown[]): unknown {
  return ((rep as Methods)[method] as (...args: unknown[]) => unknown).apply(rep, args);
}
