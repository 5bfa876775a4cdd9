/**
 * Callbacks: floods against back-pressure, barriers that cover other processors', machines closed while both are in flight.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { randomFrom, seedOf } from '@k42/tooling/random';
import { Machine, rcu } from '../../src/index.ts';
import { BLOCKED, CALLED, UNBLOCK, workUntilClosed } from '../programs/torture.ts';
import {
  type Counts,
  check,
  inTime,
  onMachine,
  PROGRAM,
  type Run,
  rejection,
  turns,
  until,
  WAIT_MS,
} from './harness.ts';
import { join } from './joiner.ts';
import { domainOf, Words } from './words.ts';

/** Floods of callbacks on all processors, with and without heed of what `call` answers. */
export function flood(run: Run): Promise<Counts> {
  return onMachine({ processors: 3 }, (machine) => runFlood(machine, run));
}

async function runFlood(machine: Machine, { scale }: Run): Promise<Counts> {
  const words = new Words(machine.memory, 0);
  const count = 30_000 * scale;
  const { processors } = machine;
  const most = await inTime(
    Promise.all(processors.map((number) => machine.run<number>(number, 'flood', [count]))),
    'the floods to run off',
    60_000 * scale,
  );
  words.assertNoProblem();
  check(Math.max(...most) > 100, 'No callbacks piled up: nothing was tried.');
  for (const { code, pending } of await Promise.all(
    processors.map((number) => machine.run<{ code: string; pending: number }>(number, 'overflow')),
  )) {
    check(code === 'K42_CALLBACK_OVERFLOW' && pending === 2000, `${pending} were pending, then ${code}`);
  }
  words.assertNoProblem();
  return { callbacks: count * processors.length, mostPending: Math.max(...most) };
}

/** While a thread holds up all callbacks, some processors hand some in, and all wait behind barriers. */
export function barriers(run: Run): Promise<Counts> {
  return onMachine({ processors: 3 }, (machine) => runBarriers(machine, run));
}

async function runBarriers(machine: Machine, { seed, scale }: Run): Promise<Counts> {
  const words = new Words(machine.memory, 0);
  const random = randomFrom(seed);
  const { processors } = machine;
  const load = (at: number): number => Atomics.load(words.i32, words.free(at));
  let admitted = 0;
  for (let round = 0; round < 24 * scale; round++) {
    for (const number of processors)
      for (const at of [CALLED.ADMITTED, CALLED.RAN]) Atomics.store(words.i32, words.free(at + number), 0);
    const lane = random(2);
    await machine.run(0, 'beginGuards', [lane, 1]);
    // One of the seven ways to choose some of three.
    const handing = processors.filter((number) => ((round % 7) + 1) & (1 << number));
    await Promise.all(
      handing.map((number) =>
        machine.run(number, 'handIn', [lane, 1 + random(20), seedOf(seed, round, number)]),
      ),
    );
    let settled = 0;
    const waits = Promise.all(
      processors.map(async (number) => {
        await machine.run(number, 'barrierFor', [lane, handing]);
        settled++;
      }),
    );
    waits.catch(() => {});
    await Promise.all(processors.map((number) => machine.run(number, 'liveThreads')));
    await turns();
    check(settled === 0, 'A barrier settled while a thread held up what it had to wait for.');
    await machine.run(0, 'endGuards', ['oldest', 1, 1, 0]);
    await inTime(waits, 'all barriers to settle');
    words.assertNoProblem();
    for (const number of processors) {
      admitted += load(CALLED.ADMITTED + number);
      check(
        load(CALLED.ADMITTED + number) === load(CALLED.RAN + number),
        `processor ${number}: ${load(CALLED.ADMITTED + number)} callbacks handed in, ${load(CALLED.RAN + number)} run`,
      );
    }
  }
  return { rounds: 24 * scale, callbacks: admitted };
}

/**
 * Closes machines while callbacks and barriers are in flight, on the host, a worker of the machine and a thread that joined.
 * Every barrier settles. Every callback that was handed in before the machine was told to close runs, once. Of those handed
 * in while it closes each runs at most once; how many did not is counted.
 */
export async function teardown({ seed, scale }: Run): Promise<Counts> {
  const counts: Counts = {};
  for (let round = 0; round < 6 * scale; round++)
    await closeOne(seedOf(seed, round), round % 2 === 0, counts);
  await closeOverBlocked();
  return counts;
}

/** @param quietly whether everybody has stopped before the machine is told to close; else they stop some time after. */
async function closeOne(seed: number, quietly: boolean, counts: Counts): Promise<void> {
  const random = randomFrom(seed);
  const machine = await Machine.boot({
    processors: 2,
    maxProcessors: 3,
    program: PROGRAM,
    memoryBytes: 1 << 22,
    bootDeadlineMs: WAIT_MS,
  });
  const words = new Words(machine.memory, 0);
  const load = (at: number): number => Atomics.load(words.i32, words.free(at));
  const joiner = await join(machine, { kind: 'work', seed: seedOf(seed, 2) });
  const work = [workUntilClosed(seedOf(seed, 0)), machine.run(1, 'workUntilClosed', [seedOf(seed, 1)])];
  for (const worker of work) worker.catch(() => {});
  const handedIn = async (least: number): Promise<void> => {
    const before = [0, 1, 2].map((number) => load(CALLED.ADMITTED + number));
    const enough = (): boolean =>
      before.every((count, number) => load(CALLED.ADMITTED + number) > count + least);
    await until(enough, 'callbacks to be handed in');
  };
  await handedIn(random(30));
  const quiet = (): void => void Atomics.store(words.i32, words.free(CALLED.QUIET), 1);
  const guards: Disposable[] = [];
  if (quietly) {
    // So that there are some whose grace period is not over when the machine is told to close.
    for (const lane of [0, 1]) guards.push(domainOf(lane).enter('until it closes'));
    await handedIn(10);
    quiet();
    await inTime(Promise.all([...work, joiner.done]), 'all to be quiet');
  }
  const admitted = [0, 1, 2].map((number) => load(CALLED.ADMITTED + number));
  const closed = machine.close();
  if (!quietly) {
    if (random(2) === 0) await turns(random(20));
    quiet();
  }
  if (quietly) {
    let over = false;
    const closing = (): void => {
      over = true;
    };
    closed.then(closing, closing);
    // For whoever does not wait for the callbacks to get ahead of them.
    await delay(20);
    check(!over, 'The machine has closed before the callbacks handed in before close could run.');
  }
  for (const guard of guards) guard[Symbol.dispose]();
  await inTime(closed, 'the machine to close', 2 * WAIT_MS);
  await inTime(joiner.done, 'the thread that joined to find it closed');
  // Those of the machine's own worker have ended with it.
  await until(
    () => [0, 2].every((number) => load(CALLED.ASKED + number) === load(CALLED.SETTLED + number)),
    'all barriers to settle after the machine has closed',
  );
  words.assertNoProblem();
  for (const number of [0, 1, 2]) {
    const before = admitted[number] as number;
    const [after, ran] = [load(CALLED.ADMITTED + number), load(CALLED.RAN + number)];
    const said = `processor ${number}: ${before} callbacks handed in before close, ${after} in all, ${ran} run`;
    check(quietly ? ran === after : ran >= before && ran <= after + 1, said);
    counts.callbacks = (counts.callbacks ?? 0) + ran;
    counts.refusedLate = (counts.refusedLate ?? 0) + after - ran;
    counts.barriers = (counts.barriers ?? 0) + load(CALLED.ASKED + number);
  }
  counts.closed = (counts.closed ?? 0) + 1;
  await joiner.end();
}

/** Closes a machine, by its deadline, while a barrier waits for a processor whose event loop does not run. */
async function closeOverBlocked(): Promise<void> {
  const machine = await Machine.boot({
    processors: 1,
    maxProcessors: 2,
    program: PROGRAM,
    memoryBytes: 1 << 22,
    bootDeadlineMs: WAIT_MS,
  });
  const words = new Words(machine.memory, 0);
  const joiner = await join(machine, { kind: 'idle' });
  const blocked = machine.run(joiner.number, 'block');
  blocked.catch(() => {});
  await until(() => Atomics.load(words.i32, words.free(BLOCKED)) === 1, 'a processor to be blocked');
  const barrier = rejection(rcu.barrier({ deadlineMs: 3 * WAIT_MS }));
  await turns();
  const late = (await rejection(machine.close({ closeDeadlineMs: 100 }))) as { code?: string } | undefined;
  check(late?.code === 'K42_DEADLINE', `close over a processor that does not answer: ${late}`);
  await inTime(barrier, 'a barrier to settle whose machine has been closed');
  Atomics.store(words.i32, words.free(UNBLOCK), 1);
  await joiner.end();
}
