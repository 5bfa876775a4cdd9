/**
 * A processor's swaps: which are in progress here, and the messages about them.
 *
 * Every message names its swap by the Mediator's Root word, which no two swaps of a machine share, and its object by
 * COID. A message about a swap this processor does not know is dropped, unless the table still names that Mediator:
 * then the swap has just begun. The block of a swap may be freed only after every processor that may know it has
 * *released* it: forgotten its view, between turns, and let its threads of that moment end.
 */

import { currentRoot, forgetRoot, rootView } from '@k42/clustered/interpose';
import { currentProcessor, onAttach, type Processor, type WireError, whenThreadsElapsed } from '@k42/rcu';
import type { MediatorRoot, ProcessorReport } from '../mediator.ts';
import { StopPoint } from './stopPoint.ts';

const STEP = 'hotswap/step';
const FINISHED = 'hotswap/finished';
const RELEASE = 'hotswap/release';
const RELEASED = 'hotswap/released';

interface StepMessage {
  readonly swap: bigint;
  readonly coid: number;
  readonly initiator: number;
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

/** What the initiator of a swap wants to hear. */
export interface Initiator {
  finished(processor: number, message: FinishedMessage): void;
  released(processor: number): void;
  processorGone(processor: number): void;
}

const NOTHING: ProcessorReport = { forwarded: 0, queued: 0, longestBlockMs: 0, longestStopMs: 0 };

export class Exchange {
  readonly stopPoint: StopPoint;
  readonly #processor: Processor;
  readonly #mediators = new Map<bigint, MediatorRoot>();
  /** The mediator of an object on this processor that was made last and has not finished. */
  readonly #byCoid = new Map<number, MediatorRoot>();
  readonly #initiators = new Map<bigint, Initiator>();

  constructor(processor: Processor) {
    this.#processor = processor;
    this.stopPoint = new StopPoint(processor);
    processor.onSystemMessage(STEP, (_from, payload) => this.#step(payload as StepMessage));
    processor.onSystemMessage(FINISHED, (from, payload) => {
      const message = payload as FinishedMessage;
      this.#initiators.get(message.swap)?.finished(from, message);
    });
    processor.onSystemMessage(RELEASE, (from, payload) => this.#release(from, payload as ReleaseMessage));
    processor.onSystemMessage(RELEASED, (from, swap) => this.#initiators.get(swap as bigint)?.released(from));
    processor.onGone((number) => {
      for (const mediator of [...this.#mediators.values()]) mediator.processorGone(number);
      for (const initiator of [...this.#initiators.values()]) initiator.processorGone(number);
    });
  }

  /** A mediator's view has been made here; gives the one before it, if that has not finished. */
  began(mediator: MediatorRoot): MediatorRoot | undefined {
    const { coid } = mediator.block;
    const earlier = this.#byCoid.get(coid);
    this.#mediators.set(mediator.context.rootWord, mediator);
    this.#byCoid.set(coid, mediator);
    return earlier;
  }

  finished(mediator: MediatorRoot): void {
    const { coid, initiator } = mediator.block;
    if (this.#byCoid.get(coid) === mediator) this.#byCoid.delete(coid);
    this.#tellFinished(initiator, {
      swap: mediator.context.rootWord,
      report: mediator.report,
      abortedFor: mediator.abortedFor,
    });
  }

  /** A step of a mediator in a later turn of this processor. */
  stepLater(mediator: MediatorRoot): void {
    this.#postStep(this.#processor.number, mediator);
  }

  /** Tells every other processor concerned that there may be something to do. */
  announce(mediator: MediatorRoot): void {
    for (const number of mediator.block.interested()) {
      if (number !== this.#processor.number) this.#postStep(number, mediator);
    }
  }

  /** Registers the initiator of a swap and sends the first step to everybody concerned. */
  initiate(mediator: MediatorRoot, initiator: Initiator): void {
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

  #postStep(to: number, mediator: MediatorRoot): void {
    const { coid, initiator } = mediator.block;
    this.#processor.post(to, STEP, {
      swap: mediator.context.rootWord,
      coid,
      initiator,
    } satisfies StepMessage);
  }

  #step({ swap, coid, initiator }: StepMessage): void {
    const known = this.#mediators.get(swap);
    if (known !== undefined) {
      known.step();
      return;
    }
    if (currentRoot(coid) === swap) {
      (rootView(swap) as MediatorRoot).step();
      return;
    }
    // Decided before this processor heard of it: there is nothing to undo here.
    this.#tellFinished(initiator, { swap, report: NOTHING, abortedFor: undefined });
  }

  #tellFinished(initiator: number, message: FinishedMessage): void {
    this.#processor.post(initiator, FINISHED, message);
  }

  #release(from: number, { swap, roots }: ReleaseMessage): void {
    this.#mediators.delete(swap);
    whenThreadsElapsed(() => {
      // The initiator's own views are the ones that reclaim.
      if (from !== this.#processor.number) for (const root of roots) forgetRoot(root);
      this.#processor.post(from, RELEASED, swap);
    });
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
