/** The short form of the scenarios, for `test`: a fixed seed, and the command that replays a failure. */
import process from 'node:process';
import { expect, test } from 'vitest';
import { type Apart, runApart } from './apart.ts';

/** `K42_SEED`, or the same one every time. */
export const SEED: number = Number(process.env.K42_SEED ?? 1);

/** Runs a scenario in its short form; gives what it failed with, and how to have that again. */
export async function shortForm(
  scenario: string,
  file: string,
  apart: Partial<Apart> = {},
): Promise<string | undefined> {
  const { error } = await runApart({ scenario, seed: SEED, scale: 1, ...apart });
  if (error === undefined) return undefined;
  return `${error}\nreplay: K42_SEED=${SEED} npx -y pnpm@12 --filter @k42/rcu test test/${file}`;
}

/** One test for each of some scenarios. */
export function testShortForms(file: string, named: Readonly<Record<string, string>>): void {
  for (const [scenario, what] of Object.entries(named)) {
    test(what, { timeout: 70_000 }, async () => {
      expect(await shortForm(scenario, file)).toBeUndefined();
    });
  }
}
