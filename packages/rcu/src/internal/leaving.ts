/**
 * Leaving a machine in order: no more calls, deferred work done, threads ended, what is kept for others handed over, then gone.
 *
 * Handing over and going happen in one turn, in which only a listener of the departure could begin anything. If one does,
 * that is seen to its end first and everything is handed over again: what was handed over before may be out of date.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AlreadyLeavingError } from '../errors.ts';
import { localDomains } from './domain.ts';
import type { Processor } from './processor.ts';

const leaving = new WeakSet<Processor>();

/** Settles when the processor has left. It stays one as long as any of its threads lives: grace periods wait for them. */
export async function leave(processor: Processor): Promise<void> {
  if (leaving.has(processor)) throw new AlreadyLeavingError(processor.number);
  leaving.add(processor);
  processor.beginLeaving();
  let wasBusy: boolean;
  do {
    // Threads may hand in more to do, and what is to be done may begin threads: what the last of them has left is finished
    // in a round of its own.
    wasBusy = isBusy();
    await processor.finish();
    await Promise.all(
      localDomains().map(({ threads }) => new Promise<void>((ended) => threads.whenElapsed(ended))),
    );
    // A call that has just ended is answered in this turn.
    await nextTurn();
    // Closed meanwhile, by the machine: that is no departure.
  } while (!processor.closed && (wasBusy || !handedOver(processor)));
  processor.close();
}

/** Whether nothing is left to do, and what is kept for others has been handed over, and nothing is left to do even then. */
function handedOver(processor: Processor): boolean {
  if (isBusy()) return false;
  processor.handOver();
  return !isBusy();
}

/** Whether a thread is live or a callback pending, in any domain. */
function isBusy(): boolean {
  return localDomains().some(
    ({ threads, partIfAny }) => threads.live !== 0 || (partIfAny?.callbacks.hasWork ?? false),
  );
}
