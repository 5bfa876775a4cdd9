/**
 * Everything that can be done with objects, at random on four processors and a common set: every call reaches the object it was
 * meant for or finds it gone, and in the end nothing is left. With deaths: the same while processors are killed at random moments.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Machine } from '@k42/rcu';
import { randomFrom } from '@k42/tooling/random';
import { type Coid, destroy, liveObjects } from '../../src/index.ts';
import { Common } from '../programs/stress.ts';
import {
  addProcessor,
  type Counts,
  check,
  codeOf,
  inTime,
  nothingLeft,
  onMachine,
  until,
  Victim,
  WAIT_MS,
} from './harness.ts';

const PROGRAM = new URL('../programs/stress.ts', import.meta.url);
const PROCESSORS = 4;
/** Each action is done so often, at least. */
const LEAST = 2500;

export function stress(seed: number): Promise<Counts> {
  return onMachine({ processors: PROCESSORS, program: PROGRAM }, async (machine) => {
    const common = new Common(machine.memory);
    const work = Promise.all(
      machine.processors.map((number) => machine.run(number, 'mayhem', [seed * 64 + number, []])),
    );
    await enough(common, work, LEAST);
    await tidyUp(machine);
    await nothingLeft(machine.memory);
    return common.counts();
  });
}

/** Waits until each action has been done so often, or something has failed. */
async function enough(common: Common, work: Promise<unknown>, least: number): Promise<void> {
  const isEnough = (): boolean => Object.values(common.counts()).every((count) => count >= least);
  const said = (): string => `enough of everything: ${JSON.stringify(common.counts())}`;
  await Promise.race([until(() => isEnough() || common.stopped, said, 6 * WAIT_MS), work]);
  common.stop();
  await inTime(work, 'all calls to end', 2 * WAIT_MS);
}

/** Destroys what is left, and has every arena take in what belongs to it. */
async function tidyUp(machine: Machine): Promise<void> {
  const left: Coid<object>[] = [...liveObjects()]
    .filter(({ state }) => state === 'live')
    .map(({ coid }) => coid);
  await inTime(Promise.all(left.map((coid) => destroy(coid))), 'what is left to be destroyed');
  for (const number of machine.processors) await machine.run(number, 'tidy');
}

const STEADY = 2;
const LANES = 2;
const KILLS = 16;
/**
 * A death may cost what was on its way: a new object's blocks before they are its own, or a dead one's while they are freed. These
 * objects have a record and a share for each processor at most.
 */
const BLOCKS_PER_DEATH = 1 + STEADY + 2 * LANES;
/** What a whole-object operation may say while processors die. */
const WHILE_DYING = ['K42_PROCESSOR_GONE', 'K42_GATHER'];

export function kills(seed: number): Promise<Counts> {
  // A number is free when everybody has let go of the dead: the next one need not wait for it.
  const room = STEADY + 2 * LANES;
  const options = { processors: STEADY, maxProcessors: room, program: PROGRAM };
  return onMachine(options, async (machine) => {
    const common = new Common(machine.memory);
    const work = Promise.all(
      machine.processors.map((number) => machine.run(number, 'mayhem', [seed * 64 + number, WHILE_DYING])),
    );
    work.catch(() => {});
    let killed = 0;
    await Promise.all(
      Array.from({ length: LANES }, async (_none, lane) => {
        const random = randomFrom(seed * 64 + 32 + lane);
        while (killed < KILLS && !common.stopped) {
          killed++;
          await oneLife(machine, random(2 ** 30), random(30));
        }
      }),
    );
    common.stop();
    await inTime(work, 'all calls of the survivors to end', 2 * WAIT_MS);
    await until(
      () => machine.processors.length === STEADY,
      () => 'the dead to be gone',
    );
    // Each number once more, so that what its arena is owed is taken in.
    while (machine.processors.length < room) await addProcessor(machine);
    await tidyUp(machine);
    const lost = await nothingLeft(machine.memory, killed * BLOCKS_PER_DEATH);
    return { killed, lost, ...common.counts() };
  });
}

/** A processor joins, does what all do, and is killed after so many milliseconds. */
async function oneLife(machine: Machine, seed: number, milliseconds: number): Promise<void> {
  const victim = await Victim.join(machine);
  const work = machine.run(victim.number, 'mayhem', [seed, WHILE_DYING]);
  const ended = work.then(
    () => undefined,
    (error: unknown) => error,
  );
  await delay(milliseconds);
  await victim.kill();
  const error = await inTime(ended, 'a call on the dead to fail');
  check(error === undefined || codeOf(error) === 'K42_PROCESSOR_GONE', `A victim has failed: ${error}`);
}
