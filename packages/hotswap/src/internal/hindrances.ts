/**
 * What a swap waits for on this processor: said from how far it has come, phase by phase.
 */
import { rcu } from '@k42/rcu';
import type { PhaseName } from '../errors.ts';
import { type Hindrance, NAMES_MAX } from '../hindrance.ts';
import type { TrackedCalls } from './tracked.ts';

/** How far a processor has come in a swap. Moments are of its own clock. */
export interface Progress {
  readonly processor: number;
  readonly isFinished: boolean;
  /** Calls in its queue. */
  readonly queued: number;
  /** Whether the threads and open calls of before are not waited for (any more). */
  readonly isElapsed: boolean;
  /** Waiting calls and iterators of before that are waited for. */
  readonly openBefore: number;
  readonly tracked: TrackedCalls;
  /** Whether it is ready for the transfer. */
  readonly isReady: boolean;
  readonly isFreezing: boolean;
  /** Stops in vain. */
  readonly stops: number;
  readonly firstStopAt: number | undefined;
  /** Whether its share of the transfer is not done. */
  readonly isMoving: boolean;
  readonly transferSeenAt: number | undefined;
}

type Said = Partial<Hindrance> & Pick<Hindrance, 'kind'>;

/** What a swap waits for in a phase on a processor that has come so far. */
export function hindranceIn(phase: PhaseName, progress: Progress): Hindrance {
  const { processor } = progress;
  return { processor, names: [], count: 1, milliseconds: undefined, ...SAID[phase](progress) };
}

const SAID: Readonly<Record<PhaseName, (progress: Progress) => Said>> = {
  forward: inForward,
  block: inBlock,
  transfer: ({ isMoving, transferSeenAt }) =>
    isMoving ? { kind: 'share', milliseconds: since(transferSeenAt) ?? 0 } : { kind: 'nothing' },
  complete: inTheEnd,
  aborted: inTheEnd,
};

function inForward({ isElapsed, openBefore, tracked }: Progress): Said {
  if (isElapsed) return { kind: 'nothing' };
  const { blockers, blocking, waitedForSince } = rcu.view();
  if (blocking === 0 && openBefore !== 0) return { kind: 'open calls', count: openBefore };
  // A call that has been forwarded is a thread as well, and one that began while an earlier grace period was waited for counts here.
  const names = blockers.length === 0 ? tracked.names() : blockers.slice(0, NAMES_MAX);
  return { kind: 'threads', names, count: blocking, milliseconds: since(waitedForSince) };
}

function inBlock({ isReady, tracked, isFreezing, stops, firstStopAt }: Progress): Said {
  if (isReady) return { kind: 'nothing' };
  if (!tracked.none)
    return {
      kind: 'calls',
      names: tracked.names(),
      count: tracked.count,
      milliseconds: tracked.longestMs,
    };
  if (isFreezing) return { kind: 'freeze' };
  return { kind: 'stop', count: stops, milliseconds: since(firstStopAt) };
}

function inTheEnd({ isFinished, queued }: Progress): Said {
  return isFinished ? { kind: 'nothing' } : { kind: 'queue', count: queued };
}

function since(moment: number | undefined): number | undefined {
  return moment === undefined ? undefined : performance.now() - moment;
}
