/**
 * Goal: whoever dies at whatever point of a swap, the others complete it together or go back together; no call of theirs is lost,
 * doubled or out of order; and a retry works, the dead one's number is of use again, and nothing is left behind.
 * Method: a worker that has joined the machine is killed where it stands at a gate (`torture/deaths.ts`), then at operations of
 * its own on shared memory that are chosen at random, and at random moments (`torture/randomDeaths.ts`).
 */
import type { Machine } from '@k42/rcu';
import { afterAll, describe, expect, test } from 'vitest';
import { KINDS, type Kind } from './programs/tally.ts';
import { play, type Role, scenes } from './torture/deaths.ts';
import { bootMachine, closeMachine } from './torture/harness.ts';
import { atOperations, atRandom } from './torture/randomDeaths.ts';

const ROLES: readonly Role[] = ['participant', 'initiator'];
const SEED = Number(process.env.K42_SEED ?? Date.now() % 2 ** 31);
const REPLAY = `replay: K42_SEED=${SEED} npx -y pnpm@12 --filter @k42/hotswap test test/kill.test.ts`;

let machine: Machine | undefined;

/** Scenes follow each other on one machine, and have another one after a failure. */
async function onMachine<T>(play: (machine: Machine) => Promise<T>): Promise<T> {
  machine ??= await bootMachine();
  const current = machine;
  try {
    return await play(current);
  } catch (error) {
    machine = undefined;
    await closeMachine(current);
    throw new Error(`${error instanceof Error ? error.message : error}\n${REPLAY}`, { cause: error });
  }
}

afterAll(async () => machine?.close());

describe.each(ROLES)('the death of the %s', (role: Role) => {
  for (const [name, { kinds = KINDS, roles = ROLES }] of Object.entries(scenes))
    for (const kind of roles.includes(role) ? kinds : [])
      test(`${kind}: ${name}`, { timeout: 40_000 }, async () => {
        const { lost } = await onMachine((machine) => play(machine, name, kind, role));
        expect(lost).toBeGreaterThanOrEqual(0);
      });
});

describe.each(KINDS)('%s: deaths', (kind: Kind) => {
  test('at operations on shared memory', { timeout: 90_000 }, async () => {
    const { deaths } = await onMachine((machine) => atOperations(machine, kind, SEED, 6));
    expect(deaths).toBe(6);
  });

  test('at random moments', { timeout: 90_000 }, async () => {
    const { deaths, through, failed } = await onMachine((machine) => atRandom(machine, kind, SEED, 8));
    expect(deaths).toBe(8);
    expect((through as number) + (failed as number)).toBe(8);
  });
});
