/**
 * Goal: whatever initiators, deadlines and calls coincide, no call is lost or doubled and nothing is left behind.
 * Method: three real workers swap, call and read three counters at random, many of the swaps with deadlines of one to
 * three milliseconds. Replay with the seed that is printed: K42_SEED=<seed> pnpm --filter @k42/hotswap test test/stress.test.ts
 */
import { create, destroy, handle } from '@k42/clustered';
import { Machine } from '@k42/rcu';
import { expect, test } from 'vitest';
import { LEDGER, Ledger, SharedCounter } from './programs/counters.ts';
import { bytesInUse, until } from './support.ts';

const program = new URL('./programs/counters.ts', import.meta.url);
const PER_PROCESSOR = 4_000_000;
const MILLISECONDS = 3_000;

test('random swaps and calls from three processors: every count exact, no memory left', async () => {
  const seed = Number(process.env.K42_SEED ?? Date.now() % 2 ** 31);
  const machine = await Machine.boot({ processors: 3, program });
  const { memory } = machine;
  const before = bytesInUse(machine);
  try {
    const coids = [create(SharedCounter), create(SharedCounter), create(SharedCounter)];
    const made = await Promise.all(
      [0, 1, 2].map((number) =>
        machine.run<number[]>(number, 'churn', [coids, number * PER_PROCESSOR, MILLISECONDS, seed + number]),
      ),
    );
    for (const [which, coid] of coids.entries()) {
      const expected = made.reduce((sum, counts) => sum + (counts[which] as number), 0);
      expect(await handle(coid).value(), `counter ${which}, seed ${seed}`).toBe(expected);
    }
    const ledger = new Ledger(memory);
    expect([ledger.get(LEDGER.TWICE), ledger.get(LEDGER.WRONG)], `seed ${seed}`).toEqual([0, 0]);
    await Promise.all(coids.map((coid) => destroy(coid)));
    // Reclamation of the last swaps goes on in the background.
    await until(() => bytesInUse(machine) === before);
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error });
  } finally {
    await machine.close();
  }
}, 60_000);
