/**
 * How the locks wait: a short spin, then bounded sleeps on a word, synchronous or not.
 *
 * A waiter alternates between looking at the lock (which either takes it or says for how long to sleep, and on which
 * value of the word) and sleeping. `LockWait` is the state of one such wait. Every sleep has a cap, and three things
 * rest on it: a notification that went to a thread that was killed before it could act on it, or to one whose event loop
 * is busy, delays the others by the cap at most; a dead holder, who notifies nobody, is found out when a sleep has run
 * into its cap; and an asynchronous sleep keeps its thread running by its timer, since a pending `waitAsync` does not.
 */
import { InvalidArgumentError } from '../errors.ts';

/** Tries before sleeping, some 10 µs. A critical section is a few hundred nanoseconds; a futex sleep costs some 5 µs. */
export const SPINS = 200;
/** Unless told otherwise a lock that is not had in this time is taken for lost. */
export const LOCK_DEADLINE_MS = 10_000;
/** The first sleep is short, as it is mostly the one that finds a death. */
const FIRST_SLEEP_CAP_MS = 5;
const SLEEP_CAP_MS = 50;

export const pause: () => void =
  'pause' in Atomics ? (Atomics as { pause: () => void }).pause.bind(Atomics) : () => {};

/** How a sleep ended. `aborted` is for asynchronous ones. */
export type Wake = 'ok' | 'not-equal' | 'timed-out' | 'aborted';

/** How to wait for a lock without blocking the event loop. */
export interface AsyncLockOptions {
  /** Milliseconds to wait before LockDeadlineError; default 10 000. */
  readonly deadlineMs?: number;
  /** Aborting it rejects with its reason, unless the lock has been taken before. */
  readonly signal?: AbortSignal;
}

/** @throws InvalidArgumentError */
export function assertDeadline(deadlineMs: number): void {
  if (!(deadlineMs >= 0)) {
    throw new InvalidArgumentError(`A deadline is a number of milliseconds, 0 or more, not ${deadlineMs}.`);
  }
}

/** One wait for a lock. */
export class LockWait {
  /** What the word held when it was last looked at; the value to sleep on. */
  expected = 0;
  readonly #giveUpAt: number;
  #capMs = FIRST_SLEEP_CAP_MS;
  #sleptOut = false;

  constructor(deadlineMs: number) {
    this.#giveUpAt = performance.now() + deadlineMs;
  }

  /** Milliseconds until the deadline; 0 or less if it has passed. */
  remainingMs(): number {
    return this.#giveUpAt - performance.now();
  }

  /**
   * Whether to ask now if the holder is alive, which is not cheap: after a sleep that nobody ended, and before giving up,
   * so that a death is never reported as a deadline. True once per sleep.
   */
  shouldSuspect(remainingMs: number): boolean {
    const should = this.#sleptOut || remainingMs <= 0;
    this.#sleptOut = false;
    return should;
  }

  /** The length of the next sleep; more than 0 if `remainingMs` is. */
  sleepMs(remainingMs: number): number {
    return Math.min(remainingMs, this.#capMs);
  }

  woke(wake: Wake): void {
    this.#sleptOut = wake === 'timed-out';
    this.#capMs = SLEEP_CAP_MS;
  }
}

/**
 * Sleeps on a word without blocking the event loop, for at most `ms`.
 *
 * *Stale waiters.* When the timer or the signal ends the sleep, the `waitAsync` may be pending still, ahead of others in
 * the queue of the word, and `notify(…, 1)` takes whoever is first: it would be spent on a sleeper who has gone, while the
 * one it was meant for sleeps until its cap. Therefore a waiter that learns of a notification after its sleep has ended
 * passes it on. Each passing removes one waiter from the queue, so it comes to an end; at worst a sleeper is woken that
 * finds nothing to take. If this thread is killed first, or its event loop is busy, the caps of the others serve.
 */
export function sleepAsync(
  words: Int32Array,
  index: number,
  expected: number,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<Wake> {
  // Pairs with the notify of whoever changes the word: either the word has changed by now (`not-equal`), or we are in
  // the queue before it notifies. Its own limit takes a stale waiter out of the queue.
  const wait = Atomics.waitAsync(words, index, expected, ms);
  if (!wait.async) return Promise.resolve(wait.value);
  return new Promise((resolve) => {
    let ended = false;
    const end = (wake: Wake): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      resolve(wake);
    };
    const abort = (): void => end('aborted');
    // Referenced, as it is all that keeps the thread running during the sleep.
    const timer = setTimeout(end, ms, 'timed-out');
    signal?.addEventListener('abort', abort);
    void wait.value.then((wake) => {
      // Pairs with the notify that ended a sleep nobody sleeps any more. Without it that notification is lost.
      if (ended && wake === 'ok') Atomics.notify(words, index, 1);
      else end(wake);
    });
  });
}
