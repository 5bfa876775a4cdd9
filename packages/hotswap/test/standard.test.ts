/**
 * Goal: the standard objects are swapped in every direction under load with nothing lost, leave no memory behind, and are as
 * they were if a swap fails.
 * Method: three real workers work on an object while it goes through all its implementations again and again; what they say
 * that must be in it is compared with what is in it. Ownership of a map's table is followed by hand, step by step.
 * Replay with the seed that is printed: K42_SEED=<seed> pnpm --filter @k42/hotswap test test/standard.test.ts
 */
import { Worker } from 'node:worker_threads';
import { type AnyImplementation, create, destroy, handle, type Implementation } from '@k42/clustered';
import { createRoot, currentRoot, implementationOf, reclaimRoot, rootView } from '@k42/clustered/interpose';
import {
  ByteMap,
  type Counter,
  DistributedByteMap,
  DistributedCounter,
  DistributedHistogram,
  type Histogram,
  SharedByteMap,
  SharedCounter,
  SharedHistogram,
} from '@k42/clustered/standard';
import { Machine } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type SwappableRoot, swap } from '../src/index.ts';
import {
  ByValueByteMap,
  COMMON_KEY,
  contentOf,
  type Doom,
  FailingByteMap,
  type Measured,
  rounds,
  setLarge,
  setStop,
} from './programs/standard.ts';
import { bytesInUse, until } from './support.ts';

const program = new URL('./programs/standard.ts', import.meta.url);
const seed = Number(process.env.K42_SEED ?? Date.now() % 2 ** 31);
const COUNTERS = [SharedCounter, DistributedCounter] as const;
const HISTOGRAMS = [SharedHistogram, DistributedHistogram] as const;
const MAPS = [SharedByteMap, DistributedByteMap] as const;
const SWAPS = 40;
let machine: Machine;
let before: number;

beforeEach(async () => {
  // Two more numbers, for those who are killed.
  machine = await Machine.boot({ processors: 3, maxProcessors: 5, program });
  before = bytesInUse(machine);
});
afterEach(() => machine.close());

/** From each implementation to itself, to the other, and back: 0 0 1 1 0 0 ... */
const route = (step: number): 0 | 1 => ((step + 1) % 4 < 2 ? 0 : 1);

/** Has three processors work on an object while it is swapped `SWAPS` times; gives what each says at the end. */
async function underLoad<R, T extends object, A>(
  coid: Parameters<typeof swap<T, A>>[0],
  implementations: readonly [Implementation<T, A>, Implementation<T, A>],
  work: string,
): Promise<R[]> {
  setStop(false);
  const workers = [0, 1, 2].map((number) => machine.run<R>(number, work, [coid, seed + number]));
  for (const worker of workers) worker.catch(() => {});
  for (let step = 1; step <= SWAPS; step++) {
    const [from, to] = [implementations[route(step - 1)], implementations[route(step)]];
    const made = rounds();
    // Whoever fails ends early.
    await Promise.race([until(() => rounds() > made + 3), Promise.all(workers)]);
    expect(await swap(coid, to), `seed ${seed}`).toMatchObject({ from: from.name, to: to.name });
  }
  setStop(true);
  return Promise.all(workers);
}

const nameOf = (coid: number): string => implementationOf(currentRoot(coid)).name;

/** Destroys an object and waits until machine memory is as it was when the test began. */
async function expectNothingLeft(coid: number): Promise<void> {
  await destroy(coid as Parameters<typeof destroy>[0]);
  await until(() => bytesInUse(machine) === before);
}

describe('a counter', () => {
  test('to and fro under load: the sum of all', async () => {
    const coid = create(SharedCounter, { start: 7 });
    const sums = await underLoad<number, Counter, undefined | object>(coid, COUNTERS, 'countUntilStopped');
    expect(handle(coid).value(), `seed ${seed}`).toBe(sums.reduce((sum, part) => sum + part, 7));
    await expectNothingLeft(coid);
  });

  test('keeps what shares of several processors come to, and its batch; an argument may change that', async () => {
    const coid = create(DistributedCounter, { start: 3, batch: 5 });
    handle(coid).add(4);
    expect(handle(coid).approximate()).toBe(3);
    await swap(coid, SharedCounter, { argument: { start: 100 } });
    expect(handle(coid).value()).toBe(7);
    // By way of the shared one, which has no use for a batch.
    await swap(coid, DistributedCounter);
    handle(coid).add(4);
    expect([handle(coid).value(), handle(coid).approximate()]).toEqual([11, 7]);
    handle(coid).inc();
    expect(handle(coid).approximate()).toBe(12);
    await swap(coid, DistributedCounter, { argument: { batch: 2 } });
    handle(coid).add(2);
    expect(handle(coid).approximate()).toBe(14);
  });
});

describe('a histogram', () => {
  const range = { lowest: 2, highest: 2e5, digits: 3 };

  test('to and fro under load: every value once, and the range it was made with', async () => {
    const coid = create(SharedHistogram, range);
    const parts = await underLoad<Measured, Histogram, undefined | object>(
      coid,
      HISTOGRAMS,
      'recordUntilStopped',
    );
    const histogram = handle(coid);
    const { count, sum, min, max, overflow } = histogram.snapshot();
    const totals = (field: keyof Measured): number[] => parts.map((part) => part[field]);
    const added = (field: keyof Measured): number => totals(field).reduce((a, b) => a + b, 0);
    expect({ count, sum, min, max }, `seed ${seed}`).toEqual({
      count: added('count'),
      sum: added('sum'),
      min: Math.min(...totals('min')),
      max: Math.max(...totals('max')),
    });
    // Up to 10^6 were recorded: a default range would have had no overflow.
    expect(overflow).toBeGreaterThan(0);
    await expectNothingLeft(coid);
  });

  test.each([
    [SharedHistogram, DistributedHistogram],
    [DistributedHistogram, SharedHistogram],
    [SharedHistogram, SharedHistogram],
    [DistributedHistogram, DistributedHistogram],
  ])('an argument changes the range: what was recorded is as close as both allow', async (from, to) => {
    const coid = create(from, { lowest: 1, highest: 1e6, digits: 3 });
    const histogram = handle(coid);
    for (let value = 1; value <= 1000; value++) histogram.record(value * 100);
    histogram.record(5e6);
    const exact = histogram.snapshot();
    await swap(coid, to, { argument: { lowest: 500, digits: 2 } });
    const after = histogram.snapshot();
    expect(after).toMatchObject({ count: 1001, sum: exact.sum, min: 100, max: 5e6, overflow: 1 });
    // 100 to 400 are below the range now.
    expect(after.buckets[0]).toMatchObject({ from: 0, to: 500, count: 4 });
    for (const q of [0.1, 0.5, 0.9])
      expect(Math.abs(histogram.quantile(q) / (q * 1e5) - 1)).toBeLessThan(0.012);
    // An argument that cannot be brought together with what is kept.
    const refused = swap(coid, from, { argument: { lowest: 2e6, digits: 2 } });
    await expect(refused).rejects.toMatchObject({
      cause: expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }),
    });
    expect(histogram.snapshot()).toEqual(after);
    await expectNothingLeft(coid);
  });
});

describe('a map', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  test('to and fro under load: every key has its last value', async () => {
    const coid = create(SharedByteMap, { maxBytes: 2 ** 22 });
    const parts = await underLoad<{ own: [string, string][]; counted: number }, ByteMap, undefined | object>(
      coid,
      MAPS,
      'changeUntilStopped',
    );
    const counted = parts.reduce((sum, part) => sum + part.counted, 0);
    expect(new Map(contentOf(handle(coid))), `seed ${seed}`).toEqual(
      new Map([[COMMON_KEY, String(counted)], ...parts.flatMap((part) => part.own)]),
    );
    expect(handle(coid).size()).toBe(handle(coid).keys().length);
    await expectNothingLeft(coid);
  });

  test('goes over by reference, by value where the other side knows no table; its budget goes along', async () => {
    const coid = create(DistributedByteMap, { maxBytes: 1000 });
    const map = handle(coid);
    map.set('key', bytes('value'));
    const full = expect.objectContaining({ code: 'K42_BYTE_MAP_FULL', maxBytes: 1000 });
    const [table, entries] = ['k42/byte-map-table@1', 'k42/byte-map-entries@1'];
    const ways = [
      [SharedByteMap, table],
      [ByValueByteMap, entries],
      [ByValueByteMap, entries],
      [DistributedByteMap, entries],
      [DistributedByteMap, table],
    ] as const;
    for (const [target, protocol] of ways) {
      expect((await swap(coid, target)).protocol).toBe(protocol);
      expect(contentOf(map)).toEqual([['key', 'value']]);
      expect(() => map.set('large', new Uint8Array(1000))).toThrowError(full);
    }
    await swap(coid, SharedByteMap, { argument: { maxBytes: 4 } });
    // More than it may hold by now stays, but nothing comes in.
    expect(() => map.set('another', bytes('value'))).toThrowError(expect.objectContaining({ maxBytes: 4 }));
    expect(contentOf(map)).toEqual([['key', 'value']]);
    await expectNothingLeft(coid);
  });

  test.each(MAPS)('a swap that fails leaves everything: $name', async (implementation) => {
    const coid = create(implementation as Implementation<ByteMap, undefined>, undefined);
    const map = handle(coid);
    map.set('key', bytes('value'));
    const [root, inUse] = [currentRoot(coid), bytesInUse(machine)];
    for (let n = 0; n < 3; n++)
      await expect(swap(coid, FailingByteMap)).rejects.toMatchObject({
        cause: expect.objectContaining({ message: 'import asked to fail' }),
      });
    await until(() => bytesInUse(machine) === inUse);
    expect(currentRoot(coid)).toBe(root);
    map.set('more', bytes('value'));
    expect(contentOf(map).sort()).toEqual([
      ['key', 'value'],
      ['more', 'value'],
    ]);
    await swap(coid, SharedByteMap);
    expect(map.size()).toBe(2);
    expect(nameOf(coid)).toBe(SharedByteMap.name);
    await expectNothingLeft(coid);
  });

  test('has one owner of its table, whoever says so how often, and in which order', () => {
    const root = (implementation: AnyImplementation): bigint =>
      createRoot(implementation as Implementation<ByteMap, undefined>, ByteMap, undefined);
    const view = (word: bigint) =>
      rootView(word) as ReturnType<typeof rootView> &
        Required<Pick<SwappableRoot, 'adopt' | 'relinquish'>> &
        SwappableRoot;
    const map = (word: bigint) =>
      rootView(word).handleMiss({ coid: 0, processor: 0, install: false }) as ByteMap;
    const move = (from: bigint, to: bigint): void =>
      void view(to).importPart(
        'k42/byte-map-table@1',
        { kind: 'root' },
        view(from).exportPart('k42/byte-map-table@1', { kind: 'root' }),
      );
    const [first, second, third, aborted] = [
      root(SharedByteMap),
      root(DistributedByteMap),
      root(SharedByteMap),
      root(DistributedByteMap),
    ] as const;
    map(first).set('key', bytes('value'));
    move(first, aborted);
    reclaimRoot(aborted);
    move(first, second);
    view(second).adopt();
    view(second).adopt();
    view(first).relinquish();
    view(first).relinquish();
    reclaimRoot(first);
    expect(contentOf(map(second))).toEqual([['key', 'value']]);
    move(second, third);
    view(second).relinquish();
    view(third).adopt();
    // Somebody who finishes the first of the two swaps, late.
    view(second).adopt();
    reclaimRoot(second);
    map(third).set('key', bytes('another'));
    expect(contentOf(map(third))).toEqual([['key', 'another']]);
    reclaimRoot(third);
    expect(bytesInUse(machine)).toBe(before);
  });

  test('what a processor that died in a change has left is repaired before the other locks take over', async () => {
    const DEATHS = 4;
    const coid = create(DistributedByteMap, undefined);
    for (let death = 0; death < DEATHS; death++) {
      const doom: Doom = { ticket: machine.ticket(), coid };
      const worker = new Worker(program, { workerData: doom });
      const number = await new Promise<number>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      await until(() => !machine.processors.includes(number));
      await swap(coid, MAPS[death % 2] as (typeof MAPS)[0]);
      // Overwrites whatever would have told of the block that is lost.
      setLarge(coid);
    }
    expect(handle(coid).size()).toBe(1);
    await expectNothingLeft(coid);
  });
});
