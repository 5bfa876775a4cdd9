/**
 * Goal: whatever the order in which calls, gates, swaps, signals and destructions come on one processor, every call runs once, on
 * the object that is in force, and nothing is left behind.
 * Method: the real code, on a machine of one processor. What the objects await are gates that the schedule opens, and a turn of the
 * event loop is a move like any other. Of small plays every schedule is tried, of large ones some that are drawn by lot; of
 * these one that fails is made as short as can be. Replay with the seed that is printed:
 * K42_SEED=<seed> npx -y pnpm@12 --filter @k42/hotswap test test/interleavings.test.ts
 */
import process from 'node:process';
import { Machine } from '@k42/rcu';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Counts, type Move, type Play, play } from './torture/interleavings.ts';
import { countOf, interleavings } from './torture/schedules.ts';

const SEED = Number(process.env.K42_SEED ?? Date.now() % 2 ** 31);
const RUNS = 100;
/** For everything to end, when all moves are made. */
const END_MS = 5000;
const AFTER_FAILURE_END_MS = 200;
/** For the search of a shorter schedule, too. */
const TIMEOUT_MS = 120_000;

let machine: Machine;
beforeEach(async () => {
  hasFailed = false;
  machine = await Machine.boot({ processors: 1 });
});
afterEach(async () => machine.close({ closeDeadlineMs: 1000 }));

const NONE: Counts = { completed: 0, givenUp: 0, destroyed: 0, forwarded: 0, queued: 0 };
const KEYS = Object.keys(NONE) as (keyof Counts)[];
/** From the first failure on the rest is the search for a shorter one. */
let hasFailed = false;

class Tally {
  readonly counts: Record<keyof Counts, number> = { ...NONE };
  runs = 0;

  async play(stage: Play, schedule: readonly Move[]): Promise<void> {
    try {
      const run = await play(stage, schedule, hasFailed ? AFTER_FAILURE_END_MS : END_MS);
      for (const key of KEYS) this.counts[key] += run[key];
      this.runs++;
    } catch (error) {
      hasFailed = true;
      // The next one is not to suffer from what this one has left behind.
      await machine.close({ closeDeadlineMs: AFTER_FAILURE_END_MS });
      machine = await Machine.boot({ processors: 1 });
      throw error;
    }
  }
}

// Moves

/** A swap takes four turns if it stops the processor, and eight if it does not. */
const turns = (count: number, times = 2): Move[] =>
  Array.from({ length: count }, () => ({ do: 'turn', times }));
const opens = (count: number): Move[] => Array.from({ length: count }, () => ({ do: 'open', which: 0 }));
const swap = (object = 0): Move => ({ do: 'swap', object });
const call = (what: 'note' | 'gated' | 'tick' | 'thread', caller = 0, object = 0): Move => ({
  do: what,
  object,
  caller,
});

interface Small {
  readonly stage: Partial<Play>;
  /** Made first. */
  readonly first: readonly Move[];
  readonly lines: readonly (readonly Move[])[];
  /** What has to happen in some schedule, for the play to be worth anything. */
  readonly sees: readonly (keyof Counts)[];
}

/** An asynchronous interface, unless something else is said, and one object. */
const SMALL: Readonly<Record<string, Small>> = {
  'a call that lasts, and one after it': {
    stage: {},
    first: [swap()],
    lines: [[call('gated'), call('note')], opens(2), turns(4)],
    sees: ['completed', 'forwarded', 'queued'],
  },
  'a call that is forwarded, because a thread from before goes on': {
    stage: {},
    first: [call('thread', 1), swap(), ...turns(2)],
    lines: [[call('gated'), call('note')], opens(2), turns(4)],
    sees: ['completed', 'forwarded', 'queued'],
  },
  'a call from before, and a thread that keeps its Rep': {
    stage: {},
    first: [call('gated'), swap()],
    lines: [[call('thread', 1), call('note')], opens(2), turns(4)],
    sees: ['completed', 'queued'],
  },
  'a signal, with background work to stop': {
    stage: { freezes: true },
    first: [swap()],
    lines: [[{ do: 'abort', object: 0 }], opens(3), turns(4, 4)],
    sees: ['completed', 'givenUp'],
  },
  'a signal, until the end': {
    stage: {},
    first: [swap(), ...turns(2)],
    lines: [[{ do: 'abort', object: 0 }], opens(2), turns(5, 1)],
    sees: ['completed', 'givenUp'],
  },
  'a destruction': {
    stage: {},
    first: [swap()],
    lines: [[call('gated'), call('note')], [{ do: 'destroy', object: 0 }], opens(1), turns(4)],
    sees: ['destroyed'],
  },
  'two swaps of objects that call each other': {
    stage: { objects: 2 },
    first: [swap(0), swap(1)],
    lines: [[{ do: 'nest', object: 0, other: 1, caller: 0 }, call('note', 1, 1)], opens(2), turns(4)],
    sees: ['completed', 'forwarded', 'queued'],
  },
  'an object that calls itself, and a second swap': {
    stage: {},
    first: [swap()],
    lines: [
      [
        { do: 'nest', object: 0, other: 0, caller: 0 },
        { do: 'swap', object: 0, ifInProgress: 'queue' },
      ],
      opens(2),
      turns(4),
    ],
    sees: ['completed', 'forwarded', 'queued'],
  },
  'synchronous calls and an iterator': {
    stage: { synchronous: true },
    first: [swap()],
    lines: [
      [
        { do: 'iterate', object: 0, caller: 0 },
        { do: 'finish', object: 0, caller: 0 },
      ],
      [call('tick', 1), call('note', 1)],
      turns(4, 1),
    ],
    sees: ['completed', 'forwarded'],
  },
  'synchronous calls on two objects that are given up': {
    stage: { synchronous: true, objects: 2 },
    first: [swap(0), swap(1)],
    lines: [[call('gated', 0), call('tick', 1, 1)], [{ do: 'abort', object: 0 }], opens(1), turns(4, 1)],
    sees: ['completed', 'givenUp', 'forwarded'],
  },
};

describe('every schedule of', () => {
  for (const [name, { stage, first, lines, sees }] of Object.entries(SMALL)) {
    test(name, { timeout: TIMEOUT_MS }, async () => {
      const full: Play = { synchronous: false, freezes: false, objects: 1, ...stage };
      const tally = new Tally();
      for (const rest of interleavings(lines)) {
        const schedule = [...first, ...rest];
        await tally.play(full, schedule).catch((cause: Error) => {
          throw new Error(`${cause.message}, in ${JSON.stringify(schedule)}`, { cause });
        });
      }
      expect(tally.runs).toBe(countOf(lines.map(({ length }) => length)));
      for (const what of sees) expect(tally.counts[what], what).toBeGreaterThan(0);
    });
  }
});

// Large plays

const object = fc.nat(1);
const caller = fc.nat(2);

function moves(synchronous: boolean): fc.Arbitrary<Move[]> {
  const calls: fc.Arbitrary<Move>[] = [
    fc.record({ do: fc.constantFrom('note', 'gated', 'thread'), object, caller }),
    fc.record({ do: fc.constant('nest'), object, other: object, caller }),
  ];
  if (synchronous)
    calls.push(fc.record({ do: fc.constantFrom('tick', 'iterate', 'finish'), object, caller }));
  const move = fc.oneof(
    { weight: 8, arbitrary: fc.oneof(...calls) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('open'), which: fc.nat(3) }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('turn'), times: fc.integer({ min: 1, max: 2 }) }) },
    {
      weight: 3,
      arbitrary: fc.record(
        { do: fc.constant('swap'), object, ifInProgress: fc.constant('queue') },
        { requiredKeys: ['do', 'object'] },
      ),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('abort'), object }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('destroy'), object }) },
  );
  return fc.array<Move>(move, { maxLength: 60, size: 'max' });
}

describe('schedules drawn by lot', () => {
  for (const synchronous of [false, true])
    for (const freezes of [false, true]) {
      const name = `${synchronous ? 'synchronous' : 'asynchronous'}${freezes ? ', with background work' : ''}`;
      test(`${name}, seed ${SEED}`, { timeout: TIMEOUT_MS }, async () => {
        const stage: Play = { synchronous, freezes, objects: 2 };
        const tally = new Tally();
        const holds = fc.asyncProperty(moves(synchronous), (schedule) => tally.play(stage, schedule));
        await fc.assert(holds, { seed: SEED, numRuns: RUNS });
        for (const what of KEYS) expect(tally.counts[what], what).toBeGreaterThan(0);
      });
    }
});
