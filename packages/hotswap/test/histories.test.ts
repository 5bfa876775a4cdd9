/**
 * Goal: while objects are swapped all the time, their clients cannot tell: each call has its effect once, at one moment between
 * its beginning and its end, on the one state there is.
 * Method: clients on every processor call a register, a counter, a queue and a map at random and record when each call began and
 * ended (`linearizability/history.ts`), while the objects go to and fro between their implementations. Then a checker
 * (`linearizability/checker.ts`) looks for an order of the calls that explains all results. Once more, workers are killed in the
 * midst of it.
 * Replay with the seed that is printed: K42_SEED=<seed> pnpm --filter @k42/hotswap test test/histories.test.ts
 */
import { Worker } from 'node:worker_threads';
import { type Coid, create, destroy, handle, type Implementation } from '@k42/clustered';
import {
  DistributedByteMap,
  DistributedCounter,
  SharedByteMap,
  SharedCounter,
} from '@k42/clustered/standard';
import { Machine } from '@k42/rcu';
import { pick, type Random, randomFrom } from '@k42/tooling/random';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { type SwapReport, swap } from '../src/index.ts';
import { check, explain, type Model, type Operation, partition } from './linearizability/checker.ts';
import { callsMade, histories } from './linearizability/history.ts';
import { counter, NONE, queue, register } from './linearizability/models.ts';
import {
  type Doom,
  noteSwap,
  SUBJECTS,
  type Subject,
  type Subjects,
  stopClients,
} from './programs/histories.ts';
import { CELLS, QUEUES, REGISTERS, TALLIES } from './programs/linearizable.ts';
import { until } from './support.ts';

const program = new URL('./programs/histories.ts', import.meta.url);
const seed = Number(process.env.K42_SEED ?? Date.now() % 2 ** 31);
/** Calls after which the clients are stopped. */
const CALLS = 5000;
const KILLS = 4;
/** Seconds on an idle machine of two cores are many more on a busy one. */
const PATIENCE_MS = 90_000;
const NUMBERS = [0, 1, 2];

/** What an object may be swapped to, in the midst of everything. */
const IMPLEMENTATIONS: Record<Subject, readonly Implementation<object, never>[]> = {
  register: REGISTERS,
  cell: CELLS,
  queue: QUEUES,
  map: [SharedByteMap, DistributedByteMap],
  counter: [SharedCounter, DistributedCounter],
  tally: TALLIES,
} as unknown as Record<Subject, readonly Implementation<object, never>[]>;

let machine: Machine;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, maxProcessors: 5, program });
});
afterEach(() => machine.close());

function createSubjects(): Subjects {
  const made = Object.entries(IMPLEMENTATIONS).map(([subject, [first]]) => [
    subject,
    create(first as unknown as Implementation<object, undefined>, undefined),
  ]);
  return Object.fromEntries(made) as Subjects;
}

/** What a swap may end with where processors are killed. */
const DEATHS = new Set(['K42_SWAP_PROCESSOR_GONE', 'K42_SWAP_DEADLINE', 'K42_DEADLINE']);

/** Swaps an object again and again until there is nobody to notice; gives the reports. */
async function swapUntil(
  isOver: () => boolean,
  coid: Coid<object>,
  implementations: readonly Implementation<object, never>[],
  random: Random,
  tolerated: ReadonlySet<string>,
  onSwap: () => void,
): Promise<SwapReport[]> {
  const reports: SwapReport[] = [];
  while (!isOver()) {
    try {
      reports.push(await swap(coid, pick(random, implementations) as unknown as Implementation<object>));
    } catch (error) {
      if (!tolerated.has((error as { code?: string }).code ?? '')) throw error;
    }
    onSwap();
  }
  return reports;
}

/** Has everybody call the subjects while they are swapped, and gives the reports of the swaps. */
async function record(
  subjects: Subjects,
  called: readonly Subject[],
  meanwhile: (isOver: () => boolean) => Promise<void> = async () => {},
  isEnough: () => boolean = () => true,
  tolerated: ReadonlySet<string> = new Set(),
): Promise<Map<Subject, SwapReport[]>> {
  let ended = false;
  const isOver = (): boolean => ended || (callsMade() >= CALLS && isEnough());
  const clients = Promise.all(
    NUMBERS.map((number) => machine.run(number, 'play', [subjects, called, seed + number])),
  ).finally(() => {
    ended = true;
  });
  clients.catch(() => {});
  let swapped = 0;
  const onSwap = (): void => {
    if (++swapped % called.length === 0) noteSwap();
  };
  const swaps = called.map(async (subject, index): Promise<[Subject, SwapReport[]]> => {
    const random = randomFrom(seed + 100 + index);
    return [
      subject,
      await swapUntil(isOver, subjects[subject], IMPLEMENTATIONS[subject], random, tolerated, onSwap),
    ];
  });
  const others = meanwhile(isOver);
  const reports = await Promise.all(swaps).finally(stopClients);
  await others;
  await clients;
  return new Map(reports);
}

const MODELS: Record<Subject, Model<unknown>> = {
  register: register(0),
  cell: register(0),
  queue,
  map: register(NONE),
  counter,
  tally: counter,
} as Record<Subject, Model<unknown>>;

/** @throws Error saying where the order ends, if a history is not linearizable */
function expectLinearizable(subject: Subject, history: readonly Operation[]): void {
  const parts = subject === 'map' ? entriesOf(history) : [history];
  for (const part of parts) {
    const verdict = check(MODELS[subject], part);
    if (!verdict.isLinearizable) throw new Error(`seed ${seed}: the ${subject} is ${explain(verdict)}`);
  }
}

/** The keys of a map are objects of their own. */
function entriesOf(history: readonly Operation[]): Operation[][] {
  const byKey = partition(history, ({ args }) => args[0] as number);
  return [...byKey.values()].map((part) =>
    part.map(({ args, ...rest }) => ({ ...rest, args: args.slice(1) })),
  );
}

function expectAllLinearizable(called: readonly Subject[]): void {
  const recorded = histories();
  for (const subject of called) {
    const history = recorded.get(SUBJECTS.indexOf(subject)) ?? [];
    expect(history.length, subject).toBeGreaterThan(100);
    expectLinearizable(subject, history);
  }
}

test.each(SUBJECTS)(
  'the calls of a %s that is swapped all the time have an order',
  async (subject) => {
    const reports = (await record(createSubjects(), [subject])).get(subject) as SwapReport[];
    expectAllLinearizable([subject]);
    expect(reports.length, `swaps of the ${subject}`).toBeGreaterThan(15);
    // Not two of the same kind only, and not without anybody noticing.
    expect(new Set(reports.map(({ from, to }) => `${from} ${to}`)).size).toBeGreaterThan(2);
    expect(reports.some(({ participants }) => participants.length === 3)).toBe(true);
  },
  PATIENCE_MS,
);

test(
  'all at once',
  async () => {
    const reports = await record(createSubjects(), SUBJECTS);
    expectAllLinearizable(SUBJECTS);
    for (const [subject, made] of reports) expect(made.length, `swaps of the ${subject}`).toBeGreaterThan(5);
  },
  PATIENCE_MS,
);

test.each(['register', 'cell'] as const)(
  'the calls of a %s have an order where processors call it for the first time in the midst of a swap',
  async (subject) => {
    const random = randomFrom(seed + 3000);
    const ROUNDS = 60;
    let latecomers = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const subjects = createSubjects();
      const call = (number: number, turns: number): Promise<unknown> => {
        const args = [subjects, subject, round, seed + 10 * round + number, turns];
        return machine.run(number, 'callLate', args);
      };
      const coid = subjects[subject] as Coid<object>;
      const calls = [call(0, 0), call(1, random(300)), call(2, random(1000))];
      const target = pick(random, IMPLEMENTATIONS[subject]) as unknown as Implementation<object>;
      const [{ participants }] = await Promise.all([swap(coid, target), ...calls]);
      if (participants.length < 3) latecomers++;
      await Promise.all(Object.values(subjects).map((made) => destroy(made as Coid<object>)));
    }
    expect(latecomers).toBeGreaterThan(0);
    for (const history of histories().values()) expectLinearizable(subject, history);
  },
);

test(
  'workers are killed in the midst of it: what they had under way has happened or not',
  async () => {
    // What the tally has in the heap of a processor goes with it.
    const called = SUBJECTS.filter((subject) => subject !== 'tally');
    const subjects = createSubjects();
    let kills = 0;
    await record(
      subjects,
      called,
      async (isOver) => {
        const random = randomFrom(seed + 1000);
        while (!isOver()) {
          const doom: Doom = { ticket: machine.ticket(), subjects, called, seed: seed + 2000 + kills };
          const worker = new Worker(program, { workerData: doom });
          onTestFinished(async () => void (await worker.terminate()));
          const number = await new Promise<number>((resolve, reject) => {
            worker.once('message', resolve);
            worker.once('error', reject);
          });
          const made = callsMade() + 20 + random(300);
          await until(() => callsMade() > made || isOver());
          await worker.terminate();
          await until(() => !machine.processors.includes(number));
          kills++;
        }
      },
      () => kills >= KILLS,
      DEATHS,
    );
    expectAllLinearizable(called);
    // Everything works on, with the swaps of the dead out of the way.
    for (const subject of called) {
      const [first] = IMPLEMENTATIONS[subject];
      await swap(subjects[subject] as Coid<object>, first as unknown as Implementation<object>);
    }
    expect(handle(subjects.map).keys().length).toBe(handle(subjects.map).size());
  },
  PATIENCE_MS,
);
