/**
 * A processor's swaps: which are in progress here, and the messages about them.
 *
 * Every message names its swap by the Mediator's Root word, which no two swaps of a machine share, and its object by
 * COID. A message about a swap this processor does not know is dropped, unless the table still names that Mediator:
 * then the swap has just begun. The block of a swap may be freed only after every processor that may know it has
 * *released* it: forgotten its view, between turns, and let its threads of that moment end.
 */

import type { RootContext } from '@k42/clustered';
import {
  currentRoot,
  discardRoot,
  forgetRoot,
  reclaimRoot,
  rootView,
  whenRootsUnused,
} from '@k42/clustered/interpose';
import { currentProcessor, onAttach, type Processor, runGuarded, type WireError } from '@k42/rcu';
import { type PhaseName, SwapError, SwapProcessorGoneError, SwapStepError } from '../errors.ts';
import type { Hindrance } from '../hindrance.ts';
import type { ProcessorReport } from '../report.ts';
import { Journal } from './journal.ts';
import { Members } from './members.ts';
import { StopPoint } from './stopPoint.ts';
import { phaseName, type SwapBlock } from './swapBlock.ts';
import { emptyReport } from './timeline.ts';

const STEP = 'hotswap/step';
const FINISHED = 'hotswap/finished';
const RELEASE = 'hotswap/release';
const RELEASED = 'hotswap/released';
const ASK = 'hotswap/ask';
const ANSWER = 'hotswap/answer';

/** Whoever sees to the swaps of the dead: it outlives everybody. */
const HOST = 0;
/** How long a processor may take to say what it is doing. */
const ANSWER_MS = 100;

interface StepMessage {
  readonly swap: bigint;
  readonly coid: number;
  /** Who hears what becomes of it. */
  readonly coordinator: number;
}

/** What a processor tells the initiator when it has done its part. */
export interface FinishedMessage {
  readonly swap: bigint;
  readonly report: ProcessorReport;
  readonly abortedFor: WireError | undefined;
}

interface ReleaseMessage {
  readonly swap: bigint;
  readonly roots: readonly bigint[];
}

/** A processor's part in a swap: its view of the Mediator. */
export interface Participant {
  readonly block: SwapBlock;
  readonly context: RootContext;
  readonly report: ProcessorReport;
  readonly abortedFor: WireError | undefined;
  readonly isFinished: boolean;
  readonly coid: number;
  /** The phase it saw in its last step. */
  readonly sawPhase: PhaseName;
  readonly finished: Promise<void>;
  /** What the swap waits for here. */
  hindrance(phase?: PhaseName): Hindrance;
  /** As `finished`, and asks to be told of the end. */
  whenFinished(): Promise<void>;
  /** Does whatever is due on this processor, between turns. */
  step(): void;
  /** Gives the swap up, unless it is decided. */
  abort(reason: unknown): void;
  processorGone(number: number): void;
  takeOverHandOver(): void;
  processorLeft(): void;
}

/** What the initiator of a swap wants to hear. */
export interface Initiator {
  finished(processor: number, message: FinishedMessage): void;
  released(processor: number): void;
  processorGone(processor: number): void;
  machineClosed(): void;
}

/** What a processor says of a swap it knows. */
export interface SwapView {
  readonly swap: bigint;
  readonly coid: number;
  readonly initiator: number;
  readonly phase: PhaseName;
  readonly beganAt: number;
  readonly hindrance: Hindrance;
}

interface Question {
  readonly id: number;
  /** One swap, or all that are known. */
  readonly swap: bigint | undefined;
  /** What it waits for in which phase, if not in the present one. */
  readonly phase: PhaseName | undefined;
}

interface Answer {
  readonly id: number;
  readonly views: readonly SwapView[];
}

interface PendingQuestion {
  readonly processor: number;
  readonly resolve: (views: readonly SwapView[] | undefined) => void;
}

export class Exchange {
  /** Takes the place of the initiator of a swap that is gone. Set by whoever knows how to. */
  adopt: (mediator: Participant) => void = () => {};
  readonly stopPoint: StopPoint;
  readonly journal: Journal;
  readonly members: Members;
  readonly #processor: Processor;
  readonly #mediators = new Map<bigint, Participant>();
  /** The mediator of an object on this processor that was made last and has not finished. */
  readonly #byCoid = new Map<number, Participant>();
  readonly #initiators = new Map<bigint, Initiator>();
  readonly #questions = new Map<number, PendingQuestion>();
  #lastQuestion = 0;

  constructor(processor: Processor) {
    this.#processor = processor;
    this.stopPoint = new StopPoint(processor);
    this.journal = new Journal(processor);
    this.members = new Members(processor);
    processor.onSystemMessage(STEP, (_from, payload) => this.#step(payload as StepMessage));
    processor.onSystemMessage(FINISHED, (from, payload) => {
      const message = payload as FinishedMessage;
      this.#initiators.get(message.swap)?.finished(from, message);
    });
    processor.onSystemMessage(RELEASE, (from, payload) => this.#release(from, payload as ReleaseMessage));
    processor.onSystemMessage(RELEASED, (from, swap) => this.#initiators.get(swap as bigint)?.released(from));
    // Who leaves gives up its swaps first; then those are reclaimed, then the objects (closers run last first).
    processor.onClose(async () => {
      for (const mediator of [...this.#mediators.values()]) {
        const { coid } = mediator.block;
        mediator.abort(
          new SwapProcessorGoneError(
            coid,
            phaseName(mediator.block.phase()),
            processor.number,
            'leaving the machine',
          ),
        );
      }
    });
    processor.onClosed(() => {
      for (const mediator of this.#mediators.values()) mediator.processorLeft();
      for (const initiator of this.#initiators.values()) initiator.machineClosed();
      for (const id of [...this.#questions.keys()]) this.#answered(id, undefined);
    });
    processor.onGone((number) => {
      this.members.leave(number);
      for (const mediator of [...this.#mediators.values()]) runGuarded(() => mediator.processorGone(number));
      if (processor.number === HOST)
        for (const block of this.journal.takeOver(number)) runGuarded(() => this.#adopt(block));
      for (const initiator of [...this.#initiators.values()])
        runGuarded(() => initiator.processorGone(number));
      for (const [id, { processor }] of [...this.#questions])
        if (processor === number) this.#answered(id, undefined);
    });
    processor.onSystemMessage(ASK, (from, payload) => {
      const { id, swap, phase } = payload as Question;
      this.#processor.post(from, ANSWER, { id, views: this.#views(swap, phase) } satisfies Answer);
    });
    processor.onSystemMessage(ANSWER, (_from, payload) => {
      const { id, views } = payload as Answer;
      this.#answered(id, views);
    });
    // Every handler is there.
    this.members.join();
  }

  // The dead

  /** On the host: the one that began a swap is gone. Nobody has freed the block, for it alone would have. */
  #adopt(block: SwapBlock): void {
    if (!block.hasBegun) {
      // It was being prepared, and nobody has seen it.
      const { newRoot, mediator } = block;
      discardRoot(mediator);
      reclaimRoot(newRoot);
      return;
    }
    const mediator = this.#known(block.mediator);
    void mediator.whenFinished();
    this.adopt(mediator);
    // What has happened to the dead while the host knew nothing of it.
    mediator.processorGone(block.initiator);
    mediator.takeOverHandOver();
  }

  /** The mediator of a swap whose block is there, made if there is none. Making the view makes it known. */
  #known(swap: bigint): Participant {
    if (!this.#mediators.has(swap)) rootView(swap);
    return this.#mediators.get(swap) as Participant;
  }

  #isOrphan({ block }: Participant): boolean {
    return !this.#processor.isPresent(block.initiator, block.initiatorIncarnation);
  }

  /** Who hears what becomes of a swap. */
  #coordinatorOf(mediator: Participant): number {
    return this.#isOrphan(mediator) ? HOST : mediator.block.initiator;
  }

  // Questions

  /** What a processor says of one swap, or all it knows; undefined if it does not answer. */
  async ask(number: number, swap?: bigint, phase?: PhaseName): Promise<readonly SwapView[] | undefined> {
    if (number === this.#processor.number) return this.#views(swap, phase);
    const id = ++this.#lastQuestion;
    const { promise, resolve } = Promise.withResolvers<readonly SwapView[] | undefined>();
    this.#questions.set(id, { processor: number, resolve });
    this.#processor.post(number, ASK, { id, swap, phase } satisfies Question);
    const timer = setTimeout(() => this.#answered(id, undefined), ANSWER_MS);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  #answered(id: number, views: readonly SwapView[] | undefined): void {
    this.#questions.get(id)?.resolve(views);
    this.#questions.delete(id);
  }

  #views(swap: bigint | undefined, phase: PhaseName | undefined): SwapView[] {
    const asked = [...this.#mediators.values()].filter(
      ({ context, isFinished }) => (swap === undefined && !isFinished) || context.rootWord === swap,
    );
    return asked.map((mediator) => {
      const { context, block } = mediator;
      return {
        swap: context.rootWord,
        coid: block.coid,
        initiator: block.initiator,
        phase: phaseName(block.phase()),
        beganAt: block.time('BEGUN'),
        hindrance: mediator.hindrance(phase),
      };
    });
  }

  // Steps

  /** A mediator's view has been made here; gives the one before it, if that has not finished. */
  began(mediator: Participant): Participant | undefined {
    const { coid } = mediator.block;
    const earlier = this.#byCoid.get(coid);
    this.#mediators.set(mediator.context.rootWord, mediator);
    this.#byCoid.set(coid, mediator);
    return earlier;
  }

  finished(mediator: Participant): void {
    const { coid } = mediator.block;
    if (this.#byCoid.get(coid) === mediator) this.#byCoid.delete(coid);
    this.#tellFinishedOf(mediator);
  }

  #tellFinishedOf(mediator: Participant): void {
    this.#tellFinished(this.#coordinatorOf(mediator), {
      swap: mediator.context.rootWord,
      report: mediator.report,
      abortedFor: mediator.abortedFor,
    });
  }

  /** The mediator of a swap, if this processor knows it. */
  participant(swap: bigint): Participant | undefined {
    return this.#mediators.get(swap);
  }

  /** Whether a processor's thread still runs: where nobody's event loop may have been told of its death. */
  isRunning(number: number): boolean {
    return this.#processor.isRunning(number);
  }

  /** A step of a mediator now, between turns. One that throws must not take the processor down with it, nor the swap for ever. */
  step(mediator: Participant): void {
    try {
      mediator.step();
    } catch (cause) {
      const { coid, sawPhase } = mediator;
      mediator.abort(
        cause instanceof SwapError
          ? cause
          : new SwapStepError({ coid, phase: sawPhase, processor: this.#processor.number }, cause),
      );
    }
  }

  /** A step of a mediator in a later turn of this processor. */
  stepLater(mediator: Participant): void {
    this.#postStep(this.#processor.number, mediator);
  }

  /** Tells every other processor concerned that there may be something to do. */
  announce(mediator: Participant): void {
    for (const number of mediator.block.interested()) {
      if (number !== this.#processor.number && this.members.has(number)) this.#postStep(number, mediator);
    }
  }

  /** Registers the initiator of a swap and sends the first step to everybody concerned. */
  initiate(mediator: Participant, initiator: Initiator): void {
    this.#initiators.set(mediator.context.rootWord, initiator);
    this.announce(mediator);
    this.stepLater(mediator);
  }

  /** Asks a processor to let go of a decided swap and of the Roots that nothing uses any more. */
  askRelease(processor: number, swap: bigint, roots: readonly bigint[]): void {
    this.#processor.post(processor, RELEASE, { swap, roots } satisfies ReleaseMessage);
  }

  /** The swap's initiator has nothing left to hear. */
  over(swap: bigint): void {
    this.#initiators.delete(swap);
  }

  #postStep(to: number, mediator: Participant): void {
    this.#processor.post(to, STEP, {
      swap: mediator.context.rootWord,
      coid: mediator.block.coid,
      coordinator: this.#coordinatorOf(mediator),
    } satisfies StepMessage);
  }

  #step({ swap, coid, coordinator }: StepMessage): void {
    const known = this.#mediators.get(swap);
    if (known?.isFinished === true) {
      // The one it has told is gone.
      if (coordinator !== known.block.initiator) this.#tellFinishedOf(known);
      return;
    }
    // Where the table names the Mediator nobody has released this swap: its block is there.
    if (known !== undefined || currentRoot(coid) === swap) {
      this.step(this.#known(swap));
      return;
    }
    // Decided before this processor heard of it: there is nothing to undo here.
    this.#tellFinished(coordinator, { swap, report: emptyReport(), abortedFor: undefined });
  }

  #tellFinished(initiator: number, message: FinishedMessage): void {
    this.#processor.post(initiator, FINISHED, message);
  }

  /** Model: RELEASE. */
  #release(from: number, { swap, roots }: ReleaseMessage): void {
    const participant = this.#mediators.get(swap);
    const letGo = (): void => {
      // Threads of this moment may be in a call through the Mediator; a share that nobody waited for keeps its Roots.
      whenRootsUnused(roots, () => {
        // In a turn of its own: cleaning up is the implementation's, and this may be a stop point.
        setImmediate(() => {
          if (this.#processor.closed) return;
          this.#mediators.delete(swap);
          // The initiator's own views are the ones that reclaim.
          if (from !== this.#processor.number) for (const root of roots) forgetRoot(root);
          this.#processor.post(from, RELEASED, swap);
        });
      });
    };
    if (participant === undefined) {
      letGo();
      return;
    }
    // One that came late may have its last step still before it; at a stop point that has to wait.
    this.step(participant);
    if (participant.isFinished) letGo();
    else void participant.finished.then(letGo);
  }
}

let current: Exchange | undefined;
onAttach((processor) => {
  current = new Exchange(processor);
});

/** The swaps of the current processor. @throws NotAttachedError */
export function exchange(): Exchange {
  currentProcessor();
  return current as Exchange;
}
