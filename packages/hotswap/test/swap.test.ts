/**
 * Goal: an object is replaced under load on all processors at once, or not at all, and its clients cannot tell.
 * Method: real workers hammer one counter in every way a client can while it is swapped to and fro; every call carries
 * an identifier, so that a lost, doubled or misdirected call is counted as such (programs/counters.ts).
 */

import { type Coid, create, destroy, handle } from '@k42/clustered';
import { currentRoot, implementationOf } from '@k42/clustered/interpose';
import { Machine, spawn } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type SwapReport, swap } from '../src/index.ts';
import {
  type Counter,
  DistributedCounter,
  LEDGER,
  Ledger,
  SharedCounter,
  StrangeCounter,
} from './programs/counters.ts';
import { bytesInUse, until } from './support.ts';

const program = new URL('./programs/counters.ts', import.meta.url);
const PER_PROCESSOR = 4_000_000;
let machine: Machine;
let ledger: Ledger;

beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, program });
  ledger = new Ledger(machine.memory);
});
afterEach(async () => machine.close());

/** Starts clients on all processors; the function returned stops them and checks every call they made. */
function load(coid: Coid<Counter>): () => Promise<void> {
  const clients = [0, 1, 2].map((number) =>
    machine.run<number>(number, 'hammer', [coid, number * PER_PROCESSOR]),
  );
  // Observed now so that a failure is not reported as unhandled while swaps go on.
  for (const client of clients) client.catch(() => {});
  return async () => {
    ledger.set(LEDGER.STOP, 1);
    const ends = await Promise.all(clients);
    let calls = 0;
    ends.forEach((end, number) => {
      for (let id = number * PER_PROCESSOR; id < end; id++) {
        if (!ledger.noted(id)) throw new Error(`call ${id} of processor ${number} was lost`);
        calls++;
      }
      expect(end).toBeGreaterThan(number * PER_PROCESSOR);
    });
    expect(ledger.get(LEDGER.TWICE)).toBe(0);
    expect(ledger.get(LEDGER.WRONG)).toBe(0);
    expect(await handle(coid).value()).toBe(calls);
    ledger.set(LEDGER.STOP, 0);
  };
}

const nameOf = (coid: Coid<Counter>): string => implementationOf(currentRoot(coid)).name;

/** Turns of the event loop until a swap of the object has interposed its Mediator. */
async function interposed(coid: Coid<Counter>): Promise<void> {
  while (nameOf(coid) !== 'hotswap/mediator@1') await new Promise<void>((resolve) => setImmediate(resolve));
}

describe('swap', () => {
  test('an idle object: state moves, the handle stays', async () => {
    const coid = create(SharedCounter);
    const counter = handle(coid);
    for (let id = 0; id < 10; id++) counter.inc(id);
    const there = await swap(coid, DistributedCounter);
    expect(nameOf(coid)).toBe('test/counter-distributed@1');
    expect(there).toMatchObject({
      participants: [0],
      from: 'test/counter-shared@1',
      to: 'test/counter-distributed@1',
    });
    expect(await counter.value()).toBe(10);
    expect(counter.inc(10)).toBe(11);
    await swap(coid, SharedCounter);
    expect(await counter.value()).toBe(11);
    expect(ledger.get(LEDGER.WRONG)).toBe(0);
  });

  test('an object nobody has called yet', async () => {
    const coid = create(SharedCounter);
    const report = await swap(coid, DistributedCounter);
    expect(report.participants).toEqual([0]);
    expect(await machine.call(1, 'incHere', [coid, 1])).toBe(1);
  });

  test('an object only other processors have called', async () => {
    const coid = create(SharedCounter);
    await machine.call(1, 'incHere', [coid, 1]);
    await machine.call(2, 'incHere', [coid, 2]);
    const report = await swap(coid, DistributedCounter);
    // The initiator takes part too.
    expect(report.participants).toEqual([0, 1, 2]);
    expect(await machine.call(2, 'valueHere', [coid])).toBe(2);
    expect(await handle(coid).value()).toBe(2);
  });

  test('state that the initiator alone holds goes along in the next swap, whoever initiates it', async () => {
    const coid = await machine.call<Coid<Counter>>(1, 'createHere');
    await machine.call(1, 'incHere', [coid, 1]);
    // Processor 0 has never called the object; it may import the root part all the same.
    await swap(coid, DistributedCounter);
    await machine.run(2, 'swapHere', [coid, 'shared']);
    expect(await machine.call(2, 'valueHere', [coid])).toBe(1);
  });

  test('a hundred times to and fro under load from three processors: no call lost, doubled or misdirected', async () => {
    const coid = create(SharedCounter);
    const stop = load(coid);
    const reports: SwapReport[] = [];
    for (let round = 0; round < 200; round++) {
      reports.push(await swap(coid, round % 2 === 0 ? DistributedCounter : SharedCounter));
    }
    await stop();
    expect(nameOf(coid)).toBe('test/counter-shared@1');
    const all = reports.filter((report) => report.participants.length === 3);
    expect(all.length).toBeGreaterThan(180);
    expect(reports.reduce((sum, report) => sum + report.forwarded, 0)).toBeGreaterThan(100);
    expect(reports.reduce((sum, report) => sum + report.queued, 0)).toBeGreaterThan(0);
  }, 120_000);

  test('leaves nothing behind: machine memory is back where it was', async () => {
    const before = bytesInUse(machine);
    const coid = create(SharedCounter);
    const stop = load(coid);
    for (let round = 0; round < 10; round++)
      await swap(coid, round % 2 === 0 ? DistributedCounter : SharedCounter);
    await stop();
    await destroy(coid);
    // Reclamation of the last swap goes on in the background.
    await until(() => bytesInUse(machine) === before);
  }, 60_000);
});

describe('a swap that fails', () => {
  test('for want of a common protocol touches nothing and names both lists', async () => {
    const coid = create(SharedCounter);
    handle(coid).inc(1);
    const root = currentRoot(coid);
    const before = bytesInUse(machine);
    await expect(swap(coid, StrangeCounter)).rejects.toMatchObject({
      code: 'K42_SWAP_NEGOTIATION',
      exports: ['test/counter-total@1'],
      imports: ['test/strange@1'],
    });
    expect(currentRoot(coid)).toBe(root);
    expect(bytesInUse(machine)).toBe(before);
  });

  test('in an import, under load, leaves the old object serving, on every processor; a retry works', async () => {
    const coid = create(SharedCounter);
    const stop = load(coid);
    for (let round = 0; round < 20; round++) {
      ledger.set(LEDGER.FAIL_IMPORTS, 1);
      const before = nameOf(coid);
      const target = round % 2 === 0 ? DistributedCounter : SharedCounter;
      await expect(swap(coid, target)).rejects.toMatchObject({
        code: 'K42_SWAP_IMPORT',
        cause: expect.objectContaining({ message: 'import asked to fail' }),
      });
      expect(nameOf(coid)).toBe(before);
      ledger.set(LEDGER.FAIL_IMPORTS, 0);
      await swap(coid, target);
    }
    await stop();
  }, 60_000);

  test('by deadline, because a thread does not end, names phase and processor; a retry works', async () => {
    const coid = create(SharedCounter);
    handle(coid).inc(1);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const thread = spawn(async function lingering() {
      await gate;
    });
    await expect(swap(coid, DistributedCounter, { deadlineMs: 50 })).rejects.toMatchObject({
      code: 'K42_SWAP_DEADLINE',
      phase: 'forward',
      processors: [0],
      message: expect.stringContaining('lingering'),
    });
    expect(handle(coid).inc(2)).toBe(2);
    open();
    await thread;
    await swap(coid, DistributedCounter);
    expect(await handle(coid).value()).toBe(2);
  });

  test('because one is in progress already is refused; the first goes through', async () => {
    const coid = create(SharedCounter);
    handle(coid).inc(1);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const thread = spawn(() => gate);
    const first = swap(coid, DistributedCounter);
    await interposed(coid);
    await expect(swap(coid, DistributedCounter)).rejects.toMatchObject({ code: 'K42_SWAP_IN_PROGRESS' });
    open();
    await thread;
    await first;
    expect(await handle(coid).value()).toBe(1);
  });

  test('because the object is destroyed: the swap is given up first, calls made before end normally', async () => {
    const coid = create(SharedCounter);
    const counter = handle(coid);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const thread = spawn(() => gate);
    counter.inc(1);
    const swapped = swap(coid, DistributedCounter);
    swapped.catch(() => {});
    await interposed(coid);
    const gone = destroy(coid);
    await expect(swapped).rejects.toMatchObject({ code: 'K42_SWAP_DESTROYED' });
    open();
    await thread;
    await gone;
    expect(() => counter.inc(3)).toThrowError(expect.objectContaining({ code: 'K42_OBJECT_GONE' }));
  });

  test('through options that make no sense is refused before anything changes', async () => {
    const coid = create(SharedCounter);
    await expect(swap(coid, DistributedCounter, { deadlineMs: 0 })).rejects.toMatchObject({
      code: 'K42_INVALID_ARGUMENT',
    });
    await expect(swap(12345 as Coid<Counter>, DistributedCounter)).rejects.toMatchObject({
      code: 'K42_OBJECT_GONE',
    });
  });
});

describe('several objects at once', () => {
  test('are swapped concurrently, initiated from different processors', async () => {
    const coids = [create(SharedCounter), create(SharedCounter), create(SharedCounter)];
    await Promise.all(
      coids.flatMap((coid, i) =>
        [0, 1, 2].map((number) => machine.call(number, 'incHere', [coid, i * 10 + number])),
      ),
    );
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        coids.map((coid) => swap(coid, round % 2 === 0 ? DistributedCounter : SharedCounter)),
      );
    }
    for (const coid of coids) expect(await handle(coid).value()).toBe(3);
    expect(ledger.get(LEDGER.TWICE)).toBe(0);
    expect(ledger.get(LEDGER.WRONG)).toBe(0);
  });
});
