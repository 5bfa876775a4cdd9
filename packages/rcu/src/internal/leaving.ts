/**
 * Leaving a machine in order: no more calls, deferred work done, threads ended, then gone.
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
  // Threads may hand in more to do, and what is to be done may begin threads.
  do {
    await processor.finish();
    await Promise.all(
      localDomains().map(({ threads }) => new Promise<void>((ended) => threads.whenElapsed(ended))),
    );
    // A call that has just ended is answered in this turn.
    await nextTurn();
  } while (
    !processor.closed &&
    localDomains().some((domain) => domain.threads.live !== 0 || hasCallbacks(domain))
  );
  processor.close();
}

function hasCallbacks(domain: ReturnType<typeof localDomains>[number]): boolean {
  return (domain.partIfAny?.callbacks.pending ?? 0) !== 0;
}
