/**
 * Processors terminated at random points, one after the other on each lane, while everybody reads, updates and waits.
 *
 * A victim is a thread with a ticket that does everything at once. It is ended while it joins, in the middle of a portable
 * callback, after a random amount of work, or at a random moment; then a successor takes its lane, and as a rule its number. Nothing
 * hangs: the barriers of the host after every death, and the work of those that stay, all end in time. No grace period ends too
 * early: that is the pipe's to see. No portable callback is lost or run twice: each that was handed in has run exactly once, or was
 * reported as interrupted.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Random, randomFrom, seedOf } from '@k42/tooling/random';
import type { Machine } from '../../src/index.ts';
import { type Counts, check, inTime, onMachine, type Run, spin, until, WAIT_MS } from './harness.ts';
import { Joiner, STAGE, stageWord } from './joiner.ts';
import { ACCEPTED, COUNTER, domainOf, HEADER, LANE, Words } from './words.ts';

const STEADY = 2;
const VICTIMS = 3;
const KILLS = 60;

/** A message of `k42:rcu:callback`. */
interface CallbackEvent {
  readonly event: 'inherited' | 'interrupted';
  readonly args: readonly number[];
}

export function kill(run: Run): Promise<Counts> {
  const room = STEADY + VICTIMS + 1;
  return onMachine({ processors: STEADY, maxProcessors: room }, (machine) => runKill(machine, run));
}

async function runKill(machine: Machine, { seed, scale }: Run): Promise<Counts> {
  const words = new Words(machine.memory, 0);
  Atomics.store(words.i32, words.header(HEADER.LANES), 2 * STEADY + VICTIMS);
  const work = machine.processors.map((number) =>
    machine.run(number, 'pipe', [seedOf(seed, number), 1, [2 * number, 2 * number + 1]]),
  );
  for (const worker of work) worker.catch(() => words.stop());
  const killing = new Killing(machine, words, seed);
  const watch = (message: unknown): void => killing.hear(message as CallbackEvent);
  subscribe('k42:rcu:callback', watch);
  const total = KILLS * scale;
  let left = total;
  const lanes = Array.from({ length: VICTIMS }, (_none, victim) => 2 * STEADY + victim);
  await Promise.all(
    lanes.map(async (lane) => {
      for (let life = 1; left-- > 0; life++) await killing.killOne(lane, life);
    }),
  );
  words.stop();
  words.assertNoProblem();
  await inTime(Promise.all(work), 'those that stay to end', 2 * WAIT_MS);
  await until(() => machine.processors.length === STEADY, 'the dead to be gone');
  check(killing.counts.numbersReused > 0 || total < 10, 'No number was given out a second time.');
  unsubscribe('k42:rcu:callback', watch);
  return { ...killing.counts, reads: words.counted(COUNTER.READS), updates: words.counted(COUNTER.UPDATES) };
}

class Killing {
  readonly counts = {
    kills: 0,
    whileJoining: 0,
    inCallback: 0,
    portable: 0,
    inherited: 0,
    interrupted: 0,
    numbersReused: 0,
  };
  readonly #machine: Machine;
  readonly #words: Words;
  readonly #seed: number;
  readonly #interrupted = new Set<string>();
  readonly #numbers = new Set<number>();

  constructor(machine: Machine, words: Words, seed: number) {
    this.#machine = machine;
    this.#words = words;
    this.#seed = seed;
  }

  hear({ event, args }: CallbackEvent): void {
    this.counts[event]++;
    if (event === 'interrupted') this.#interrupted.add(args.slice(0, 3).join('/'));
  }

  /** One life on a lane: from the start of its thread until what it has left behind is settled. */
  async killOne(lane: number, life: number): Promise<void> {
    const random = randomFrom(seedOf(this.#seed, lane, life));
    const words = this.#words;
    const at = words.lane(lane);
    const { i32 } = words;
    for (const field of [LANE.STAGE, LANE.PROGRESS, LANE.IN_CALLBACK]) Atomics.store(i32, at + field, 0);
    i32.fill(0, at + LANE.LEDGER, at + LANE.LEDGER + LANE.LEDGER_WORDS);
    Atomics.store(i32, at + LANE.LIFE, life);
    const stage = stageWord(words, lane);
    const joiner = new Joiner(this.#machine, { kind: 'victim', lane, life, seed: random(1 << 30), stage });
    const failed = joiner.done.catch((error: unknown) => error as Error);
    await Promise.race([
      this.#moment(random, at, stage, `life ${life} on lane ${lane}`),
      failed.then((error) => {
        throw new Error(`A victim ended by itself (life ${life} on lane ${lane}).`, { cause: error });
      }),
    ]);
    const exit = joiner.worker.terminate();
    if (Atomics.load(i32, stage) !== STAGE.JOINED) this.counts.whileJoining++;
    if (Atomics.load(i32, at + LANE.IN_CALLBACK) !== 0) this.counts.inCallback++;
    // Half of the barriers begin before the thread is known to have ended. What it hands in until then the barrier does not cover.
    const early = random(2) === 0 ? domainOf(lane).barrier({ deadlineMs: WAIT_MS }) : undefined;
    await Promise.all([early, inTime(exit, 'the thread to end')]);
    await domainOf(lane).barrier({ deadlineMs: WAIT_MS });
    this.#settle(lane, life);
    words.assertNoProblem();
    check(!words.stopped, 'Those that were to stay have failed; see the output.');
    if (joiner.number !== -1) {
      if (this.#numbers.has(joiner.number)) this.counts.numbersReused++;
      this.#numbers.add(joiner.number);
    }
    this.counts.kills++;
  }

  /** Settles at the moment at which the victim is to die. */
  async #moment(random: Random, at: number, stage: number, name: string): Promise<void> {
    const { i32 } = this.#words;
    const load = (word: number): number => Atomics.load(i32, word);
    await until(() => load(stage) >= STAGE.STARTED, `${name} to begin`);
    const kind = random(6);
    if (kind === 0) {
      const end = performance.now() + random(8000) / 1000;
      while (performance.now() < end && load(stage) !== STAGE.JOINED) await nextTurn();
      spin(random(400));
      return;
    }
    await until(() => load(stage) === STAGE.JOINED, `${name} to join`);
    if (kind === 1) {
      const end = performance.now() + WAIT_MS;
      while (load(at + LANE.IN_CALLBACK) === 0 && load(at + LANE.PROGRESS) < 1000) {
        check(performance.now() < end, `Waited ${WAIT_MS} ms for ${name} to do something.`);
        await nextTurn();
      }
      spin(random(200));
    } else if (kind <= 3) {
      const least = random(120);
      await until(() => load(at + LANE.PROGRESS) >= least, `${name} to do ${least} things`);
      spin(random(1000));
    } else spin(random(3000));
  }

  /** Every portable callback of a life has run once, or was interrupted. */
  #settle(lane: number, life: number): void {
    const { i32 } = this.#words;
    for (let id = 0; id < LANE.LEDGER_WORDS; id++) {
      const word = Atomics.load(i32, this.#words.lane(lane) + LANE.LEDGER + id);
      const [accepted, ran] = [(word & ACCEPTED) !== 0, word & (ACCEPTED - 1)];
      const interrupted = this.#interrupted.has([lane, life, id].join('/'));
      if (accepted) this.counts.portable++;
      const good = ran === 1 || (ran === 0 && (interrupted || !accepted));
      const said = `${accepted ? '' : 'not '}known as handed in, ran ${ran} times, ${interrupted ? '' : 'not '}interrupted`;
      check(good, `portable callback ${id} of life ${life} on lane ${lane}: ${said}`);
    }
  }
}
