/**
 * What a death must and must not do, one thing after the other: the same as the kill scenario looks for, at chosen points.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type Machine, rcu } from '../../src/index.ts';
import { BLOCKED, HOLD, UNBLOCK } from '../programs/torture.ts';
import {
  type Counts,
  check,
  inTime,
  onMachine,
  type Run,
  rejection,
  turns,
  until,
  WAIT_MS,
} from './harness.ts';
import { type Joiner, join } from './joiner.ts';
import { ACCEPTED, LANE, Words } from './words.ts';

const LANE_OF_MACHINE = 0;

interface Stage {
  readonly machine: Machine;
  readonly words: Words;
}

export async function death({ scale }: Run): Promise<Counts> {
  let deaths = 0;
  for (let pass = 0; pass < scale; pass++) {
    for (const scene of [
      gracePeriodGoesOn,
      cookieOfTheDead,
      portableCallbacks,
      barrierGoesOn,
      numberIsKept,
    ]) {
      deaths += await onMachine({ processors: 2, maxProcessors: 3 }, (machine) =>
        scene({ machine, words: new Words(machine.memory, 0) }),
      );
    }
  }
  return { deaths };
}

const held = ({ words }: Stage, number: number): Promise<void> =>
  until(() => Atomics.load(words.i32, words.free(HOLD.HELD + number)) === 1, `processor ${number} to hold`);

/** Begins a thread on a processor that lasts until released, or until the processor dies. */
async function hold(stage: Stage, number: number): Promise<void> {
  const { machine, words } = stage;
  Atomics.store(words.i32, words.free(HOLD.HELD + number), 0);
  Atomics.store(words.i32, words.free(HOLD.RELEASE + number), 0);
  machine.run(number, 'hold', [LANE_OF_MACHINE, 'fulfil']).catch(() => {});
  await held(stage, number);
}

const release = ({ words }: Stage, number: number): void =>
  void Atomics.store(words.i32, words.free(HOLD.RELEASE + number), 1);

const die = (victim: Joiner): Promise<unknown> => inTime(victim.worker.terminate(), 'a thread to end');

/** Has everybody a chance to do what it may do now. */
async function settle({ machine }: Stage): Promise<void> {
  for (const number of machine.processors) await machine.run(number, 'liveThreads').catch(() => {});
  await turns();
}

/** A grace period does not wait for the threads of the dead, and goes on waiting for those of the living. */
async function gracePeriodGoesOn(stage: Stage): Promise<number> {
  for (const expedited of [false, true]) {
    const victim = await join(stage.machine, { kind: 'idle' });
    await hold(stage, victim.number);
    await hold(stage, 1);
    let over = false;
    const waited = rcu.synchronize({ expedited, deadlineMs: WAIT_MS }).then(() => {
      over = true;
    });
    waited.catch(() => {});
    await settle(stage);
    await die(victim);
    await until(() => stage.machine.processors.length === 2, 'the dead to be missed');
    await settle(stage);
    check(!over, 'A grace period ended when one of the two processors it waited for had died.');
    release(stage, 1);
    await inTime(waited, 'a grace period to end although a processor that it waited for has died');
  }
  return 2;
}

/** A cookie that waits for the dead is over, and stays so when another has taken the number. */
async function cookieOfTheDead(stage: Stage): Promise<number> {
  const victim = await join(stage.machine, { kind: 'idle' });
  await hold(stage, victim.number);
  const cookie = rcu.startPoll();
  check(!rcu.poll(cookie), 'A cookie was over while a thread was live.');
  await die(victim);
  await until(() => rcu.poll(cookie), 'a cookie to be over, for the processor has died');
  await rcu.barrier({ deadlineMs: WAIT_MS });
  const successor = await join(stage.machine, { kind: 'idle' });
  check(successor.number === victim.number, `${successor.number} follows ${victim.number}`);
  await hold(stage, successor.number);
  check(rcu.poll(cookie), 'A cookie that was over is not: it waits for the successor of the dead.');
  await die(successor);
  return 2;
}

/**
 * Portable callbacks of the dead: those begun are not run again, those not begun are run by the host, the one in the middle is
 * reported; and the successor's are told from them.
 */
async function portableCallbacks(stage: Stage): Promise<number> {
  const { machine, words } = stage;
  const ledger = words.lane(LANE_OF_MACHINE) + LANE.LEDGER;
  const ranAre = (expected: readonly number[], when: string): void => {
    const seen = expected.map((_times, id) => Atomics.load(words.i32, ledger + id) & (ACCEPTED - 1));
    check(seen.join() === expected.join(), `portable callbacks ran ${seen}, not ${expected} times, ${when}`);
  };
  const events: string[] = [];
  const watch = (message: unknown): void => {
    const { event, args } = message as { event: string; args: number[] };
    events.push(`${event} ${args[2]}`);
  };
  const handIn = (number: number, id: number, count: number, microseconds = 0): Promise<void> =>
    machine.run(number, 'handInLedger', [LANE_OF_MACHINE, 0, id, count, microseconds]);
  subscribe('k42:rcu:callback', watch);
  try {
    const first = await join(machine, { kind: 'idle' });
    await handIn(first.number, 0, 3);
    await rcu.barrier({ deadlineMs: WAIT_MS });
    ranAre([1, 1, 1], 'where they were handed in');
    await machine.run(0, 'beginGuards', [LANE_OF_MACHINE, 1]);
    await handIn(first.number, 3, 2);
    await die(first);
    ranAre([1, 1, 1, 0, 0], 'before their grace period');
    await machine.run(0, 'endGuards', ['oldest', 1, 1, 0]);
    await rcu.barrier({ deadlineMs: WAIT_MS });
    ranAre([1, 1, 1, 1, 1], 'after a death');

    const second = await join(machine, { kind: 'idle' });
    check(second.number === first.number, `${second.number} follows ${first.number}`);
    await machine.run(0, 'beginGuards', [LANE_OF_MACHINE, 1]);
    await handIn(second.number, 5, 1);
    await die(second);
    await machine.run(0, 'endGuards', ['oldest', 1, 1, 0]);
    await rcu.barrier({ deadlineMs: WAIT_MS });
    ranAre([1, 1, 1, 1, 1, 1], "after the successor's death");

    const third = await join(machine, { kind: 'idle' });
    await machine.run(0, 'beginGuards', [LANE_OF_MACHINE, 1]);
    await handIn(third.number, 6, 2, 4 * WAIT_MS * 1000);
    await machine.run(0, 'endGuards', ['oldest', 1, 1, 0]);
    const callback = words.lane(LANE_OF_MACHINE) + LANE.IN_CALLBACK;
    await until(() => Atomics.load(words.i32, callback) === 1, 'a portable callback to begin');
    await die(third);
    await rcu.barrier({ deadlineMs: WAIT_MS });
    ranAre([1, 1, 1, 1, 1, 1, 1, 1], 'after a death in one of them');
    const expected = 'inherited 3,inherited 4,inherited 5,interrupted 6,inherited 7';
    check(events.join() === expected, `reported ${events}, not ${expected}`);
  } finally {
    unsubscribe('k42:rcu:callback', watch);
  }
  return 3;
}

/** Callbacks that are not portable die; a barrier does not wait for them. */
async function barrierGoesOn(stage: Stage): Promise<number> {
  const victim = await join(stage.machine, { kind: 'idle' });
  await stage.machine.run(0, 'beginGuards', [LANE_OF_MACHINE, 1]);
  await stage.machine.run(victim.number, 'handIn', [LANE_OF_MACHINE, 20, 1]);
  const barrier = rcu.barrier({ deadlineMs: WAIT_MS });
  barrier.catch(() => {});
  await settle(stage);
  await die(victim);
  await stage.machine.run(0, 'endGuards', ['oldest', 1, 1, 0]);
  await inTime(barrier, 'a barrier to settle although a processor that it waited for has died');
  return 1;
}

/** The number of the dead is not given out until every processor has let go of it, and is then. */
async function numberIsKept(stage: Stage): Promise<number> {
  const { machine, words } = stage;
  const victim = await join(machine, { kind: 'idle' });
  const blocked = machine.run(1, 'block');
  blocked.catch(() => {});
  await until(() => Atomics.load(words.i32, words.free(BLOCKED)) === 1, 'a processor to be blocked');
  await die(victim);
  await until(() => machine.processors.length === 2, 'the dead to be missed');
  await turns();
  const refused = (await rejection(machine.add())) as { code?: string } | undefined;
  Atomics.store(words.i32, words.free(UNBLOCK), 1);
  check(
    refused?.code === 'K42_MACHINE_FULL',
    `A number was given out again that a processor had not let go of: ${refused?.code ?? 'it joined'}`,
  );
  await inTime(blocked, 'a processor to go on');
  await rcu.barrier({ deadlineMs: WAIT_MS });
  check(
    (await inTime(machine.add(), 'a processor to be added')) === victim.number,
    'The number is free again.',
  );
  return 1;
}
