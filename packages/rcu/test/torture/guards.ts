/**
 * Threads that last: slow readers (Folly), pinned ones (crossbeam), guards in the thousands.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { pick, randomFrom, seedOf } from '@k42/tooling/random';
import type { Machine } from '../../src/index.ts';
import { HOLD, HOLDERS } from '../programs/torture.ts';
import { type Counts, check, inTime, onMachine, type Run, turns, until, WAIT_MS } from './harness.ts';
import { FORMS } from './waits.ts';
import { domainOf, Words } from './words.ts';

/**
 * Folly's slow reader: two threads on two processors are held, in every way a thread can be; everybody waits, in every form at
 * once; the threads end one after the other. No wait settles before the second end, all do after it.
 */
export function slowReaders(run: Run): Promise<Counts> {
  return onMachine({ processors: 3 }, (machine) => runSlowReaders(machine, run));
}

async function runSlowReaders(machine: Machine, { seed, scale }: Run): Promise<Counts> {
  const words = new Words(machine.memory, 0);
  const { i32 } = words;
  const load = (at: number): number => Atomics.load(i32, words.free(at));
  const store = (at: number, value: number): void => void Atomics.store(i32, words.free(at), value);
  const random = randomFrom(seed);
  let [heldMs, waitsMade] = [0, 0];
  // Every way of holding comes up on each processor that can hold so, in both domains, in rounds of three pairs.
  const rounds = HOLDERS.flatMap((holder) => [0, 1].map((lane) => ({ holder, lane })));
  for (let round = 0; round < rounds.length * scale; round++) {
    const { holder, lane } = rounds[round % rounds.length] as (typeof rounds)[number];
    for (const at of [...machine.processors.map((number) => HOLD.HELD + number), HOLD.STARTED, HOLD.SEEN])
      store(at, 0);
    for (const number of machine.processors) store(HOLD.RELEASE + number, 0);
    const spinning = holder === 'spin' || holder === 'throw';
    // The host has to go on: it does not spin. Processors that spin ask for nothing.
    const first = spinning ? 1 + random(2) : random(3);
    const second = (first + 1 + random(2)) % 3;
    const holds = [
      machine.run(first, 'hold', [lane, holder]),
      machine.run(second, 'hold', [lane, pick(random, ['fulfil', 'guard', 'quiescent'])]),
    ];
    for (const held of holds) held.catch(() => {});
    const holding = [first, second];
    for (const number of holding)
      await until(() => load(HOLD.HELD + number) === 1, `processor ${number} to hold (${holder})`);
    const asking = machine.processors.filter((number) => !spinning || number !== first);
    const waits = asking.map((number) =>
      machine.run(number, 'waitInAllForms', [lane, seedOf(seed, round, number), holding]),
    );
    waitsMade += asking.length * FORMS.length;
    const waited = Promise.all(waits);
    waited.catch(() => {});
    await until(() => load(HOLD.STARTED) === asking.length, 'all waits to begin');
    const [one, other] = random(2) === 0 ? [first, second] : [second, first];
    for (const number of [one, other] as [number, number]) {
      // This long they hold, for whoever does not wait for them to show it.
      const milliseconds = 2 + random(6);
      heldMs += milliseconds;
      await delay(milliseconds);
      store(HOLD.RELEASE + number, 1);
      await until(() => load(HOLD.HELD + number) === 0, `processor ${number} to let go (${holder})`);
    }
    await inTime(waited, `all waits to settle after the threads had ended (${holder})`);
    store(HOLD.SEEN, 1);
    await inTime(Promise.all(holds), 'the holders to return');
    words.assertNoProblem();
  }
  return { rounds: rounds.length * scale, waits: waitsMade, heldMs };
}

/** crossbeam: a pinned thread sees at most GENERATIONS - 1 swaps, however many grace periods are asked for meanwhile. */
export function pinned(run: Run): Promise<Counts> {
  return onMachine({ processors: 3 }, (machine) => runPinned(machine, run));
}

async function runPinned(machine: Machine, { seed, scale }: Run): Promise<Counts> {
  const words = new Words(machine.memory, 0);
  const threads = 120 * scale;
  const hammers = machine.processors.flatMap((number) =>
    [0, 1].map((lane) => machine.run<number>(number, 'keepWaiting', [lane])),
  );
  const watches = machine.processors.flatMap((number) =>
    [0, 1].map((lane) =>
      machine.run<number>(number, 'watchSwaps', [lane, threads, seedOf(seed, number, lane)]),
    ),
  );
  const most = await inTime(Promise.all(watches), 'all threads to have looked', 60_000 * scale);
  words.stop();
  const waits = await inTime(Promise.all(hammers), 'the waits to end');
  words.assertNoProblem();
  check(Math.max(...most) > 0, 'No thread saw a swap: nothing was tried.');
  return {
    threads: threads * watches.length,
    mostSwaps: Math.max(...most),
    waits: waits.reduce((sum, count) => sum + count, 0),
  };
}

const GUARDS = 8192;

/**
 * Guards nested 8192 deep, ended in three orders. A grace period that was asked for when half of them had begun waits for the last
 * of that half, and for none of the other.
 */
export function nested(run: Run): Promise<Counts> {
  return onMachine({ processors: 2 }, (machine) => runNested(machine, run));
}

async function runNested(machine: Machine, { seed, scale }: Run): Promise<Counts> {
  let rounds = 0;
  for (let pass = 0; pass < scale; pass++) {
    for (const order of ['newest', 'oldest', 'any'] as const) {
      for (const number of [0, 1]) {
        const lane = (pass + number) % 2;
        const name = `${GUARDS} guards on processor ${number}, ended ${order}`;
        const end = (count: number, among: number): Promise<unknown> =>
          machine.run(number, 'endGuards', [order, count, among, seedOf(seed, pass, rounds)]);
        await machine.run(number, 'beginGuards', [lane, GUARDS / 2]);
        const swaps = (): Promise<number> => machine.run<number>(number, 'swapsOf', [lane]);
        const closed = (await swaps()) + 1;
        let over = false;
        const waited = domainOf(lane)
          .synchronize()
          .then(() => {
            over = true;
          });
        // The request has come there when a swap has closed the generation that the guards are in.
        for (const end = performance.now() + WAIT_MS; (await swaps()) !== closed; )
          check(performance.now() < end, `Waited ${WAIT_MS} ms for ${name}: swap ${closed}.`);
        await machine.run(number, 'beginGuards', [lane, GUARDS / 2]);
        await end(GUARDS / 2 - 1, GUARDS / 2);
        await turns();
        await machine.run(number, 'liveThreads');
        await turns();
        check(!over, `${name}: a grace period ended before the last guard did`);
        await end(1, 1);
        await inTime(waited, `${name}: the grace period to end when all of its guards have`);
        check((await machine.run(number, 'liveThreads')) === GUARDS / 2, `${name}: the others are live`);
        await end(GUARDS / 2, GUARDS / 2);
        check((await machine.run(number, 'liveThreads')) === 0, `${name}: all have ended`);
        rounds++;
      }
    }
  }
  return { rounds, guards: rounds * GUARDS };
}
