/**
 * Goal: the workers of the common pools become processors with one ticket that all of them are given, work as such while they do
 * the pool's tasks and while they are idle, and are noticed as gone when the pool ends them.
 * Method: tinypool and piscina, told not to park idle workers in `Atomics.wait`; the worker joins with its first task.
 */
import { Piscina } from 'piscina';
import { Tinypool } from 'tinypool';
import { describe, expect, test } from 'vitest';
import { type Machine, rcu, type Ticket } from '../src/index.ts';
import { gone, incarnationOf, isFree, membershipProgram, openGate, reached, until } from './joiner.ts';
import type { Identity, Task } from './programs/membershipPool.ts';
import { boot, watch } from './support.ts';

const THREADS = 3;

interface Pool {
  run(task: Task): Promise<unknown>;
  destroy(): Promise<void>;
}

const filename = new URL('./programs/membershipPool.ts', import.meta.url).href;
const common = { filename, minThreads: THREADS, maxThreads: THREADS, concurrentTasksPerWorker: 1 };

const pools: Record<string, (ticket: Ticket) => Pool> = {
  tinypool: (ticket) =>
    new Tinypool({ ...common, runtime: 'worker_threads', useAtomics: false, workerData: { ticket } }),
  piscina: (ticket) => new Piscina({ ...common, atomics: 'disabled', workerData: { ticket } }),
};

async function withPool(kind: string, test: (machine: Machine, pool: Pool) => Promise<void>): Promise<void> {
  const machine = await boot(2, { program: membershipProgram, maxProcessors: 2 + THREADS });
  const pool = (pools[kind] as (ticket: Ticket) => Pool)(machine.ticket());
  try {
    await test(machine, pool);
  } finally {
    await pool.destroy();
  }
}

/** Gives every worker of the pool a task: as each takes one at a time, none can end before all have been begun. */
async function onAll(machine: Machine, pool: Pool, gate: number): Promise<void> {
  const tasks = Array.from({ length: THREADS }, () =>
    pool.run({ do: 'call', to: 0, name: 'passGate', args: [gate, 1] }),
  );
  await until(() => machine.processors.length === 2 + THREADS, 'all workers of the pool have joined');
  await reached(machine, gate);
  openGate(machine, gate);
  await Promise.all(tasks);
}

describe.each(Object.keys(pools))('%s', (kind) => {
  test('its workers join with one ticket, and calls and grace periods go all ways', async () => {
    await withPool(kind, async (machine, pool) => {
      await onAll(machine, pool, 0);
      expect(machine.processors).toEqual([0, 1, 2, 3, 4]);
      const { processors } = await machine.snapshot();
      expect(processors.slice(2).map(({ name }) => name)).toEqual(
        Array.from({ length: THREADS }, () => expect.stringMatching(/^pool worker \d+$/)),
      );
      // While they are idle they answer calls: from here, from a worker of the machine, from each other.
      expect(await machine.call(3, 'add', [20, 22])).toBe(42);
      expect(await machine.call(1, 'callFrom', [4, 'callFrom', [2, 'add', [1, 2]]])).toBe(3);
      expect(await pool.run({ do: 'call', to: 1, name: 'add', args: [1, 2] })).toBe(3);
      const identity = (await pool.run({ do: 'identify' })) as Identity;
      expect(await machine.call(identity.number, 'whoAmI')).toMatchObject({ threadId: identity.threadId });
      // A task of the pool that is a reader is waited for by the host, by a worker and by another task.
      const reader = pool.run({ do: 'read', gate: 1 });
      await reached(machine, 1);
      const waits = [rcu.synchronize(), machine.run(1, 'synchronizeHere'), pool.run({ do: 'synchronize' })];
      const waiting = waits.map((wait) => watch(wait));
      await Promise.all([machine.call(1, 'add', [1, 2]), machine.snapshot()]);
      expect(waiting.map(({ settled }) => settled)).toEqual([false, false, false]);
      openGate(machine, 1);
      expect(await reader).toBe('read');
      await Promise.all(waits);
      await rcu.barrier();
    });
  });

  test('the end of the pool is the death of its processors, and their numbers are used again', async () => {
    const machine = await boot(2, { program: membershipProgram, maxProcessors: 2 + THREADS });
    for (let round = 1; round <= 2; round++) {
      const pool = (pools[kind] as (ticket: Ticket) => Pool)(machine.ticket());
      try {
        await onAll(machine, pool, round);
        await expect(machine.add()).rejects.toMatchObject({ code: 'K42_MACHINE_FULL' });
        // Some of what is there when they end: a reader, and a call to one of them.
        const task = pool.run({ do: 'read', gate: 10 + round }).catch(() => {});
        await reached(machine, 10 + round);
        const call = expect(machine.call(2, 'passGate', [20 + round, 1])).rejects.toMatchObject({
          code: 'K42_PROCESSOR_GONE',
        });
        await reached(machine, 20 + round);
        const synchronized = rcu.synchronize({ expedited: true });
        const deaths = Promise.all([2, 3, 4].map((number) => gone(number)));
        await pool.destroy();
        await Promise.all([task, call, synchronized, deaths]);
      } finally {
        await pool.destroy();
      }
      await Promise.all([2, 3, 4].map((number) => isFree(machine, number)));
      expect([2, 3, 4].map((number) => incarnationOf(machine, number))).toEqual([round, round, round]);
      expect(machine.processors).toEqual([0, 1]);
      await machine.run(1, 'synchronizeHere');
    }
  });

  test('a worker leaves in a task, and joins again with the next', async () => {
    const machine = await boot(1, { program: membershipProgram, maxProcessors: 2 });
    const one = { ...common, minThreads: 1, maxThreads: 1, workerData: { ticket: machine.ticket() } };
    const pool: Pool =
      kind === 'tinypool'
        ? new Tinypool({ ...one, runtime: 'worker_threads', useAtomics: false })
        : new Piscina({ ...one, atomics: 'disabled' });
    try {
      for (let round = 1; round <= 3; round++) {
        expect(await pool.run({ do: 'identify' })).toMatchObject({ number: 1, incarnation: round });
        await pool.run({ do: 'leave' });
        await isFree(machine, 1);
      }
    } finally {
      await pool.destroy();
    }
  });
});
