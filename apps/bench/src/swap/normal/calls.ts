/**
 * Normal calls after swaps, at a site through which several implementations have been swapped.
 *
 * A site calls a list of objects while each is swapped from the first implementation to the second, third, ...; between the
 * swaps it is called until V8 has compiled it, and during them, so that it has met mediators as well. Then, when no swap is
 * near, calls through it are timed beside those of the same classes at
 * - `still`: a site of its own, through handles to objects that were made of each implementation, and never swapped;
 * - `direct`: a site of its own, on plain objects;
 * - `forwarder`: one through objects in front, written by hand, whose target was replaced as often.
 *
 * For a process of its own: what V8 has learnt before would count.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Coid, handle } from '@k42/clustered';
import { swap } from '@k42/hotswap';
import { Forwarder, type Shift, VARIETIES, type Variety } from '../../dispatch/shift.ts';
import { nanosecondsEach, sampleRepeats } from '../../measure/timing.ts';
import {
  createObjects,
  OBJECTS,
  plainObjects,
  type ShiftImplementation,
  STILL,
  SWAPPED,
  strayObjects,
} from './varieties.ts';

export interface NormalCallSpec {
  /** Implementations, one after the other, of each object: 2 to 8. */
  readonly implementations: number;
  readonly repeats: number;
  /** Calls in one sample. */
  readonly calls: number;
}

export type NormalWay = 'swapped' | 'still' | 'direct' | 'forwarder';

export interface NormalCallResult {
  /** Nanoseconds per call, a sample per repeat. */
  readonly samples: Record<NormalWay, number[]>;
  readonly swaps: number;
  /** Calls at the site that were forwarded by mediators. */
  readonly forwarded: number;
  /** Objects that have lost their number. */
  readonly strays: number;
}

/** Repeats until V8 has compiled everything for what a site has met; short ones, so that few meet somebody else's turn. */
const WARM_UPS = 12;
/** Objects that are swapped at the same time. */
const BATCH = 16;

// One site each.

function passSwapped(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function passStill(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function passDirect(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function passForwarders(objects: readonly Shift[]): number {
  let done = 0;
  for (const object of objects) done += object.shift(1);
  return done;
}

function time(pass: (objects: readonly Shift[]) => number, objects: readonly Shift[], calls: number): number {
  const passes = Math.ceil(calls / OBJECTS);
  let done = 0;
  const begun = performance.now();
  for (let i = 0; i < passes; i++) done += pass(objects);
  return nanosecondsEach(begun, passes * OBJECTS, done);
}

/** On a machine of one processor, with nothing else to do. */
export async function timeNormalCalls(spec: NormalCallSpec): Promise<NormalCallResult> {
  const { implementations, repeats, calls } = spec;
  const coids = createObjects(SWAPPED[0] as ShiftImplementation);
  const swapped = coids.map((coid) => handle(coid));
  const stillCoids: Coid<Shift>[][] = [];
  let still: Shift[] = [];
  let direct: Shift[] = [];
  const forwarders = plainObjects(VARIETIES[0] as Variety).map((object) => new Forwarder(object));
  let [swaps, forwarded] = [0, 0];
  const ways: Record<NormalWay, () => number> = {
    swapped: () => time(passSwapped, swapped, calls),
    still: () => time(passStill, still, calls),
    direct: () => time(passDirect, direct, calls),
    forwarder: () => time(passForwarders, forwarders, calls),
  };
  for (let index = 0; index < implementations; index++) {
    if (index !== 0) {
      const reports = await swapAll(coids, SWAPPED[index] as ShiftImplementation, () => passSwapped(swapped));
      swaps += reports.length;
      forwarded += reports.reduce((sum, count) => sum + count, 0);
    }
    const made = createObjects(STILL[index] as ShiftImplementation);
    stillCoids.push(made);
    still = made.map((coid) => handle(coid));
    direct = plainObjects(VARIETIES[index] as Variety);
    for (const [place, forwarder] of forwarders.entries()) forwarder.target = direct[place] as Shift;
    await sampleRepeats(ways, { repeats: 0, warmUps: WARM_UPS });
  }
  const samples = await sampleRepeats(ways, { repeats, warmUps: WARM_UPS });
  const strays = [coids, ...stillCoids].reduce((sum, list) => sum + strayObjects(list), 0);
  return { samples, swaps, forwarded, strays };
}

/** Swaps all objects, while the site goes on calling them; of each swap, the calls that were forwarded. */
async function swapAll(
  coids: readonly Coid<Shift>[],
  implementation: ShiftImplementation,
  call: () => void,
): Promise<number[]> {
  const forwarded: number[] = [];
  for (let first = 0; first < coids.length; first += BATCH) {
    const batch = coids.slice(first, first + BATCH);
    let pending = batch.length;
    const reports = Promise.all(
      batch.map(async (coid) => {
        try {
          return (await swap(coid, implementation)).forwarded;
        } finally {
          pending--;
        }
      }),
    );
    while (pending > 0) {
      call();
      await nextTurn();
    }
    forwarded.push(...(await reports));
  }
  return forwarded;
}
