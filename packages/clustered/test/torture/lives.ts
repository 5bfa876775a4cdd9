/**
 * What an object's life promises while everybody lives, one thing after the other at chosen points: the ground that the stress
 * tests cover at random, so that each promise has a scene that fails when it alone is broken.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Machine, rcu } from '@k42/rcu';
import { type Coid, create, destroy, handle, nameObject, reviveCoid, storeCoid } from '../../src/index.ts';
import { STATE } from '../../src/internal/layout.ts';
import { objects } from '../../src/internal/system.ts';
import { createRoot, reclaimRoot } from '../../src/interpose.ts';
import { arm, GATE, GatedThing, openGate, standsAt, Thing, tries } from '../programs/kill.ts';
import {
  type Counts,
  check,
  inTime,
  nothingLeft,
  onMachine,
  refusal,
  thrown,
  turns,
  until,
  WAIT_MS,
  watch,
} from './harness.ts';

const PROGRAM = new URL('../programs/kill.ts', import.meta.url);
const GONE = 'K42_OBJECT_GONE';

/** Scenes by the name of their scenario; all run on three processors. */
const scenes = {
  goneEverywhere,
  callsEndFirst,
  untouchedThreads,
  missesKeepWritersOut,
  writersKeepMissesOut,
  wholeWhenFound,
  numbersOfTheGone,
  stayWhatTheyAre,
};

export const lives: Readonly<Record<string, () => Promise<Counts>>> = Object.fromEntries(
  Object.entries(scenes).map(([name, scene]) => [
    `life:${name}`,
    () =>
      onMachine({ processors: 3, program: PROGRAM }, async (machine) => {
        const counts = await scene(machine);
        await nothingLeft(machine.memory);
        return counts;
      }),
  ]),
);

const stateOf = (coid: number): number => objects().gtt.state(coid);

/** Has every processor a chance to do what it may do now. */
async function settle(machine: Machine): Promise<void> {
  for (let pass = 0; pass < 3; pass++) {
    for (const number of machine.processors) await machine.run(number, 'createThings', [[]]);
    await turns();
  }
}

/** A destroyed object is gone on every processor that has a slot, called or not, and for ever. */
async function goneEverywhere(machine: Machine): Promise<Counts> {
  const coid = create(GatedThing, 1);
  await machine.run(1, 'identityOf', [coid]);
  for (const number of [1, 2]) await machine.run(number, 'keepHandle', [coid]);
  await inTime(destroy(coid), 'an object to be destroyed');
  for (const number of [1, 2]) {
    const code = await refusal(machine.run(number, 'callKept', [coid]));
    check(code === GONE, `A kept handle of processor ${number} outlived its object: ${code}`);
  }
  check(create(GatedThing, 2) === coid, 'the number is used again');
  for (const number of [1, 2]) {
    check((await machine.run(number, 'identityOf', [coid])) === 2, 'the new object is called');
    const code = await refusal(machine.run(number, 'callKept', [coid]));
    check(code === GONE, `A kept handle of processor ${number} reached another object: ${code}`);
  }
  await inTime(destroy(coid), 'an object to be destroyed');
  return { objects: 2 };
}

/** Whatever kind of call is in flight, on whichever processor, it ends on the whole object before that is reclaimed. */
async function callsEndFirst(machine: Machine): Promise<Counts> {
  const kinds: [what: string, name: string, ...args: unknown[]][] = [
    ['an asynchronous call', 'lastingCall', 'later'],
    ['a waiting call', 'lastingCall', 'park'],
    ['an iterator', 'lastingIterator'],
    ['use of a kept Root', 'keepUntilReleased'],
  ];
  for (const [what, name, ...args] of kinds) {
    for (const user of [0, 1]) {
      const coid = create(GatedThing, 7);
      const used = machine.run(user, name, [coid, ...args]);
      await machine.run(user, 'createThings', [[]]);
      const destroyed = destroy(coid);
      const state = watch(destroyed);
      await until(
        () => stateOf(coid) !== STATE.LIVE,
        () => 'a destruction to begin',
      );
      await settle(machine);
      check(!state.settled && stateOf(coid) === STATE.DESTROYING, `${what} was not waited for.`);
      await machine.run(user, 'release');
      const result = await inTime(used, `${what} to end`);
      check(result === 7 || result === undefined, `${what} ended with ${result}.`);
      await inTime(destroyed, `an object to be destroyed when ${what} has ended`);
    }
  }
  return { kinds: kinds.length };
}

/** A thread that has read a number just before finds the object gone, and never another one, though it had no slot. */
async function untouchedThreads(machine: Machine): Promise<Counts> {
  const coid = create(GatedThing, 1);
  const thread = machine.run(1, 'lastingThread', [coid]);
  await machine.run(1, 'createThings', [[]]);
  const destroyed = destroy(coid);
  const state = watch(destroyed);
  await until(
    () => stateOf(coid) === STATE.RETIRED || state.settled,
    () => 'an object to be reclaimed',
  );
  await settle(machine);
  check(!state.settled, 'A number was free while a thread might still use it.');
  const other = create(GatedThing, 2);
  check(other !== coid, 'A number was given out while a thread might still use it.');
  await machine.run(1, 'release');
  check((await refusal(inTime(thread, 'a thread to end'))) === GONE, 'the thread found something else');
  await inTime(destroyed, 'an object to be destroyed when a thread has ended');
  await inTime(destroy(other), 'another object to be destroyed');
  return { threads: 1 };
}

/** While a miss is in progress nobody has the entry for writing; the destruction goes on when it ends. */
async function missesKeepWritersOut(machine: Machine): Promise<Counts> {
  const coid = create(GatedThing, 3);
  arm(machine.memory, GATE.MISS, 1);
  const miss = machine.run(1, 'identityOf', [coid]);
  await until(
    () => standsAt(machine.memory, GATE.MISS),
    () => 'a miss to begin',
  );
  const destroyed = destroy(coid);
  await turns(30);
  check(stateOf(coid) === STATE.LIVE, 'An object was marked during a miss.');
  check((await machine.run(2, 'identityOf', [coid])) === 3, 'misses do not keep misses out');
  openGate(machine.memory, GATE.MISS);
  check((await inTime(miss, 'the miss to end')) === 3, 'the miss gives its Rep');
  await inTime(destroyed, 'an object to be destroyed when a miss has ended');
  return { misses: 2 };
}

/** While an entry is held for writing no miss gets in; who waited finds what the writer has left. */
async function writersKeepMissesOut(machine: Machine): Promise<Counts> {
  const coid = create(GatedThing, 4);
  arm(machine.memory, GATE.HOLD_DESTROY, 1);
  const destroyed = machine.run(1, 'destroyAll', [[coid]]);
  await until(
    () => standsAt(machine.memory, GATE.HOLD_DESTROY),
    () => 'an entry to be held',
  );
  const miss = refusal(machine.run(2, 'tryIdentityOf', [coid]));
  const state = watch(miss);
  await until(
    () => tries(machine.memory) === 1,
    () => 'a miss to try',
  );
  // Time to get in, if anything lets it.
  await delay(50);
  check(!state.settled, 'A miss got into an entry that is held for writing.');
  openGate(machine.memory, GATE.HOLD_DESTROY);
  const found = await inTime(miss, 'a miss to get in after a writer');
  check(found === GONE, `a miss after the mark: ${found}`);
  await inTime(destroyed, 'an object to be destroyed');
  return { misses: 1 };
}

/** Who finds an object, finds it whole: also the first moment, and also where another has been before. */
async function wholeWhenFound(machine: Machine): Promise<Counts> {
  const rounds = 60;
  for (let identity = 1; identity <= rounds; identity++) {
    const coid = create(GatedThing, identity);
    await destroy(coid);
    // Has the record of the dead: what still leads there is found out.
    const heir = createRoot(GatedThing, Thing, 500);
    const found = machine.run(1, 'lookFor', [coid]);
    // From here on it looks, or does so in a moment.
    if (identity % 2 === 0) await turns(20);
    check(create(GatedThing, 1000 + identity) === coid, 'the number is used again');
    const seen = await inTime(found, 'an object to be found');
    check(
      seen === 1000 + identity,
      `An object was found before it was whole: identity ${seen}, not ${1000 + identity}.`,
    );
    reclaimRoot(heir);
    await inTime(destroy(coid), 'an object to be destroyed');
  }
  return { rounds };
}

/** A number whose object is gone names nothing, whatever is done with it before another object has it. */
async function numbersOfTheGone(_machine: Machine): Promise<Counts> {
  const coid: Coid<Thing> = create(GatedThing, 1);
  const first = storeCoid(coid);
  await inTime(destroy(coid), 'an object to be destroyed');
  check(thrown(() => handle(coid)) === GONE, 'A handle of nothing was made.');
  check(thrown(() => reviveCoid(first)) === GONE, 'A stored number was revived without an object.');
  const stored = thrown(() => storeCoid(coid));
  const again = destroy(coid);
  const refused = refusal(again);
  const next = create(GatedThing, 2);
  check(next === coid, 'the number is used again');
  check((await refused) === GONE, 'Destroying what is gone destroyed the object that has its number now.');
  check(handle(next).identity() === 2, 'the new object is called');
  check(stored === GONE, 'The number of an object that is gone was stored, and is good for the next one.');
  await inTime(destroy(next), 'an object to be destroyed');
  await rcu.barrier({ deadlineMs: WAIT_MS });
  return { objects: 2 };
}

/** An object that was found stays the same until the turn ends, or the thread, on a processor that had no slot of it. */
async function stayWhatTheyAre(machine: Machine): Promise<Counts> {
  const { memory } = machine;
  for (const by of ['number', 'name']) {
    const coid = create(GatedThing, 1);
    nameObject(coid, 'found');
    arm(memory, GATE.TURN, 1);
    const found =
      by === 'number'
        ? machine.run(1, 'reviveAndCall', [storeCoid(coid)])
        : machine.run(1, 'findAndCall', ['found']);
    await until(
      () => standsAt(memory, GATE.TURN),
      () => 'a turn to have found its object',
    );
    const destroyed = destroy(coid);
    await until(
      () => stateOf(coid) !== STATE.LIVE,
      () => 'a destruction to begin',
    );
    await turns(50);
    // Another one under the same number, if there can be one by now.
    const other = create(GatedThing, 2);
    openGate(memory, GATE.TURN);
    const code = await refusal(inTime(found, 'a turn to end'));
    check(
      other !== coid && code === GONE,
      `An object found by its ${by} was another one in the same turn: ${code}`,
    );
    await inTime(Promise.all([destroyed, destroy(other)]), 'objects to be destroyed');
  }
  return { objects: 4 };
}
