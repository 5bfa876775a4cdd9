/** Program of the torture scenarios: what they run on the processors of their machines. */

import { pick, randomFrom, seedOf } from '@k42/tooling/random';
import { currentProcessor, Domain, GENERATIONS, rcu } from '../../src/index.ts';
import { inTime, spin, turns, until, WAIT_MS } from '../torture/harness.ts';
import { Updater } from '../torture/pipe.ts';
import { read } from '../torture/readers.ts';
import { FORMS, waitFor } from '../torture/waits.ts';
import { ACCEPTED, domainOf, LANE, PROBLEM, reportThrown, Words } from '../torture/words.ts';

export { portableRan } from '../torture/waits.ts';

// The pipe

/** Reads with `readers` threads at a time in each domain, and updates some lanes, until all is to stop. */
export async function pipe(seed: number, readers: number, lanes: readonly number[]): Promise<void> {
  const words = Words.here();
  const stopped = (): boolean => words.stopped;
  const work: Promise<void>[] = [];
  for (let reader = 0; reader < readers; reader++) {
    for (const domain of [0, 1])
      work.push(read(words, domain, randomFrom(seedOf(seed, domain, reader)), stopped));
  }
  for (const lane of lanes)
    work.push(new Updater(words, lane, randomFrom(seedOf(seed, 2, lane))).run(stopped));
  for (const worker of work) worker.catch(reportThrown);
  await Promise.all(work);
}

/** Threads of both domains that are live here. */
export function liveThreads(): number {
  return rcu.liveThreads + domainOf(1).liveThreads;
}

// Guards. Words: HELD + processor is 1 while the holder there is live; RELEASE + processor lets it end.

export const HOLD = { HELD: 0, RELEASE: 8, STARTED: 16, SEEN: 17 } as const;

/** How a holder of a thread comes to hold no reference any more. */
export const HOLDERS = ['fulfil', 'reject', 'guard', 'quiescent', 'outside', 'spin', 'throw'] as const;
export type Holder = (typeof HOLDERS)[number];

/**
 * Holds a thread until released. While it can, it begins and ends other threads beside it, in both domains: they change
 * nothing. Settles when everybody else may be done, for a thread that goes on holds nobody up.
 */
export async function hold(lane: number, holder: Holder): Promise<void> {
  const words = Words.here();
  const { number } = currentProcessor();
  const domain = domainOf(lane);
  const held = words.free(HOLD.HELD + number);
  const released = (): boolean => Atomics.load(words.i32, words.free(HOLD.RELEASE + number)) !== 0;
  const during = async (): Promise<void> => {
    Atomics.store(words.i32, held, 1);
    while (!released()) {
      await turns(1);
      domain.spawn(() => {});
      domainOf(lane + 1).spawn(() => {});
      using _beside = domain.enter('beside');
      await null;
    }
    Atomics.store(words.i32, held, 0);
  };
  const synchronously = (): void => {
    Atomics.store(words.i32, held, 1);
    while (!released()) domain.spawn(() => spin(5));
    Atomics.store(words.i32, held, 0);
  };
  const over = (passing: () => void = () => {}): Promise<void> => {
    const seen = (): boolean => {
      passing();
      return Atomics.load(words.i32, words.free(HOLD.SEEN)) !== 0;
    };
    return until(seen, 'the waits to end', 2 * WAIT_MS);
  };
  if (holder === 'fulfil') await domain.spawn(during);
  else if (holder === 'spin') domain.spawn(synchronously);
  else if (holder === 'guard') {
    using _thread = domain.enter('slow guard');
    await during();
  } else if (holder === 'quiescent') {
    using thread = domain.enter('slow in passing');
    await during();
    // Again and again: some waits begin their grace period only now, and wait for what this thread does next.
    await over(() => thread.quiescent());
  } else if (holder === 'outside') {
    using thread = domain.enter('slow outside');
    await during();
    await thread.outside(() => over());
  } else {
    const failed = new Error('as planned');
    try {
      if (holder === 'throw') {
        domain.spawn(() => {
          synchronously();
          throw failed;
        });
      } else {
        await domain.spawn(async () => {
          await during();
          throw failed;
        });
      }
    } catch (error) {
      if (error !== failed) throw error;
    }
  }
}

/** Waits in every form at once. None may settle while anybody holds who held at the start. */
export async function waitInAllForms(lane: number, seed: number, holders: readonly number[]): Promise<void> {
  const words = Words.here();
  const updating = { domain: domainOf(lane), lane, words, random: randomFrom(seed) };
  const waits = FORMS.map(async (form, index) => {
    await waitFor(form, updating);
    for (const holder of holders)
      if (Atomics.load(words.i32, words.free(HOLD.HELD + holder)) !== 0)
        words.problem(PROBLEM.EARLY, index, holder);
  });
  // Requests go out in microtasks of this turn; portable ones when their function has been loaded.
  await turns(2);
  Atomics.add(words.i32, words.free(HOLD.STARTED), 1);
  await Promise.all(waits);
}

/** A thread that looks, turn by turn, how often the generations of its processor have been swapped since it began. */
export async function watchSwaps(lane: number, threads: number, seed: number): Promise<number> {
  const words = Words.here();
  const domain = domainOf(lane);
  const random = randomFrom(seed);
  let most = 0;
  for (let thread = 0; thread < threads; thread++) {
    await domain.spawn(async () => {
      const { swaps } = domain.view();
      for (let look = 2 + random(6); look > 0; look--) {
        await turns(1);
        const seen = domain.view().swaps - swaps;
        most = Math.max(most, seen);
        if (seen > GENERATIONS - 1) words.problem(PROBLEM.SWAPS, seen, GENERATIONS - 1);
      }
    });
    // Now and then two overlap.
    if (random(2) === 0) void domain.spawn(() => turns(random(4)));
  }
  return most;
}

/** Asks for grace periods, several at a time, until all is to stop. */
export async function keepWaiting(lane: number): Promise<number> {
  const words = Words.here();
  const domain = domainOf(lane);
  let waits = 0;
  const one = async (expedited: boolean): Promise<void> => {
    while (!words.stopped) {
      await domain.synchronize({ expedited, deadlineMs: WAIT_MS });
      waits++;
      await turns(1);
    }
  };
  await Promise.all([one(true), one(true), one(false)]);
  return waits;
}

/** Swaps of the generations of this processor. */
export function swapsOf(lane: number): number {
  return domainOf(lane).view().swaps;
}

/** Begins guards; `endGuards` ends them. */
const guards: Disposable[] = [];
export function beginGuards(lane: number, count: number): void {
  const domain = domainOf(lane);
  for (let guard = 0; guard < count; guard++) guards.push(domain.enter(`guard ${guard}`));
}

/** Ends `count` of the oldest `among` guards, the newest first, the oldest first, or as it comes. */
export function endGuards(
  order: 'newest' | 'oldest' | 'any',
  count: number,
  among: number,
  seed: number,
): void {
  const random = randomFrom(seed);
  for (let ended = 0; ended < count; ended++) {
    const left = among - ended;
    const at = order === 'newest' ? left - 1 : order === 'oldest' ? 0 : random(left);
    guards.splice(at, 1)[0]?.[Symbol.dispose]();
  }
}

// Callbacks

const FLOOD_LIMITS = { highWaterMark: 500, max: 2000 } as const;

/** Hands in callbacks as fast as back-pressure lets it; gives the most that were pending. */
export async function flood(count: number): Promise<number> {
  const words = Words.here();
  const domain = Domain.named('flood', FLOOD_LIMITS);
  let most = 0;
  let ran = 0;
  for (let handedIn = 0; handedIn < count; handedIn++) {
    const more = domain.call(() => {
      if (ran !== handedIn) words.problem(PROBLEM.ORDER, handedIn, ran, -1);
      ran = handedIn + 1;
      // Some readers, so that grace periods take their time.
      if (handedIn % 64 === 0) void domain.spawn(() => turns(2));
    });
    const { callbacksPending } = domain;
    most = Math.max(most, callbacksPending);
    if (callbacksPending > FLOOD_LIMITS.highWaterMark)
      words.problem(PROBLEM.PRESSURE, callbacksPending, FLOOD_LIMITS.highWaterMark);
    if (!more) await inTime(domain.drained(), 'callbacks to drain');
  }
  await domain.barrier({ deadlineMs: WAIT_MS });
  if (ran !== count) words.problem(PROBLEM.BARRIER, -1);
  return most;
}

/** Hands in callbacks against all advice until refused; gives the code of the refusal and what was pending then. */
export async function overflow(): Promise<{ code: string; pending: number }> {
  const domain = Domain.named('flood', FLOOD_LIMITS);
  try {
    for (;;) domain.call(() => {});
  } catch (error) {
    const { callbacksPending: pending } = domain;
    await domain.barrier({ deadlineMs: WAIT_MS });
    return { code: (error as { code: string }).code, pending };
  }
}

/** Words of the callback scenarios, by processor. */
export const CALLED = { ADMITTED: 0, RAN: 8, SETTLED: 16, ASKED: 24, QUIET: 32 } as const;

/** The portable callback of these scenarios: counts for the processor that handed it in. */
export function ranFor(processor: number): void {
  const words = Words.here();
  Atomics.add(words.i32, words.free(CALLED.RAN + processor), 1);
}

/** Hands in so many callbacks of all kinds; counts those admitted and those run. */
export async function handIn(lane: number, count: number, seed: number): Promise<void> {
  const random = randomFrom(seed);
  for (let handedIn = 0; handedIn < count; handedIn++) await handInOne(lane, random(3));
}

async function handInOne(lane: number, kind: number): Promise<void> {
  const words = Words.here();
  const { number } = currentProcessor();
  const domain = domainOf(lane);
  const ran = (): void => void Atomics.add(words.i32, words.free(CALLED.RAN + number), 1);
  if (kind === 0) domain.call(ran);
  else if (kind === 1) domain.retire({}, ran);
  else await domain.callPortable({ module: new URL(import.meta.url), name: 'ranFor' }, [number]);
  Atomics.add(words.i32, words.free(CALLED.ADMITTED + number), 1);
}

/** Waits behind a barrier for all callbacks admitted so far, on the processors named. */
export async function barrierFor(lane: number, processors: readonly number[]): Promise<void> {
  const words = Words.here();
  const load = (at: number): number => Atomics.load(words.i32, words.free(at));
  const admitted = processors.map((number) => load(CALLED.ADMITTED + number));
  await domainOf(lane).barrier({ deadlineMs: WAIT_MS });
  for (const [index, number] of processors.entries())
    if (load(CALLED.RAN + number) < (admitted[index] as number)) words.problem(PROBLEM.BARRIER, lane);
}

/**
 * Hands in callbacks and waits behind barriers until told to be quiet, or until the machine closes. Counts the barriers asked
 * for and those settled, one way or the other; they may still be under way when this ends.
 */
export async function workUntilClosed(seed: number): Promise<void> {
  const words = Words.here();
  const { number } = currentProcessor();
  const random = randomFrom(seed);
  const quiet = (): boolean => Atomics.load(words.i32, words.free(CALLED.QUIET)) !== 0;
  const settled = (): void => void Atomics.add(words.i32, words.free(CALLED.SETTLED + number), 1);
  try {
    while (!quiet()) {
      for (let burst = random(8); burst > 0 && !quiet(); burst--) await handInOne(random(2), random(3));
      if (random(3) === 0) {
        const barrier = domainOf(random(2)).barrier({ deadlineMs: WAIT_MS });
        Atomics.add(words.i32, words.free(CALLED.ASKED + number), 1);
        barrier.then(settled, (error: { code: string }) => {
          if (error.code !== 'K42_MACHINE_CLOSED') reportThrown(error);
          settled();
        });
      }
      domainOf(random(2)).spawn(() => turns(random(4)));
      await turns(random(2));
    }
  } catch (error) {
    // Closed under it: what it was doing then was refused.
    if (!['K42_MACHINE_CLOSED', 'K42_NOT_ATTACHED'].includes((error as { code: string }).code))
      reportThrown(error);
  }
}

// Members

/** A portable callback of the kill scenario: writes down that it ran, and may take its time then. */
export function ledgerRan(lane: number, life: number, id: number, microseconds: number): void {
  const words = Words.here();
  const at = words.lane(lane);
  const current = Atomics.load(words.i32, at + LANE.LIFE);
  if (current !== life) words.problem(PROBLEM.WRONG_LIFE, life, current, lane);
  Atomics.add(words.i32, at + LANE.LEDGER + id, 1);
  if (microseconds === 0 || currentProcessor().number === 0) return;
  Atomics.store(words.i32, at + LANE.IN_CALLBACK, 1);
  spin(microseconds);
  Atomics.store(words.i32, at + LANE.IN_CALLBACK, 0);
}

/** Hands in portable callbacks of the kill scenario; the first `id` is given. */
export async function handInLedger(
  lane: number,
  life: number,
  id: number,
  count: number,
  microseconds = 0,
): Promise<void> {
  const words = Words.here();
  for (let each = id; each < id + count; each++) {
    const args = [lane, life, each, microseconds];
    await domainOf(lane).callPortable({ module: new URL(import.meta.url), name: 'ledgerRan' }, args);
    Atomics.or(words.i32, words.lane(lane) + LANE.LEDGER + each, ACCEPTED);
  }
}

/** Reads for a while as a processor that comes and goes. */
export async function visit(seed: number): Promise<void> {
  const words = Words.here();
  let left = 40;
  const stopped = (): boolean => words.stopped || left-- <= 0;
  await Promise.all([0, 1].map((domain) => read(words, domain, randomFrom(seedOf(seed, domain)), stopped)));
}

/** A mix of what a processor does, cut short by its leaving: it may still hold threads and have callbacks to run. */
export async function beginVisit(seed: number): Promise<void> {
  const random = randomFrom(seed);
  visit(seed).catch(reportThrown);
  for (let callback = random(6); callback > 0; callback--)
    await handInOne(random(2), pick(random, [0, 1, 2]));
}

/** Words: a processor is blocked; it may go on. */
export const BLOCKED = 40;
export const UNBLOCK = 41;

/** Keeps this processor's event loop from running until told. */
export function block(): void {
  const words = Words.here();
  Atomics.store(words.i32, words.free(BLOCKED), 1);
  const end = performance.now() + 2 * WAIT_MS;
  while (Atomics.load(words.i32, words.free(UNBLOCK)) === 0 && performance.now() < end) spin(50);
}
