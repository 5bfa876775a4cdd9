/**
 * Goal: counters count every call once, on all processors, across deaths, and read as they promise.
 * Method: real workers that count known and random amounts; one that is killed while it counts.
 */
import type { Machine } from '@k42/rcu';
import { randomFrom } from '@k42/tooling/random';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Coid, create, destroy, handle, type Implementation, objectCounts } from '../../src/index.ts';
import {
  type Counter,
  DistributedCounter,
  type DistributedCounterOptions,
  SharedCounter,
} from '../../src/standard/index.ts';
import { boot, done, runOn, stop, until, Victim } from './machines.ts';
import { replay, seeds } from './support.ts';

const IMPLEMENTATIONS: readonly [string, Implementation<Counter, DistributedCounterOptions | undefined>][] = [
  ['shared', SharedCounter],
  ['distributed', DistributedCounter],
];

describe.each(IMPLEMENTATIONS)('%s', (_name, implementation) => {
  let machine: Machine;
  beforeEach(async () => {
    machine = await boot(3);
  });
  const all = [0, 1, 2];

  test('counts what all processors count, once', async () => {
    const coid = create(implementation, { start: 1000 });
    const counter = handle(coid);
    expect([counter.value(), counter.approximate()]).toEqual([1000, 1000]);
    await runOn(machine, all, 'count', () => [coid, 10_000, 1]);
    expect(counter.value()).toBe(31_000);
    await runOn(machine, all, 'count', (number) => [coid, 1000 * number, -1]);
    expect(counter.value()).toBe(28_000);
    await runOn(machine, all, 'count', (number) => [coid, 10, 10 ** number]);
    expect(counter.value()).toBe(28_000 + 1110);
    for (const [value] of (await runOn(machine, all, 'valuesOf', () => [coid])) as number[][])
      expect(value).toBe(29_110);
  });

  test('counts large numbers exactly', () => {
    const counter = handle(create(implementation, { start: -7 }));
    counter.add(2 ** 53 - 1);
    counter.inc();
    expect(counter.value()).toBe(2 ** 53 - 7);
    counter.add(-(2 ** 53 - 1));
    counter.dec();
    expect(counter.value()).toBe(-7);
    for (let i = 0; i < 100; i++) counter.add(2 ** 31);
    expect(counter.value()).toBe(100 * 2 ** 31 - 7);
  });

  test('refuses what it cannot count, and options that make no sense', () => {
    const invalid = expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' });
    const counter = handle(create(implementation, undefined));
    for (const by of [0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])
      expect(() => counter.add(by)).toThrowError(invalid);
    expect(counter.value()).toBe(0);
    expect(() => create(implementation, { start: 0.5 })).toThrowError(invalid);
  });

  test('leaves nothing behind', async () => {
    const before = objectCounts().bytes;
    const coid = create(implementation, undefined);
    await runOn(machine, all, 'count', () => [coid, 10, 1]);
    expect(objectCounts().bytes).toBeGreaterThan(before);
    await destroy(coid);
    await until(() => objectCounts().bytes === before, 'its memory is free');
  });
});

describe('distributed', () => {
  /** Checks that the counter reads `value`, and about that. */
  const expectValue = (coid: Coid<Counter>, value: number, batch: number, processors: number): void => {
    const counter = handle(coid);
    expect(counter.value()).toBe(value);
    expect(Math.abs(counter.approximate() - value)).toBeLessThan(batch * processors);
  };

  test.each(seeds(1, 2))('random amounts, with all batches; seed %i', async (seed) => {
    const machine = await boot(3);
    const random = randomFrom(seed);
    for (const batch of [1, 2, 64, 1000, 2 ** 30]) {
      const coid = create(DistributedCounter, { batch });
      let sum = 0;
      for (let round = 0; round < 5; round++) {
        const sums = await runOn(machine, [0, 1, 2], 'countAtRandom', () => [
          coid,
          random(1e9),
          random(3000),
        ]);
        for (const part of sums as number[]) sum += part;
        expect(handle(coid).value(), replay(seed, 'counter.test.ts')).toBe(sum);
        expectValue(coid, sum, batch, 3);
        if (batch === 1) expect(handle(coid).approximate()).toBe(sum);
      }
    }
  });

  test('a batch has to be a whole number of at least one', () => {
    return boot(1).then(() => {
      for (const batch of [0, -1, 1.5, Number.NaN, 2 ** 31])
        expect(() => create(DistributedCounter, { batch })).toThrowError(
          expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }),
        );
    });
  });

  test('what a killed processor has counted is counted, and the next of its number goes on from it', async () => {
    const machine = await boot(2, { maxProcessors: 3 });
    const batch = 50;
    const coid = create(DistributedCounter, { batch });
    const numbers = new Set<number>();
    let before = 0;
    for (let life = 0; life < 12; life++) {
      const from = done(machine, 2);
      const victim = await Victim.start(machine, 'countOn', coid);
      numbers.add(victim.number);
      await until(() => done(machine, victim.number) > from + 1000, 'the victim counts');
      await victim.kill(machine);
      // It counts, then says so: of the last count it may not have said so.
      const said = done(machine, victim.number);
      const counter = handle(coid);
      const now = counter.value();
      expect(now - before).toBeGreaterThanOrEqual(said - from);
      expect(now - before).toBeLessThanOrEqual(said - from + 1);
      before = now;
      expectValue(coid, now, batch, 3);
    }
    expect([...numbers]).toEqual([2]);
    await runOn(machine, [0, 1], 'count', () => [coid, 1000, 1]);
    expectValue(coid, before + 2000, batch, 3);
    stop(machine);
    expect(await machine.run(1, 'countOn', [coid])).toBe(0);
  });
});
