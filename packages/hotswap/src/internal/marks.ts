/**
 * Marks: which asynchronous work descends from a forwarded call.
 *
 * While a swap blocks new calls it waits for the forwarded ones to end. Whatever those calls call in turn, on this
 * object or on any other that is being swapped, must get through, or they never end. (The paper marks the thread
 * descriptor.) Here the mark lives in the asynchronous context around the forwarded call, and ends with that call:
 * what the call leaves behind, a timer say, is not marked any more. Nested forwarded calls make a chain, and work is
 * marked while any link of it is live. Calls to other processors carry the mark along.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { isThenable, registerContextCarrier } from '@k42/rcu';

interface Mark {
  readonly outer: Mark | undefined;
  /** Whether it stands for a share of a transfer, and not for a forwarded call. */
  readonly share: boolean;
  live: boolean;
}

const marks = new AsyncLocalStorage<Mark>();

/** Whether the running work descends from a forwarded call that has not ended. */
export function isMarked(): boolean {
  for (let mark = marks.getStore(); mark !== undefined; mark = mark.outer) if (mark.live) return true;
  return false;
}

/** Whether the running work descends from a share of a transfer that has not ended. */
export function isInShare(): boolean {
  for (let mark = marks.getStore(); mark !== undefined; mark = mark.outer)
    if (mark.live && mark.share) return true;
  return false;
}

/** Runs a share of a transfer marked, until it has returned or its promise has settled. */
export function runShare(work: () => unknown): unknown {
  return runIn({ outer: marks.getStore(), share: true, live: true }, work, () => {});
}

/**
 * Runs `work` marked until it has returned or its promise has settled, and then calls `ended`. Returns what `work`
 * returns; of a promise, one that settles alike after `ended`.
 */
export function runMarked(work: () => unknown, ended: () => void): unknown {
  return runIn({ outer: marks.getStore(), share: false, live: true }, work, ended);
}

function runIn(mark: Mark, work: () => unknown, ended: () => void): unknown {
  const end = (): void => {
    mark.live = false;
    ended();
  };
  let result: unknown;
  try {
    result = marks.run(mark, work);
  } catch (error) {
    end();
    throw error;
  }
  if (!isThenable(result)) {
    end();
    return result;
  }
  return result.then(
    (value) => {
      end();
      return value;
    },
    (error: unknown) => {
      end();
      throw error;
    },
  );
}

registerContextCarrier({
  capture: () => (isInShare() ? 'share' : isMarked() ? 'call' : undefined),
  enter: <R>(captured: unknown, call: () => R): R =>
    (captured === 'share' ? runShare(call) : runMarked(call, () => {})) as R,
});
