/**
 * Goal: an upgrade reaches every live object of an implementation and no other, or none; what is made meanwhile is not missed.
 * Method: dozens of counters made on three processors, of two implementations; an argument that is not to be had for one of them.
 */
import { type Coid, create, destroy } from '@k42/clustered';
import { currentRoot, implementationOf } from '@k42/clustered/interpose';
import { Machine } from '@k42/rcu';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UpgradeError, upgrade } from '../src/index.ts';
import { type Counter, DistributedCounter, SharedCounter, StrangeCounter } from './programs/counters.ts';

const program = new URL('./programs/counters.ts', import.meta.url);
let machine: Machine;
beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, program });
});
afterEach(async () => machine.close());

const nameOf = (coid: Coid<object>): string => implementationOf(currentRoot(coid)).name;

/** Counters that processors 0 to 2 have made and counted on, a few each. */
async function makeCounters(): Promise<Coid<Counter>[]> {
  const coids: Coid<Counter>[] = [];
  for (let n = 0; n < 12; n++)
    coids.push(n % 3 === 0 ? create(SharedCounter) : await machine.run(n % 3, 'createHere'));
  for (const [id, coid] of coids.entries()) await machine.run(id % 3, 'incHere', [coid, id]);
  return coids;
}

test('swaps every object, whoever has made it, those that are made meanwhile included, and no other', async () => {
  const coids = await makeCounters();
  const other = create(DistributedCounter);
  const strange = create(StrangeCounter);
  const upgrading = upgrade(SharedCounter, DistributedCounter);
  const late = create(SharedCounter);
  const reports = await upgrading;
  expect(reports.map(({ coid }) => coid as number).toSorted((a, b) => a - b)).toEqual(
    [...coids, late].map(Number).toSorted((a, b) => a - b),
  );
  for (const coid of [...coids, late, other]) expect(nameOf(coid)).toBe(DistributedCounter.name);
  expect(nameOf(strange)).toBe(StrangeCounter.name);
  // Their state has gone along.
  for (const [id, coid] of coids.entries())
    expect(await machine.run(id % 3, 'valueHere', [coid])).toBeGreaterThan(0);
  for (const coid of [...coids, late, other, strange]) await destroy(coid);
});

test('puts back what it has swapped when one object cannot be', async () => {
  const coids = await makeCounters();
  let built = 0;
  // The eleventh object is not to be had.
  const argument = (): never => {
    if (++built === 11) throw new Error('no more of these');
    return undefined as never;
  };
  const error = await upgrade(SharedCounter, DistributedCounter, { argument }).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UpgradeError);
  expect(error).toMatchObject({ code: 'K42_UPGRADE', upgraded: [], cause: { message: 'no more of these' } });
  expect((error as UpgradeError).reverted.length).toBeGreaterThan(0);
  for (const coid of coids) expect(nameOf(coid)).toBe(SharedCounter.name);
  for (const coid of coids) await destroy(coid);
});

test('without any object does nothing', async () => {
  expect(await upgrade(SharedCounter, DistributedCounter)).toEqual([]);
});
