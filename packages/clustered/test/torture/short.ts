/** Scenarios as tests: a fixed seed, and the command that replays a failure. */
import { expect, test } from 'vitest';
import { type Apart, runApart, SEED } from './apart.ts';

/** Runs a scenario; gives what it failed with, and how to have that again. */
export async function shortForm(
  scenario: string,
  file: string,
  apart: Partial<Apart> = {},
): Promise<string | undefined> {
  const error = await runApart({ scenario, ...apart });
  if (error === undefined) return undefined;
  return `${error}\nreplay: K42_SEED=${SEED} npx -y pnpm@12 --filter @k42/clustered test test/${file}`;
}

/** One test for each of some scenarios. */
export function testScenarios(file: string, named: Readonly<Record<string, string>>): void {
  for (const [scenario, what] of Object.entries(named)) {
    test(what, { timeout: 70_000 }, async () => {
      expect(await shortForm(scenario, file)).toBeUndefined();
    });
  }
}
