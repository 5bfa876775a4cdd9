/**
 * Program of the tests of the standard objects: what processors do with them; and, as the entry of a plain Worker
 * (`Victim` in `machines.ts`), a thread that joins the machine, does it, and is killed in the middle of it.
 *
 * The block `test/standard` says how far everybody has come, so that nobody has to wait by sleeping: see WORDS.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { type Coid, handle } from '@k42/clustered';
import { currentRoot, rootView } from '@k42/clustered/interpose';
import { currentProcessor, joinMachine, PROCESSORS_MAX, type Ticket } from '@k42/rcu';
import '../../../src/standard/index.ts';
import { randomFrom } from '@k42/tooling/random';
import type { ByteMap, Counter, Histogram } from '../../../src/standard/index.ts';

/** Keys that each owner has in the map. The first ones are never deleted. */
export const KEYS = 24;
export const LASTING_KEYS = 12;
/** Words of the block. PROGRESS: KEYS for each owner, the number of the last change of that key that has been made. */
export const WORDS = { STOP: 0, DONE: 16, PROGRESS: 80 } as const;
export const WORDS_BYTES: number = 4 * (WORDS.PROGRESS + PROCESSORS_MAX * KEYS);

const base = (): number => currentProcessor().memory.block('test/standard', WORDS_BYTES) / 4;
const words = (): Int32Array => currentProcessor().memory.i32;

function hasStopped(): boolean {
  return Atomics.load(words(), base() + WORDS.STOP) !== 0;
}

// Counters

export function count(coid: Coid<Counter>, times: number, by: number): void {
  const counter = handle(coid);
  for (let i = 0; i < times; i++) {
    if (by === 1) counter.inc();
    else if (by === -1) counter.dec();
    else counter.add(by);
  }
}

/** Counts all sorts of things and gives their sum. */
export function countAtRandom(coid: Coid<Counter>, seed: number, steps: number): number {
  const counter = handle(coid);
  const random = randomFrom(seed);
  let sum = 0;
  for (let step = 0; step < steps; step++) {
    const by = random(50) === 0 ? random(2e9) - 1e9 : random(3) - 1;
    if (by === 1) counter.inc();
    else if (by === -1) counter.dec();
    else counter.add(by);
    sum += by;
  }
  return sum;
}

export function valuesOf(coid: Coid<Counter>): readonly [number, number] {
  const counter = handle(coid);
  return [counter.value(), counter.approximate()];
}

/** Counts until it is stopped, and says each time how far it is. */
export function countOn(coid: Coid<Counter>): number {
  const counter = handle(coid);
  const done = base() + WORDS.DONE + currentProcessor().number;
  let counts = 0;
  while (!hasStopped()) {
    counter.inc();
    Atomics.add(words(), done, 1);
    counts++;
  }
  return counts;
}

// Histograms

/** Values over many orders of magnitude, the same for the same seed. */
export function measurements(seed: number, length: number): number[] {
  const random = randomFrom(seed);
  return Array.from(
    { length },
    () => Math.exp((random(2 ** 20) / 2 ** 20) * 25) * (random(8) === 0 ? 0.001 : 1),
  );
}

export function recordAll(coid: Coid<Histogram>, seed: number, length: number): void {
  const histogram = handle(coid);
  for (const value of measurements(seed, length)) histogram.record(value);
}

/** Gets the share of this processor made without anything in it, as if it had died before it went on. */
export function makeShare(coid: Coid<Histogram>): number {
  return rootView(currentRoot(coid)).context.shareOffset;
}

// Maps

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const keyOf = (owner: number, index: number): string => `${owner}:${index}`;
export const COMMON_KEY = 'common';

/** Values of keys that begin with this are large: setting one is copying, with the lock held. */
const LARGE = 'large';
const LARGE_BYTES = 40_000;

/** The n-th value of a key; its length differs from that of its neighbours. */
export function valueFor(key: string, n: number): Uint8Array {
  const length = key.startsWith(LARGE) ? LARGE_BYTES + (n % 2) * 8000 : (n * 37) % 300;
  return encoder.encode(`${key}=${n};${String.fromCharCode(97 + (n % 26)).repeat(length)}`);
}

/** Which of its values a key has. @throws Error for anything that is none of them: torn, or another's. */
export function ordinalOf(key: string, bytes: Uint8Array): number {
  const n = Number(/=(\d+);/.exec(decoder.decode(bytes.subarray(0, 100)))?.[1]);
  if (Buffer.compare(bytes, valueFor(key, n)) !== 0)
    throw new Error(`${key} is torn: ${decoder.decode(bytes.subarray(0, 1000))}`);
  return n;
}

export function seen(coid: Coid<ByteMap>, key: string): string | undefined {
  const bytes = handle(coid).get(key);
  return bytes === undefined ? undefined : decoder.decode(bytes);
}

/**
 * Works on a map until it is stopped, or for some rounds: changes keys that are this number's alone, looks at everybody's,
 * and counts up one that all have in common; how often it did that is what it gives.
 *
 * What is checked: a value is one that its key has had, whole; it is not older than what its owner had made known before the
 * reading began; a key that is never deleted is there; and what one has oneself written is what one reads. A
 * number that had another owner before goes on from what that one left: the change made known last, or a little later.
 */
export async function hammer(coid: Coid<ByteMap>, seed: number, rounds: number): Promise<number> {
  const map = handle(coid);
  const random = randomFrom(seed);
  const me = currentProcessor().number;
  const progress = (owner: number, index: number): number => base() + WORDS.PROGRESS + owner * KEYS + index;
  const known = (owner: number, index: number): number => Atomics.load(words(), progress(owner, index));
  const fail = (what: string): never => {
    throw new Error(`processor ${me}, seed ${seed}: ${what}`);
  };

  const look = (owner: number, index: number): void => {
    const key = keyOf(owner, index);
    // Before the reading begins: pairs with the store of the owner after its change.
    const least = known(owner, index);
    const bytes = map.get(key);
    if (bytes === undefined) {
      if (index < LASTING_KEYS && least > 0) fail(`${key} is gone`);
      return;
    }
    const n = ordinalOf(key, bytes);
    if (n < least) fail(`${key} is stale: ${n}, and ${least} had been made known`);
    // The copy is ours to spoil.
    bytes.fill(0);
  };

  const mine = Array.from({ length: KEYS }, (_none, index) => {
    const before = known(me, index);
    const bytes = map.get(keyOf(me, index));
    const there = bytes === undefined ? undefined : ordinalOf(keyOf(me, index), bytes);
    // The one before may have made a change that it has not made known; if that was a deletion, it shows as one number left out.
    if (there !== undefined && (there < before || there > before + 2))
      fail(`${keyOf(me, index)} was left at ${there} after ${before}`);
    return there ?? before + 1;
  });

  const next = (index: number): number => {
    const n = (mine[index] as number) + 1;
    mine[index] = n;
    return n;
  };

  let common = 0;
  for (let round = 0; round < rounds && !hasStopped(); round++) {
    // Those who join need an answer from everybody.
    if (round % 256 === 0) await nextTurn();
    const index = random(KEYS);
    const key = keyOf(me, index);
    switch (random(8)) {
      case 0:
      case 1: {
        const n = next(index);
        map.set(key, valueFor(key, n));
        Atomics.store(words(), progress(me, index), n);
        if (ordinalOf(key, map.get(key) as Uint8Array) !== n) fail(`${key} is not what was set`);
        break;
      }
      case 2: {
        if (index < LASTING_KEYS) break;
        const n = next(index);
        map.delete(key);
        Atomics.store(words(), progress(me, index), n);
        if (map.has(key)) fail(`${key} is there after its deletion`);
        break;
      }
      case 3:
        if (random(8) !== 0) break;
        map.update(COMMON_KEY, (bytes) => {
          const n = bytes === undefined ? 0 : ordinalOf(COMMON_KEY, bytes);
          return valueFor(COMMON_KEY, n + 1);
        });
        common++;
        break;
      case 4:
        if (random(50) === 0 && new Set(map.keys()).size < LASTING_KEYS / 2 && round > 1000)
          fail('keys are missing');
        break;
      default:
        look(random(currentProcessor().processors), index);
    }
    Atomics.add(words(), base() + WORDS.DONE + me, 1);
  }
  return common;
}

/** Sets large values until it is stopped: most of the time it is in the middle of a change. */
export function setOn(coid: Coid<ByteMap>): void {
  const map = handle(coid);
  const me = currentProcessor().number;
  const keys = Array.from({ length: 4 }, (_none, index) => `${LARGE}:${me}:${index}`);
  const values = keys.map((key) => [valueFor(key, 1), valueFor(key, 2)] as const);
  for (let n = 0; !hasStopped(); n++) {
    const index = n % keys.length;
    map.set(keys[index] as string, (values[index] as readonly [Uint8Array, Uint8Array])[n % 8 < 4 ? 0 : 1]);
    Atomics.add(words(), base() + WORDS.DONE + me, 1);
  }
}

const RACE_KEY = 'race';

/** Sets one key again and again, as fast as can be, for so many milliseconds, and makes known each time what it has set. */
export function race(coid: Coid<ByteMap>, lastsMs: number): number {
  const map = handle(coid);
  const end = performance.now() + lastsMs;
  const progress = base() + WORDS.PROGRESS;
  const shared = words();
  const value = new Uint8Array(4);
  const view = new DataView(value.buffer);
  let n = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 100; i++) {
      view.setInt32(0, ++n);
      map.set(RACE_KEY, value);
      // Pairs with the load in raceAlong().
      Atomics.store(shared, progress, n);
    }
  }
  return n;
}

/** Reads that key meanwhile. Gives how often it was older than what had been made known before the reading began. */
export function raceAlong(coid: Coid<ByteMap>, lastsMs: number): number {
  const map = handle(coid);
  const end = performance.now() + lastsMs;
  const progress = base() + WORDS.PROGRESS;
  const shared = words();
  let stale = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 100; i++) {
      const least = Atomics.load(shared, progress);
      const bytes = map.get(RACE_KEY);
      if (bytes !== undefined && new DataView(bytes.buffer).getInt32(0) < least) stale++;
    }
  }
  return stale;
}

// As the entry of a worker

/** What a victim is told. */
export interface Doom {
  readonly ticket: Ticket;
  readonly name: 'hammer' | 'setOn' | 'countOn';
  readonly args: readonly unknown[];
}

async function live({ ticket, name, args }: Doom): Promise<void> {
  const { number } = await joinMachine(ticket);
  parentPort?.postMessage(number);
  const act = { hammer, setOn, countOn }[name] as (...args: readonly unknown[]) => unknown;
  await act(...args);
}

// Not awaited: joining loads this very module, which would then wait for itself.
if (!isMainThread && (workerData as Partial<Doom> | null)?.ticket?.k42 === 'ticket')
  void live(workerData as Doom);
