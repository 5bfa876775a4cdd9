/**
 * K42's own object tests, as a black box: what its `mhTest` and `allocdeallocTest` do, over all processors.
 */
import type { Machine } from '@k42/rcu';
import { randomFrom, shuffled } from '@k42/tooling/random';
import {
  type Coid,
  configureObjects,
  create,
  defineImplementation,
  defineInterface,
  destroy,
  objectCounts,
} from '../../src/index.ts';
import { createThing, GatedThing, type Thing } from '../programs/kill.ts';
import { Common } from '../programs/stress.ts';
import { type Counts, check, inTime, nothingLeft, onMachine, thrown } from './harness.ts';

const PROCESSORS = 4;
const OBJECTS = 21;
const REGION = 2 ** 22;
const PAGE = 4096;

/** 21 local, 21 shared in order and 21 shared at random: made, called, destroyed once each, and nothing is left after each. */
export function phases(seed: number): Promise<Counts> {
  const program = new URL('../programs/k42.ts', import.meta.url);
  return onMachine({ processors: PROCESSORS, program }, async (machine) => {
    check(OBJECTS <= Common.PLACES, 'there is a place for each');
    const everyone = machine.processors;
    const random = randomFrom(seed);
    let calls = 0;
    for (const phase of ['local', 'shared', 'random'] as const) {
      const shares = everyone.map((number) => Math.floor(((number + 1) * OBJECTS) / everyone.length));
      const makers = everyone.map((number) => {
        const first = shares[number - 1] ?? 0;
        return { number, first, count: (shares[number] as number) - first };
      });
      for (const { number, first, count } of makers) await machine.call(number, 'makeCells', [first, count]);
      check(objectCounts().objects === OBJECTS, `${objectCounts().objects} objects of ${OBJECTS} are there`);
      const answers = await Promise.all(
        makers.map(({ number, first, count }) =>
          phase === 'local'
            ? machine.run<string[]>(number, 'callCells', [first, count, 3, 0])
            : machine.run<string[]>(number, 'callCells', [
                0,
                OBJECTS,
                1 + random(3),
                phase === 'random' ? 1 + random(1000) : 0,
              ]),
        ),
      );
      check(answers.flat().length === 0, `Calls have failed:\n${answers.flat().join('\n')}`);
      calls += answers.length;
      const { reps } = objectCounts();
      const least = phase === 'local' ? OBJECTS : OBJECTS * everyone.length;
      check(reps === least, `${reps} Reps of ${OBJECTS} objects are there, not ${least}`);
      const destroyed = await inTime(
        Promise.all(
          everyone.map((number) => machine.run<number>(number, 'destroyOnce', [0, OBJECTS, random(1000)])),
        ),
        'objects to be destroyed',
      );
      const sum = destroyed.reduce((total, count) => total + count, 0);
      check(sum === OBJECTS, `${sum} objects were destroyed, not ${OBJECTS}`);
      await nothingLeft(machine.memory);
    }
    return { calls };
  });
}

/** Numbers across pages of the table: given out in order, at home with their creator, and the last freed first again. */
export function pages(seed: number): Promise<Counts> {
  const program = new URL('../programs/kill.ts', import.meta.url);
  return onMachine({ processors: 2, program }, async (machine) => {
    const count = 2 * PAGE + 10;
    const coids = Array.from({ length: count }, (_none, index) => createThing(index));
    check(
      coids.every((coid, index) => coid === (coids[0] as number) + 2 * index && coid % 2 === 0),
      'Fresh numbers are given out in order.',
    );
    const theirs = await machine.call<Coid<Thing>[]>(1, 'createThings', [[0, 1, 2]]);
    const home = `at home with their creator: ${theirs}`;
    check(
      theirs.every((coid, index) => coid === (coids[index] as number) + 1),
      home,
    );
    // Freed from afar, a number goes home.
    for (const coid of theirs) await destroy(coid);
    const again = await inTime(homeAgain(machine, theirs), 'numbers to come home');
    check(
      again.join() === theirs.toReversed().join(),
      `${again} are given out again, not ${theirs} backwards`,
    );

    for (const coid of [coids.at(-1), ...coids.filter((coid) => (coid + 1) % PAGE < 2)] as Coid<Thing>[]) {
      await destroy(coid);
      check(createThing(coid) === coid, 'the number freed is given out again');
    }
    const random = randomFrom(seed);
    const orders = {
      ascending: coids,
      descending: coids.toReversed(),
      random: shuffled(random, coids),
      'one page, backwards': coids.filter((coid) => coid >>> 12 === 1).toReversed(),
      'around the edges': coids.filter((coid) => (coid + 2) % PAGE < 4),
    };
    for (const [name, order] of Object.entries(orders)) {
      await inTime(Promise.all(order.map((coid) => destroy(coid))), `numbers to be freed, ${name}`);
      for (const coid of order.toReversed()) {
        const given = create(GatedThing, coid);
        check(given === coid, `Freed ${name}: ${given} is given out, and ${coid} was freed last.`);
      }
    }
    await exhaust(count);
    await inTime(Promise.all([...coids, ...again].map((coid) => destroy(coid))), 'all to be destroyed');
    await nothingLeft(machine.memory);
    return { objects: count };
  });
}

/** Has processor 1 make as many objects as before, again and again until it gives out the numbers that were freed. */
async function homeAgain(machine: Machine, coids: readonly Coid<Thing>[]): Promise<Coid<Thing>[]> {
  // What was freed last was posted before the promise settled that this has waited for: it is there in a turn or two.
  for (;;) {
    const made = await machine.call<Coid<Thing>[]>(1, 'createThings', [coids.map(() => 0)]);
    if (made.every((coid) => coids.includes(coid))) return made;
    await machine.run(1, 'destroyAll', [made]);
  }
}

/** A region that has given out all it may says so; what comes back may be given out again. */
async function exhaust(used: number): Promise<void> {
  for (const regionCapacity of [0, -1, 1.5, REGION, Number.NaN])
    check(
      thrown(() => configureObjects({ regionCapacity })) === 'K42_INVALID_ARGUMENT',
      `a region of ${regionCapacity}`,
    );
  configureObjects({ regionCapacity: used + 2 });
  const bytes = objectCounts().bytes;
  const more = [createThing(1), createThing(2)];
  check(
    thrown(() => createThing(3)) === 'K42_REGION_EXHAUSTED',
    'More numbers than the region has were given out.',
  );
  await destroy(more.pop() as Coid<Thing>);
  more.push(createThing(4));
  check(
    thrown(() => createThing(5)) === 'K42_REGION_EXHAUSTED',
    'More numbers than the region has were given out.',
  );
  // Fewer than there are: those that live stay, and none is added until it is raised.
  configureObjects({ regionCapacity: 1 });
  check(
    thrown(() => createThing(6)) === 'K42_REGION_EXHAUSTED',
    'a number beyond the capacity was given out',
  );
  configureObjects({ regionCapacity: REGION - 1 });
  more.push(createThing(7));
  await Promise.all(more.map((coid) => destroy(coid)));
  check(objectCounts().bytes === bytes, 'A create that was refused has cost memory.');
}

const LARGE_BYTES = 100_000;
const Large = defineImplementation<{ size(): number }>({
  name: 'test/large@1',
  interface: defineInterface<{ size(): number }>('test/large', { size: 'sync' }),
  distribution: 'shared',
  stateBytes: LARGE_BYTES,
  Rep: class {
    size(): number {
      return LARGE_BYTES;
    }
  },
});

/** A large state counts, and comes back. */
export function large(): Promise<Counts> {
  return onMachine({ processors: 1 }, async (machine) => {
    const before = machine.memory.allocatedBytes;
    const coid = create(Large);
    const { bytes, reservedBytes } = objectCounts();
    check(bytes >= LARGE_BYTES, `An object of ${LARGE_BYTES} bytes is counted as ${bytes}.`);
    check(reservedBytes >= bytes, `${bytes} bytes are in use of ${reservedBytes} that are set aside.`);
    await destroy(coid);
    const left = machine.memory.allocatedBytes - before;
    // Table page and directory stay.
    check(left < LARGE_BYTES * 2, `${left} bytes stay.`);
    await nothingLeft(machine.memory);
    return { bytes };
  });
}
