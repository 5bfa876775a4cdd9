/**
 * Deaths at chosen points: of whatever stands in the middle of something that others wait for.
 *
 * After each the survivors go on without waiting for a deadline, the destroyed object's number becomes free, and nothing is left
 * but what the scene says that a death may cost. Whoever has the number next creates, and finds what its predecessor left.
 */
import type { Machine } from '@k42/rcu';
import { type Coid, create, destroy, handle, liveObjects, nameObject, objectNamed } from '../../src/index.ts';
import { STATE } from '../../src/internal/layout.ts';
import { objects } from '../../src/internal/system.ts';
import {
  arm,
  DividedNotes,
  GATE,
  GatedThing,
  identityOf,
  type Notes,
  openGate,
  standsAt,
  Thing,
  tries,
} from '../programs/kill.ts';
import {
  addProcessor,
  type Counts,
  check,
  inTime,
  nothingLeft,
  onMachine,
  refusal,
  turns,
  until,
  Victim,
  WAIT_MS,
  watch,
} from './harness.ts';

const PROGRAM = new URL('../programs/kill.ts', import.meta.url);
const VICTIM = 2;
/** Numbers are given out in steps of so many, on a machine for three or four processors. */
const STEP = 4;

interface Stage {
  readonly machine: Machine;
  readonly victim: Victim;
}

/** Blocks that a death in these scenes costs at most; one unless said otherwise. */
const BLOCKS_LOST: Readonly<Record<string, number>> = {
  // The record, and the block that `initialise` had got for it already.
  inInitialise: 2,
};

const scenes = {
  inMiss,
  inMissOfItsOwn,
  holdingAnEntry,
  inInitialise,
  whileOthersRetire,
  withOpenCallsElsewhere,
  inCleanUp,
  inReclaim,
  inLastGracePeriod,
  asked,
  atHome,
  leavesObjects,
};

export const deaths: Readonly<Record<string, () => Promise<Counts>>> = Object.fromEntries(
  Object.entries(scenes).map(([name, scene]) => [
    `death:${name}`,
    () =>
      onMachine({ processors: 2, maxProcessors: 3, program: PROGRAM }, async (machine) => {
        const victim = await Victim.join(machine);
        check(victim.number === VICTIM, `the victim is processor ${victim.number}`);
        await scene({ machine, victim });
        await successor(machine);
        return { lost: await nothingLeft(machine.memory, BLOCKS_LOST[name] ?? 1) };
      }),
  ]),
);

const stateOf = (coid: number): number => objects().gtt.state(coid);

const inState = (coid: number, state: number, what: string): Promise<void> =>
  until(
    () => stateOf(coid) === state,
    () => `${what}; its state is ${stateOf(coid)}`,
  );

/** Waits until the host has taken over a destruction, and has everybody a chance to do what may be done now. */
async function takenOver(machine: Machine, coid: number): Promise<void> {
  await until(
    () => objects().gtt.destroyer(coid) !== VICTIM,
    () => 'the host to take over a destruction',
  );
  for (let pass = 0; pass < 5; pass++) {
    await machine.run(1, 'createThings', [[]]);
    await turns();
  }
}

/** Has the victim do something that ends at a gate. */
async function toGate({ machine }: Stage, gate: number, name: string, args: unknown[]): Promise<void> {
  arm(machine.memory, gate, VICTIM);
  machine.run(VICTIM, name, args).catch(() => {});
  await until(
    () => standsAt(machine.memory, gate),
    () => `the victim to stand at gate ${gate}`,
  );
}

/** The survivors use an object and destroy it. */
async function survivorsGoOn({ machine }: Stage, coid: Coid<Thing>, identity: number): Promise<void> {
  check(identityOf(coid) === identity, 'the host calls the object');
  const found = await inTime(machine.run(1, 'identityOf', [coid]), 'a survivor to call the object');
  check(found === identity, `a survivor found ${found}`);
  await inTime(destroy(coid), 'the object to be destroyed by a survivor');
}

async function isFreeAgain(coid: Coid<Thing>): Promise<void> {
  await inState(coid, STATE.FREE, 'the number of a destroyed object to be free');
  const next = create(GatedThing, 99);
  check(next === coid, `the number given out next is ${next}, not ${coid}`);
  await inTime(destroy(next), 'the next object of that number to be destroyed');
}

/** Has a processor take the number, which creates, calls and destroys. */
async function successor(machine: Machine): Promise<void> {
  if (machine.processors.includes(VICTIM)) return;
  const number = await addProcessor(machine);
  check(number === VICTIM, `the successor is processor ${number}`);
  const coid = await machine.run<Coid<Thing>>(number, 'createThing', [5]);
  check(coid % STEP === VICTIM, `the successor created ${coid}`);
  await survivorsGoOn({ machine } as Stage, coid, 5);
}

/** In a miss while a destruction wants in. */
async function inMiss(stage: Stage): Promise<void> {
  const coid = create(GatedThing, 1);
  await toGate(stage, GATE.MISS, 'identityOf', [coid]);
  const found = await inTime(stage.machine.run(1, 'identityOf', [coid]), 'a miss beside the dead');
  check(found === 1, `a survivor found ${found}`);
  const destroyed = destroy(coid);
  const state = watch(destroyed);
  await turns(30);
  check(!state.settled && stateOf(coid) === STATE.LIVE, 'An object was marked during a miss.');
  await stage.victim.kill();
  await inTime(destroyed, 'a destruction to go on when who was in a miss has died');
  await isFreeAgain(coid);
}

/** In a miss on an object of its own region, with nobody waiting. */
async function inMissOfItsOwn(stage: Stage): Promise<void> {
  const coid = await stage.machine.run<Coid<Thing>>(VICTIM, 'createThing', [2]);
  await toGate(stage, GATE.MISS, 'identityOf', [coid]);
  await stage.victim.kill();
  await survivorsGoOn(stage, coid, 2);
}

/** With an entry held for writing, while others want in. */
async function holdingAnEntry(stage: Stage): Promise<void> {
  const coid = create(GatedThing, 3);
  const other = create(GatedThing, 4);
  await toGate(stage, GATE.HOLD_DESTROY, 'destroyAll', [[coid]]);
  const miss = stage.machine.run(1, 'tryIdentityOf', [coid]);
  const state = watch(miss);
  await until(
    () => tries(stage.machine.memory) === 1,
    () => 'a miss to try',
  );
  check(!state.settled, 'A miss got into an entry that is held for writing.');
  await stage.victim.kill();
  check((await inTime(miss, 'a miss to get in when the writer has died')) === 3, 'the object is whole');
  await survivorsGoOn(stage, coid, 3);
  await survivorsGoOn(stage, other, 4);
}

/** While it makes an object. */
async function inInitialise(stage: Stage): Promise<void> {
  const coids = await stage.machine.run<Coid<Thing>[]>(VICTIM, 'createThings', [[1, 2]]);
  await toGate(stage, GATE.INITIALISE, 'createThing', [3]);
  await stage.victim.kill();
  check([...liveObjects()].length === 2, 'Nobody finds an object that was not whole.');
  for (const [index, coid] of coids.entries()) await survivorsGoOn(stage, coid, index + 1);
}

/** Having marked an object that a thread elsewhere still uses. */
async function whileOthersRetire(stage: Stage): Promise<void> {
  const coid = create(GatedThing, 6);
  const call = stage.machine.run(1, 'lastingCall', [coid, 'later']);
  await stage.machine.run(VICTIM, 'identityOf', [coid]);
  stage.machine.run(VICTIM, 'destroyAll', [[coid]]).catch(() => {});
  await inState(coid, STATE.DESTROYING, 'a destruction to begin');
  await stage.victim.kill();
  await takenOver(stage.machine, coid);
  check(
    stateOf(coid) === STATE.DESTROYING,
    'A call in flight was not waited for when the destroyer had died.',
  );
  const code = await refusal(destroy(coid));
  check(code === 'K42_OBJECT_GONE', `a second destruction: ${code}`);
  await stage.machine.run(1, 'release');
  check((await inTime(call, 'the call to end')) === 6, 'A call ended on an object that was not whole.');
  await isFreeAgain(coid);
}

/** The same with calls that are no threads, on a processor that has let go of its slot for the dead already. */
async function withOpenCallsElsewhere(stage: Stage): Promise<void> {
  const { machine, victim } = stage;
  const kinds = [['lastingCall', 'park'], ['lastingIterator'], ['keepUntilReleased']] as const;
  const used = kinds.map(([name, ...args], index) => {
    const coid = create(GatedThing, 10 + index);
    return { name, coid, call: machine.run(1, name, [coid, ...args]) };
  });
  const coids = used.map(({ coid }) => coid);
  for (const coid of coids) await machine.run(1, 'keepHandle', [coid]);
  machine.run(VICTIM, 'destroyAll', [coids]).catch(() => {});
  for (const coid of coids) await inState(coid, STATE.DESTROYING, 'a destruction to begin');
  for (const coid of coids) await letGo(machine, coid);
  await victim.kill();
  for (const coid of coids) await takenOver(machine, coid);
  for (const { name, coid } of used)
    check(stateOf(coid) === STATE.DESTROYING, `${name} was not waited for when the destroyer had died.`);
  await machine.run(1, 'release');
  for (const { name, call, coid } of used) {
    const result = await inTime(call, `${name} to end`);
    const identity = 10 + coids.indexOf(coid);
    check(result === identity || result === undefined, `${name} ended with ${result}, not ${identity}.`);
    await inState(coid, STATE.FREE, 'the number of a destroyed object to be free');
  }
}

/** Waits until processor 1 has taken out its slot, because it has been asked to. */
async function letGo(machine: Machine, coid: Coid<Thing>): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while ((await refusal(machine.run(1, 'callKept', [coid]))) !== 'K42_OBJECT_GONE')
    check(performance.now() < end, 'Waited in vain for a processor to let go of an object.');
}

/** Being asked to clean up. */
async function inCleanUp(stage: Stage): Promise<void> {
  const coid = create(GatedThing, 8);
  await stage.machine.run(VICTIM, 'identityOf', [coid]);
  arm(stage.machine.memory, GATE.CLEAN_UP, VICTIM);
  const destroyed = destroy(coid);
  await until(
    () => standsAt(stage.machine.memory, GATE.CLEAN_UP),
    () => 'the victim to clean up',
  );
  await stage.victim.kill();
  await inTime(destroyed, 'a destruction to go on when who cleaned up has died');
  await isFreeAgain(coid);
}

/** In `reclaim`: what the Root had not freed yet is lost, and nothing is freed twice. */
async function inReclaim(stage: Stage): Promise<void> {
  const coid = create(GatedThing, 9);
  await toGate(stage, GATE.RECLAIM, 'destroyAll', [[coid]]);
  check(stateOf(coid) === STATE.RECLAIMING, `the state is ${stateOf(coid)}`);
  await stage.victim.kill();
  await isFreeAgain(coid);
}

/** Waiting for the grace period before its number is free. */
async function inLastGracePeriod(stage: Stage): Promise<void> {
  const { machine, victim } = stage;
  const coid = create(GatedThing, 10);
  const other = create(GatedThing, 11);
  await toGate(stage, GATE.RECLAIM, 'destroyAll', [[coid]]);
  const thread = machine.run(1, 'lastingCall', [other, 'later']);
  await machine.run(1, 'createThings', [[]]);
  openGate(machine.memory, GATE.RECLAIM);
  await inState(coid, STATE.RETIRED, 'an object to be reclaimed');
  await victim.kill();
  await takenOver(machine, coid);
  check(stateOf(coid) === STATE.RETIRED, 'A number was free while a thread might still use it.');
  await machine.run(1, 'release');
  await inTime(thread, 'a thread to end');
  await isFreeAgain(coid);
  await inTime(destroy(other), 'another object to be destroyed');
}

/** Asked to let go of an object that its own thread uses. */
async function asked(stage: Stage): Promise<void> {
  const coid = create(GatedThing, 12);
  stage.machine.run(VICTIM, 'lastingCall', [coid, 'later']).catch(() => {});
  await stage.machine.run(VICTIM, 'createThings', [[]]);
  const destroyed = destroy(coid);
  const state = watch(destroyed);
  await inState(coid, STATE.DESTROYING, 'a destruction to begin');
  await turns(30);
  check(!state.settled, 'a call in flight was not waited for');
  await stage.victim.kill();
  await inTime(destroyed, 'a destruction to go on when who was asked has died');
  await isFreeAgain(coid);
}

/** The numbers of its region, freed in every way before and after it died, are the successor's. */
async function atHome(stage: Stage): Promise<void> {
  const { machine, victim } = stage;
  // Not in their first lives.
  const first = await machine.run<Coid<Thing>[]>(VICTIM, 'createThings', [[0, 0, 0, 0, 0]]);
  await machine.run(VICTIM, 'destroyAll', [first]);
  const coids = await machine.run<Coid<Thing>[]>(VICTIM, 'createThings', [[0, 1, 2, 3, 4]]);
  const [before, doing, after, ...living] = coids as [Coid<Thing>, Coid<Thing>, Coid<Thing>];
  await machine.run(VICTIM, 'destroyAll', [[before]]);
  await toGate(stage, GATE.RECLAIM, 'destroyAll', [[doing]]);
  await victim.kill();
  await inTime(destroy(after), 'an object of the dead to be destroyed');
  await inState(doing, STATE.FREED, 'the destruction of the dead to be gone on with');
  check((await addProcessor(machine)) === VICTIM, 'the number is reused');
  const made = await machine.run<Coid<Thing>[]>(VICTIM, 'createThings', [[10, 11, 12, 13]]);
  const expected = [before, doing, after, Math.max(...coids) + STEP];
  const said = `the successor gives out ${[...made].sort()}, not ${expected}`;
  check([...made].sort().join() === [...expected].sort().join(), said);
  for (const coid of living)
    check(identityOf(coid) === coids.indexOf(coid), 'those that live are as they were');
  for (const coid of [...living, ...made]) await inTime(destroy(coid), 'an object to be destroyed');
}

/** Objects of the dead live on: their names, their shares and the Reps of others. */
async function leavesObjects(stage: Stage): Promise<void> {
  const { machine, victim } = stage;
  const [thing] = await machine.run<[Coid<Thing>]>(VICTIM, 'createThings', [[42]]);
  nameObject(thing, 'left');
  const notes: Coid<Notes> = create(DividedNotes);
  for (const number of [0, 1, VICTIM]) await machine.run(number, 'writeNote', [notes, 100 + number]);
  await victim.kill();
  check(objectNamed('left', Thing) === thing, 'an object keeps its name');
  await addProcessor(machine);
  for (const number of [0, 1, VICTIM]) {
    const note = await machine.run(number, 'readNote', [notes]);
    check(note === 100 + number, `processor ${number} finds ${note} in its share`);
  }
  check(handle(thing).identity() === 42, 'the object of the dead is called');
  await inTime(Promise.all([destroy(thing), destroy(notes)]), 'objects to be destroyed');
  await until(
    () => objectNamed('left', Thing) === undefined,
    () => 'a name to go with its object',
  );
}
