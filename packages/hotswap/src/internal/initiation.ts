/**
 * Seeing a swap through: on the processor that began it, or on the host if that one is gone.
 *
 * It collects what the processors report, enforces the deadline, and says how the swap ended. Then, in the background, it has
 * the swap released everywhere and reclaims the Mediator and whichever object lost.
 */
import { discardRoot, finishBeforeClose, reclaimRoot, touchedProcessors } from '@k42/clustered/interpose';
import { currentProcessor, currentProcessorIfAny, MachineClosedError } from '@k42/rcu';
import {
  type PhaseName,
  reviveSwapError,
  SwapAbortedError,
  SwapDeadlineError,
  SwapProcessorGoneError,
} from '../errors.ts';
import type { Hindrance } from '../hindrance.ts';
import type { MediatorRoot } from '../mediator.ts';
import { type ProcessorReport, SwapReport } from '../report.ts';
import { channels } from './channels.ts';
import { exchange, type FinishedMessage, type Initiator } from './exchange.ts';
import { PHASE } from './layout.ts';
import { now, phaseName } from './swapBlock.ts';

/** How long a processor that waits for nothing may take to report an abort it has decided. */
const REASON_MS = 1000;

/** Names of the old and the new implementation. */
export interface Names {
  readonly from: string;
  readonly to: string;
}

/** Of a swap that has been adopted the objects may be gone, and their names with them. */
const UNKNOWN: Names = { from: '(unknown)', to: '(unknown)' };

export class Initiation implements Initiator {
  readonly report: Promise<SwapReport>;
  readonly #reclaimed = Promise.withResolvers<void>();
  readonly #outcome = Promise.withResolvers<SwapReport>();
  readonly #mediator: MediatorRoot;
  readonly #word: bigint;
  readonly #names: Names | undefined;
  readonly #reports = new Map<number, ProcessorReport>();
  readonly #gone = new Set<number>();
  readonly #timer: NodeJS.Timeout;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#aborted();
  #isSettled = false;
  #isExplaining = false;
  #releasing: Set<number> | undefined;
  #loser = 0n;

  /** @param names of the implementations; none for a swap that has been adopted, of which nobody awaits a report */
  constructor(mediator: MediatorRoot, names: Names | undefined, signal?: AbortSignal) {
    const { block } = mediator;
    this.#mediator = mediator;
    this.#word = mediator.context.rootWord;
    this.#names = names;
    this.report = this.#outcome.promise;
    // Of a swap that has been adopted: those who died before.
    for (const number of block.interested()) if (!exchange().members.has(number)) this.#gone.add(number);
    this.#timer = setTimeout(() => this.#deadline(), block.deadlineMs);
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    finishBeforeClose(this.#reclaimed.promise);
    this.#publish({ event: 'begin' });
    exchange().initiate(mediator, this);
    if (signal?.aborted === true) this.#aborted();
  }

  // What the processors say

  finished(processor: number, message: FinishedMessage): void {
    this.#reports.set(processor, message.report);
    // The old object serves already: whoever waits need not wait for a busy processor to notice.
    if (message.abortedFor !== undefined) {
      const { abortReason } = this.#mediator;
      const isOwn = processor === this.#mediator.context.processor && abortReason instanceof Error;
      this.#fail(isOwn ? abortReason : reviveSwapError(message.abortedFor));
    }
    this.#checkFinished();
  }

  processorGone(processor: number): void {
    this.#gone.add(processor);
    this.#checkFinished();
    this.released(processor);
  }

  machineClosed(): void {
    this.#stopWaiting();
    this.#fail(new MachineClosedError('swapping'));
  }

  // Giving up

  /** The deadline: the old object serves on; or, if the swap is decided, whoever waits has what there is by now. */
  #deadline(): void {
    const { block } = this.#mediator;
    const phase = phaseName(block.phase());
    const late = this.#mediator.late();
    if (this.#giveUp()) {
      void this.#explain(phase, late);
      return;
    }
    if (block.phase() === PHASE.COMPLETE) this.#succeed();
    // Somebody else has aborted it and must have said so; unless it is gone, or does not get to it.
    else setTimeout(() => this.#fail(this.#unexplained(late)), REASON_MS).unref();
  }

  #aborted(): void {
    const { block } = this.#mediator;
    const phase = phaseName(block.phase());
    if (this.#giveUp()) this.#fail(new SwapAbortedError(block.coid, phase, this.#signal?.reason));
  }

  /** False if the swap is decided. */
  #giveUp(): boolean {
    if (!this.#mediator.block.tryAbort()) return false;
    this.#isExplaining = true;
    this.#mediator.abortHasBegun();
    return true;
  }

  /** Asks those that were late what for. The old object serves meanwhile. */
  async #explain(phase: PhaseName, late: readonly number[]): Promise<void> {
    const { coid } = this.#mediator;
    const hindrances = await Promise.all(
      late.map(async (number): Promise<Hindrance> => {
        const views = await exchange().ask(number, this.#word, phase);
        if (views === undefined)
          return { processor: number, kind: 'silent', names: [], count: 1, milliseconds: undefined };
        const answered: Hindrance | undefined = views[0]?.hindrance;
        return (
          answered ?? { processor: number, kind: 'nothing', names: [], count: 0, milliseconds: undefined }
        );
      }),
    );
    this.#fail(new SwapDeadlineError(coid, phase, hindrances));
  }

  /** Whoever decided it has not said why: it is gone, or was told to by a deadline and is busy. */
  #unexplained(late: readonly number[] = []): Error {
    const { coid } = this.#mediator;
    const [gone] = this.#gone;
    if (gone !== undefined) return new SwapProcessorGoneError(coid, 'aborted', gone, 'deciding the swap');
    const hindrances = late.map(
      (processor): Hindrance => ({ processor, kind: 'silent', names: [], count: 1, milliseconds: undefined }),
    );
    return new SwapDeadlineError(coid, 'aborted', hindrances);
  }

  // The outcome

  #succeed(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    const report = this.#makeReport();
    this.#publish({ event: 'end', report });
    this.#outcome.resolve(report);
  }

  #fail(error: Error): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#publish({ event: 'end', error });
    this.#outcome.reject(error);
  }

  #publish(what: { event: 'begin' | 'end'; report?: SwapReport; error?: Error }): void {
    if (!channels.swap.hasSubscribers) return;
    const { coid, protocol, initiator } = this.#mediator.block;
    channels.swap.publish({ coid, ...(this.#names ?? UNKNOWN), protocol, initiator, ...what });
  }

  #stopWaiting(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  /** When every live processor concerned has done its part, the swap is over. */
  #checkFinished(): void {
    const { block } = this.#mediator;
    if (this.#releasing !== undefined || !block.decided) return;
    for (const number of block.interested())
      if (!this.#reports.has(number) && !this.#gone.has(number)) return;
    const completed = block.phase() === PHASE.COMPLETE;
    this.#stopWaiting();
    this.#loser = completed ? block.oldRoot : block.newRoot;
    if (completed) this.#succeed();
    // Without a reason by now: whoever decided it died before it could say.
    else if (!this.#isExplaining) this.#fail(this.#unexplained());
    this.#release();
  }

  #makeReport(): SwapReport {
    const { block } = this.#mediator;
    const [begun, blocked, transferring, decided] = [
      block.time('BEGUN'),
      block.time('BLOCKED'),
      block.time('TRANSFERRING'),
      block.time('DECIDED'),
    ];
    const over = now();
    // An object nobody ever called goes from FORWARD to TRANSFER directly.
    const forwardEnd = blocked === 0 ? transferring : blocked;
    return new SwapReport(
      {
        coid: block.coid,
        ...(this.#names ?? UNKNOWN),
        protocol: block.protocol,
        initiator: block.initiator,
        participants: block.joined(),
        beganAt: begun,
        milliseconds: over - begun,
        phases: {
          forward: forwardEnd - begun,
          block: transferring - forwardEnd,
          transfer: decided - transferring,
          complete: over - decided,
        },
      },
      this.#reports,
    );
  }

  // Reclamation

  #release(): void {
    const { block } = this.#mediator;
    const processor = currentProcessor();
    const concerned = [
      ...touchedProcessors(block.coid),
      ...block.interested(),
      ...block.joined(),
      processor.number,
    ];
    const { members } = exchange();
    this.#releasing = new Set(concerned.filter((number) => members.has(number)));
    for (const number of this.#releasing)
      exchange().askRelease(number, this.#word, [this.#word, this.#loser]);
  }

  released(processor: number): void {
    if (this.#releasing === undefined || !this.#releasing.delete(processor) || this.#releasing.size !== 0)
      return;
    exchange().over(this.#word);
    // In a turn of its own: what a Root does when it is reclaimed is user code, and this may be a stop point.
    setImmediate(() => {
      if (currentProcessorIfAny() === undefined) return;
      // Of one that was adopted there is nothing to take out. What is not freed if this processor dies now, is lost.
      exchange().journal.remove(this.#word);
      // The block first: the other runs code of users, who may not come back.
      const loser = this.#loser;
      discardRoot(this.#word);
      reclaimRoot(loser);
      this.#reclaimed.resolve();
    });
  }
}
