/**
 * Calls where an interface has several implementations.
 *
 * `timeMet`: a site that has met a number of them, one after the other. The default object is one of them, since every
 * object's first call finds it. Then the site goes on with objects of the last one (`last`), and with objects of all in turn
 * (`turns`). `timeAlone`: sites that meet one implementation each, of objects in use already, while all eight are called at
 * another site of the same thread, which was compiled before.
 *
 * In each case through handles, through forwarders written by hand, and directly: what V8 makes of the same classes.
 */
import { type Coid, handle } from '@k42/clustered';
import { sampleRepeats } from '../measure/timing.ts';
import { type Pass, type Result, timePasses, WARM_UPS } from './passes.ts';
import {
  createObjects,
  Forwarder,
  makeFirstCalls,
  OBJECTS,
  plainObjects,
  type Shift,
  StandIn,
  strayCalls,
  VARIETIES,
  type Variety,
} from './shift.ts';

export interface MetSpec {
  readonly repeats: number;
  /** Calls in one sample. */
  readonly calls: number;
  /** Implementations that the site has met, the default object among them: 2 to 9. */
  readonly met: number;
}

export type MetWay =
  | 'directLast'
  | 'handleLast'
  | 'forwarderLast'
  | 'directTurns'
  | 'handleTurns'
  | 'forwarderTurns';

export type AloneWay = 'direct' | 'handleFirst' | 'handleEighth' | 'forwarder';

/** The same objects in three forms. */
interface Objects {
  readonly coids: readonly Coid<Shift>[];
  readonly plain: readonly Shift[];
  readonly handles: readonly Shift[];
  readonly forwarders: readonly Forwarder[];
}

function makeObjects(varieties: readonly Variety[]): Objects {
  const coids = createObjects(varieties);
  const plain = plainObjects(varieties);
  return {
    coids,
    plain,
    handles: coids.map((coid) => handle(coid)),
    forwarders: plain.map((object) => new Forwarder(object)),
  };
}

// One site each.

function passDirect(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function passHandles(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function passForwarders(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function passDirectAlone(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function passFirstAlone(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function passEighthAlone(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function passForwardersAlone(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

/** Called by name, on a processor with nothing else to do. */
export async function timeMet({ repeats, calls, met }: MetSpec): Promise<Result<MetWay>> {
  const varieties = VARIETIES.slice(0, met - 1);
  meetStandIns();
  const each = varieties.map((variety) => makeObjects([variety]));
  for (const objects of each) meet(objects, calls);
  const last = each[each.length - 1];
  if (last === undefined) throw new Error(`dispatch: ${met} implementations, the default object included?`);
  const turns = makeObjects(varieties);
  const measure: Record<MetWay, () => number> = {
    directLast: () => timePasses(calls, () => passDirect(last.plain)),
    handleLast: () => timePasses(calls, () => passHandles(last.handles)),
    forwarderLast: () => timePasses(calls, () => passForwarders(last.forwarders)),
    directTurns: () => timePasses(calls, () => passDirect(turns.plain)),
    handleTurns: () => timePasses(calls, () => passHandles(turns.handles)),
    forwarderTurns: () => timePasses(calls, () => passForwarders(turns.forwarders)),
  };
  const samples = await sampleRepeats(measure, { repeats, warmUps: WARM_UPS });
  return { samples, strays: sum([...each, turns].map(({ coids }) => strayCalls(coids))) };
}

/** Called by name, on a processor with nothing else to do. */
export async function timeAlone({ repeats, calls }: Omit<MetSpec, 'met'>): Promise<Result<AloneWay>> {
  meetStandIns();
  const all = makeObjects(VARIETIES);
  meet(all, calls);
  const [first, eighth] = [makeObjects(VARIETIES.slice(0, 1)), makeObjects(VARIETIES.slice(-1))];
  for (const { coids } of [first, eighth]) makeFirstCalls(coids);
  /** With the other site in use in between. */
  const beside = (pass: Pass): number => {
    passDirect(all.plain);
    passHandles(all.handles);
    passForwarders(all.forwarders);
    return timePasses(calls, pass);
  };
  const measure: Record<AloneWay, () => number> = {
    direct: () => beside(() => passDirectAlone(first.plain)),
    handleFirst: () => beside(() => passFirstAlone(first.handles)),
    handleEighth: () => beside(() => passEighthAlone(eighth.handles)),
    forwarder: () => beside(() => passForwardersAlone(first.forwarders)),
  };
  const samples = await sampleRepeats(measure, { repeats, warmUps: WARM_UPS });
  return { samples, strays: sum([all, first, eighth].map(({ coids }) => strayCalls(coids))) };
}

/** What handles do on their first calls, for the two that have no default object. */
function meetStandIns(): void {
  const standIns = Array.from({ length: OBJECTS }, () => new StandIn());
  passDirect(standIns);
  passForwarders(standIns.map((object) => new Forwarder(object)));
}

/** Until V8 has compiled the sites for these, as well as for those before. */
function meet({ plain, handles, forwarders }: Objects, calls: number): void {
  for (let repeat = 0; repeat < WARM_UPS; repeat++) {
    timePasses(calls, () => passDirect(plain));
    timePasses(calls, () => passHandles(handles));
    timePasses(calls, () => passForwarders(forwarders));
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
