/**
 * Threads, generations and grace periods: read-copy-update by thread generations.
 *
 * A reader runs as a *thread* (`spawn`) and may use whatever it finds until it ends. A writer unlinks something, then
 * waits for a *grace period* (`synchronize`, `afterGracePeriod`): after it no thread can still hold what was unlinked.
 * Readers take no lock and write nothing shared; see `internal/threads.ts` for how two generation swaps prove it.
 */
import { DeadlineError, GracePeriodDeadlockError, InvalidArgumentError } from './errors.ts';
import { gracePeriods } from './internal/gracePeriods.ts';
import { type Generation, type LiveThread, threads } from './internal/threads.ts';

export { GENERATIONS, type Generation, isThenable, type LiveThread } from './internal/threads.ts';

export interface SynchronizeOptions {
  /** Milliseconds to wait at most. Default 30 000. */
  readonly deadlineMs?: number;
}

const SYNCHRONIZE_DEADLINE_MS = 30_000;

/**
 * Runs `work` now, as a thread of this processor: it lasts until `work` returns or, if that is a promise, until the
 * promise settles. Returns what `work` returns (an equivalent promise for a promise) and throws what it throws.
 *
 * A thread must outlive the calls it makes: what it starts and does not await is outside it.
 * Cost: tens of nanoseconds when synchronous. Needs no machine: threads of a lone JavaScript thread count too.
 */
export function spawn<R>(work: () => R): R {
  return threads.run(work, work.name === '' ? '(anonymous thread)' : work.name);
}

/** A function each of whose calls is a thread: for callbacks and request handlers. */
export function asThread<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => R {
  return (...args) => threads.run(() => work(...args), work.name === '' ? '(anonymous thread)' : work.name);
}

/** Counts a thread in by hand; pair it with exactly one `endThread`. For layers that count calls; prefer `spawn`. */
export function beginThread(): Generation {
  return threads.begin();
}

/** Counts a thread out of the generation that `beginThread` returned. */
export function endThread(generation: Generation): void {
  threads.end(generation);
}

/**
 * Calls back, between turns, when all threads that are live now on *this* processor have ended, wherever the
 * others are. Never before the current turn is over. Cost: one task of the event loop when there are none.
 */
export function whenThreadsElapsed(callback: () => void): void {
  threads.whenElapsed(callback);
}

/**
 * Runs `callback` on this processor once every thread that is live now on any processor has ended (RCU's `call_rcu`).
 * Callbacks of one turn share a grace period and run in the order they were handed in. One that throws becomes an
 * uncaught exception and keeps no other from running. `Machine.close` waits for callbacks still pending.
 * @throws NotAttachedError, InvalidArgumentError
 */
export function afterGracePeriod(callback: () => void): void {
  if (typeof callback !== 'function') throw new InvalidArgumentError('afterGracePeriod needs a function.');
  gracePeriods().call(callback);
}

/**
 * Settles once every thread that is live now on any processor has ended. It does not wait for threads that begin
 * later. Costs one message round trip to each processor that is not idle, none to the others.
 * @throws GracePeriodDeadlockError inside a synchronous thread; DeadlineError naming the processors waited for, which
 *   is also what an asynchronous thread gets that awaits its own end; NotAttachedError.
 */
export async function synchronize(options: SynchronizeOptions = {}): Promise<void> {
  if (threads.insideThread) throw new GracePeriodDeadlockError();
  const deadlineMs = options.deadlineMs ?? SYNCHRONIZE_DEADLINE_MS;
  if (!(deadlineMs > 0)) throw new InvalidArgumentError(`deadlineMs must be positive, not ${deadlineMs}.`);
  const periods = gracePeriods();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    const names = threads.named().map((thread) => thread.name);
    const here = names.length === 0 ? '' : ` (threads here: ${names.join(', ')})`;
    reject(
      new DeadlineError(
        `a grace period, for processors ${periods.waitingFor().join(', ')}${here}`,
        deadlineMs,
      ),
    );
  }, deadlineMs);
  periods.call(resolve);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Threads live now on this processor, asynchronous calls through handles included. */
export function liveThreads(): number {
  return threads.live;
}

/** The spawned threads of this processor that have become asynchronous and not ended, oldest first. */
export function namedThreads(): LiveThread[] {
  return threads.named();
}
