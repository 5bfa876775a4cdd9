/**
 * Goal: a byte map does what a Map does, for all processors at once: no change is lost, no value torn or stale, whatever
 * the others do, also when they are killed in the middle of it; and it leaves nothing behind.
 * Method: random histories beside a Map; real workers that hammer one map and check what they read (`programs/standard.ts`);
 * some of them killed at random moments. Replay: a failure names its seed.
 */
import type { Machine } from '@k42/rcu';
import { randomFrom } from '@k42/tooling/random';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Coid, create, destroy, handle, type Implementation, objectCounts } from '../../src/index.ts';
import { BUDGET_UNIT_BYTES, LINE_WORDS, STRIPE, STRIPES } from '../../src/internal/byteLayout.ts';
import { currentRoot, rootView } from '../../src/interpose.ts';
import {
  type ByteMap,
  type ByteMapOptions,
  DistributedByteMap,
  type DistributedByteMapOptions,
  SharedByteMap,
} from '../../src/standard/index.ts';
import { boot, done, runOn, stop, until, Victim } from './machines.ts';
import { COMMON_KEY, ordinalOf } from './programs/standard.ts';
import { replay, seeds } from './support.ts';

type ByteMapImplementation = Implementation<ByteMap, DistributedByteMapOptions | undefined>;
const IMPLEMENTATIONS: readonly [string, ByteMapImplementation, DistributedByteMapOptions][] = [
  ['shared', SharedByteMap, {}],
  ['distributed', DistributedByteMap, {}],
  ['distributed, with a small cache', DistributedByteMap, { cacheBytes: 4096 }],
  ['distributed, without a cache', DistributedByteMap, { cacheBytes: 0 }],
];

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString();
/** Half of them in the middle of a change, as a rule. */
const KILLS = Number(process.env.K42_KILLS ?? 5);

describe.each(IMPLEMENTATIONS)('%s', (_name, implementation, options) => {
  let machine: Machine;
  beforeEach(async () => {
    machine = await boot(3, { maxProcessors: 4 });
  });
  const make = (more: ByteMapOptions = {}): ByteMap =>
    handle(create(implementation, { ...options, ...more }));

  test.each(seeds(1))('beside a Map, seed %i', (seed) => {
    const random = randomFrom(seed);
    const map = make();
    const model = new Map<string, string>();
    const where = replay(seed, 'byteMap.test.ts');
    for (let step = 0; step < 10_000; step++) {
      const key = `key ${random(300)}`;
      const value = `${step};`.repeat(random(20));
      switch (random(10)) {
        case 0:
          expect(map.delete(key), where).toBe(model.delete(key));
          break;
        case 1: {
          const expected = random(2) === 0 ? model.get(key) : value;
          const fits = model.get(key) === expected;
          const after = random(3) === 0 ? undefined : value;
          const given = expected === undefined ? undefined : bytes(expected);
          expect(map.compareAndSet(key, given, after === undefined ? undefined : bytes(after)), where).toBe(
            fits,
          );
          if (fits && after !== undefined) model.set(key, after);
          else if (fits) model.delete(key);
          break;
        }
        case 2: {
          const seen = map.update(key, (before) => {
            expect(text(before), where).toBe(model.get(key));
            before?.fill(0);
            return random(3) === 0 ? undefined : bytes(value);
          });
          if (seen === undefined) model.delete(key);
          else model.set(key, text(seen) as string);
          break;
        }
        case 3:
        case 4:
          map.set(key, bytes(value));
          model.set(key, value);
          break;
        case 5:
          expect(map.has(key), where).toBe(model.has(key));
          expect(map.size(), where).toBe(model.size);
          break;
        case 6:
          if (random(500) !== 0) break;
          map.clear();
          model.clear();
          break;
        default:
          expect(text(map.get(key)), where).toBe(model.get(key));
      }
    }
    expect(map.keys().sort()).toEqual([...model.keys()].sort());
  });

  test('what it gives and what it is given are copies', () => {
    const map = make();
    const given = bytes('given');
    map.set('key', given);
    given.fill(0);
    map.get('key')?.fill(0);
    map.get('key')?.fill(0);
    const got = map.get('key') as Uint8Array;
    expect(text(got)).toBe('given');
    expect(got.buffer).not.toBeInstanceOf(SharedArrayBuffer);
    const shared = new Uint8Array(new SharedArrayBuffer(4, { maxByteLength: 64 }));
    map.set('shared', shared);
    expect(map.get('shared')).toEqual(new Uint8Array(4));
    map.set('empty', new Uint8Array(0));
    expect([map.get('empty')?.length, map.has('empty'), map.get('none'), map.has('none')]).toEqual([
      0,
      true,
      undefined,
      false,
    ]);
  });

  test('a change is seen by whoever looks afterwards, also if it has looked before', async () => {
    const coid = create(implementation, options);
    const map = handle(coid);
    for (let n = 1; n <= 30; n++) {
      for (const number of [1, 2, 1]) {
        expect(await machine.call(number, 'seen', [coid, 'key'])).toBe(n === 1 ? undefined : `${n - 1}`);
      }
      map.set('key', bytes(`${n}`));
    }
    map.delete('key');
    expect(await machine.call(1, 'seen', [coid, 'key'])).toBeUndefined();
  });

  test('bad arguments are refused and change nothing', () => {
    const map = make({ maxBytes: 64 });
    const invalid = expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' });
    map.set('key', bytes('value'));
    // @ts-expect-error: no bytes
    expect(() => map.set('key', 'text')).toThrowError(invalid);
    // @ts-expect-error: no bytes
    expect(() => map.update('key', () => 'text')).toThrowError(invalid);
    expect(() => map.set('key', new Uint8Array(2 ** 30 + 1))).toThrowError(invalid);
    // @ts-expect-error: no key
    for (const call of [() => map.get(1), () => map.set(1, bytes('')), () => map.delete(undefined)])
      expect(call).toThrowError(invalid);
    const tooLong = expect.objectContaining({ code: 'K42_KEY_TOO_LONG' });
    for (const call of [() => map.get('x'.repeat(8193)), () => map.set('x'.repeat(8193), bytes(''))])
      expect(call).toThrowError(tooLong);
    const full = expect.objectContaining({ code: 'K42_BYTE_MAP_FULL', maxBytes: 64 });
    expect(() => map.set('key', new Uint8Array(64))).toThrowError(full);
    expect(() => map.update('key', () => new Uint8Array(64))).toThrowError(full);
    expect(() => map.set('other', new Uint8Array(60))).toThrowError(full);
    expect(() =>
      map.update('key', () => {
        throw new RangeError('mine');
      }),
    ).toThrowError('mine');
    expect([map.keys(), text(map.get('key'))]).toEqual([['key'], 'value']);
    expect(() => create(implementation, { maxBytes: -1 })).toThrowError(invalid);
    expect(() => create(implementation, { maxBytes: Number.NaN })).toThrowError(invalid);
  });

  test('an update that is always overtaken gives up, and says so', () => {
    const map = make();
    let n = 0;
    expect(() =>
      map.update('key', () => {
        map.set('key', bytes(`${n++}`));
        return bytes('mine');
      }),
    ).toThrowError(expect.objectContaining({ code: 'K42_BYTE_MAP_CONTENDED', tries: 1000 }));
    expect(text(map.get('key'))).toBe('999');
  });

  test('leaves nothing behind', async () => {
    const before = objectCounts().bytes;
    const coid = create(implementation, options);
    await runOn(machine, [0, 1, 2], 'hammer', (number) => [coid, number, 2000]);
    expect(objectCounts().bytes).toBeGreaterThan(before);
    await destroy(coid);
    await until(() => objectCounts().bytes === before, 'its memory is free');
  });

  test.each(seeds(1))('three processors at once, seed %i', { timeout: 60_000 }, async (seed) => {
    const coid = create(implementation, options);
    const numbers = [0, 1, 2];
    const common = await runOn(machine, numbers, 'hammer', (number) => [coid, seed + number, 20_000]);
    const map = handle(coid);
    const total = ordinalOf(COMMON_KEY, map.get(COMMON_KEY) as Uint8Array);
    expect(total, replay(seed, 'byteMap.test.ts')).toBe(
      (common as number[]).reduce((sum, part) => sum + part),
    );
    expectWhole(machine, coid);
  });

  test('two that read while one writes, as fast as they can, never see what had been overwritten', async () => {
    const coid = create(implementation, options);
    const lastsMs = 500;
    const readers = runOn(machine, [1, 2], 'raceAlong', () => [coid, lastsMs]);
    const [written] = (await runOn(machine, [0], 'race', () => [coid, lastsMs])) as number[];
    expect(written).toBeGreaterThan(1000);
    expect(await readers).toEqual([0, 0]);
  });

  test.each(seeds())('processors killed at random moments, seed %i', { timeout: 120_000 }, async (seed) => {
    const random = randomFrom(seed);
    const where = `K42_KILLS=${KILLS} ${replay(seed, 'byteMap.test.ts')}`;
    const before = objectCounts().bytes;
    const coid = create(implementation, options);
    const forever = Number.MAX_SAFE_INTEGER;
    const survivors = runOn(machine, [1, 2], 'hammer', (number) => [coid, seed + number, forever]);
    let failure: unknown;
    survivors.catch((error: unknown) => {
      failure = error;
    });
    for (let kill = 0; kill < KILLS; kill++) {
      const seedOfVictim = random(1e9);
      const victim =
        kill % 2 === 0
          ? await Victim.start(machine, 'setOn', coid)
          : await Victim.start(machine, 'hammer', coid, seedOfVictim, forever);
      const untilAllHaveWorked = (numbers: readonly number[]): Promise<void> => {
        const from = numbers.map((number) => done(machine, number));
        return until(() => {
          expect([failure, victim.failure], where).toEqual([undefined, undefined]);
          return numbers.every((number, i) => done(machine, number) > (from[i] as number));
        }, `processors ${numbers} go on; ${where}`);
      };
      await untilAllHaveWorked([victim.number]);
      const killAt = performance.now() + random(2000) / 1000;
      while (performance.now() < killAt);
      await victim.kill(machine);
      await untilAllHaveWorked([1, 2]);
    }
    stop(machine);
    await survivors;
    expectWhole(machine, coid);
    const map = handle(coid);
    // Keys of the dead can be changed like any others.
    for (const key of map.keys()) map.set(key, bytes(`of ${key}`));
    for (const key of map.keys()) expect(text(map.get(key))).toBe(`of ${key}`);
    await destroy(coid);
    await until(() => objectCounts().objects === 0, 'it is destroyed');
    // Of each death a block at most; the largest have 64 KiB.
    expect(objectCounts().bytes - before, where).toBeLessThanOrEqual(KILLS * 2 ** 16);
  });
});

/** Reads all entries, and compares with them what the map says about them: how many they are, and what they come to. */
function expectWhole(machine: Machine, coid: Coid<ByteMap>): void {
  const map = handle(coid);
  const keys = map.keys();
  expect(new Set(keys).size).toBe(keys.length);
  expect(map.size()).toBe(keys.length);
  let units = 0;
  for (const key of keys) {
    const value = map.get(key) as Uint8Array;
    ordinalOf(key, value);
    units += Math.ceil((key.length + value.length) / BUDGET_UNIT_BYTES);
  }
  const { i32 } = machine.memory;
  // The state begins with the line number of the table.
  const table = (i32[rootView(currentRoot(coid)).context.stateOffset / 4] as number) * LINE_WORDS;
  let counted = 0;
  for (let index = 0; index < STRIPES; index++)
    counted += i32[table + index * LINE_WORDS + STRIPE.UNITS] as number;
  expect(counted).toBe(units);
}
