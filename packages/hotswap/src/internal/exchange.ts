/**
 * A processor's swaps: which are in progress here, and the messages about them.
 *
 * Every message names its swap by the Mediator's Root word, which no two swaps of a machine share, and its object by
 * COID. A message about a swap this processor does not know is dropped, unless the table still names that Mediator:
 * then the swap has just begun. The block of a swap may be freed only after every processor that may know it has
 * *released* it: forgotten its view, between turns, and let its threads of that moment end.
 */

import type { RootContext } from '@k42/clustered';
import { currentRoot, forgetRoot, rootView, whenRootsUnused } from '@k42/clustered/interpose';
import { currentProcessor, MachineClosedError, onAttach, type Processor, type WireError } from '@k42/rcu';
import { emptyReport, type ProcessorReport } from '../report.ts';
import { StopPoint } from './stopPoint.ts';
import type { SwapBlock } from './swapBlock.ts';

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

/** A processor's part in a swap: its view of the Mediator. */
export interface Participant {
  readonly block: SwapBlock;
  readonly context: RootContext;
  readonly report: ProcessorReport;
  readonly abortedFor: WireError | undefined;
  readonly isFinished: boolean;
  readonly finished: Promise<void>;
  /** Does whatever is due on this processor, between turns. */
  step(): void;
  /** Gives the swap up, unless it is decided. */
  abort(reason: unknown): void;
  processorGone(number: number): void;
  processorLeft(): void;
}

/** What the initiator of a swap wants to hear. */
export interface Initiator {
  finished(processor: number, message: FinishedMessage): void;
  released(processor: number): void;
  processorGone(processor: number): void;
  machineClosed(): void;
}

export class Exchange {
  readonly stopPoint: StopPoint;
  readonly #processor: Processor;
  readonly #mediators = new Map<bigint, Participant>();
  /** The mediator of an object on this processor that was made last and has not finished. */
  readonly #byCoid = new Map<number, Participant>();
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
    // Who leaves gives up its swaps first; then those are reclaimed, then the objects (closers run last first).
    processor.onClose(async () => {
      for (const mediator of [...this.#mediators.values()])
        mediator.abort(new MachineClosedError('swapping'));
    });
    processor.onClosed(() => {
      for (const mediator of this.#mediators.values()) mediator.processorLeft();
      for (const initiator of this.#initiators.values()) initiator.machineClosed();
    });
    processor.onGone((number) => {
      for (const mediator of [...this.#mediators.values()]) mediator.processorGone(number);
      for (const initiator of [...this.#initiators.values()]) initiator.processorGone(number);
    });
  }

  /** A mediator's view has been made here; gives the one before it, if that has not finished. */
  began(mediator: Participant): Participant | undefined {
    const { coid } = mediator.block;
    const earlier = this.#byCoid.get(coid);
    this.#mediators.set(mediator.context.rootWord, mediator);
    this.#byCoid.set(coid, mediator);
    return earlier;
  }

  finished(mediator: Participant): void {
    const { coid, initiator } = mediator.block;
    if (this.#byCoid.get(coid) === mediator) this.#byCoid.delete(coid);
    this.#tellFinished(initiator, {
      swap: mediator.context.rootWord,
      report: mediator.report,
      abortedFor: mediator.abortedFor,
    });
  }

  /** A step of a mediator in a later turn of this processor. */
  stepLater(mediator: Participant): void {
    this.#postStep(this.#processor.number, mediator);
  }

  /** Tells every other processor concerned that there may be something to do. */
  announce(mediator: Participant): void {
    for (const number of mediator.block.interested()) {
      if (number !== this.#processor.number) this.#postStep(number, mediator);
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
      stepOrAbort(known);
      return;
    }
    if (currentRoot(coid) === swap) {
      // Its Root is the Mediator's: nobody has released this swap while the table names it. Making the view makes it known.
      rootView(swap);
      stepOrAbort(this.#mediators.get(swap) as Participant);
      return;
    }
    // Decided before this processor heard of it: there is nothing to undo here.
    this.#tellFinished(initiator, { swap, report: emptyReport(), abortedFor: undefined });
  }

  #tellFinished(initiator: number, message: FinishedMessage): void {
    this.#processor.post(initiator, FINISHED, message);
  }

  #release(from: number, { swap, roots }: ReleaseMessage): void {
    const participant = this.#mediators.get(swap);
    const letGo = (): void => {
      this.#mediators.delete(swap);
      // Threads of this moment may be in a call through the Mediator; a share that nobody waited for keeps its Roots.
      whenRootsUnused(roots, () => {
        // The initiator's own views are the ones that reclaim.
        if (from !== this.#processor.number) for (const root of roots) forgetRoot(root);
        this.#processor.post(from, RELEASED, swap);
      });
    };
    if (participant === undefined) {
      letGo();
      return;
    }
    // One that came late may have its last step still before it; at a stop point that has to wait.
    participant.step();
    if (participant.isFinished) letGo();
    else void participant.finished.then(letGo);
  }
}

/** A step that throws must not take the processor down with it, nor the swap for ever. */
function stepOrAbort(participant: Participant): void {
  try {
    participant.step();
  } catch (error) {
    participant.abort(error);
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
