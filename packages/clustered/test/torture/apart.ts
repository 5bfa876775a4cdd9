/**
 * Runs a scenario in a process of its own, from this package's sources or from a copy of them, and gives what came of it.
 */
import { join } from 'node:path';
import process from 'node:process';
import { runNode } from '@k42/tooling/apart';

/** The package whose sources and torture files are run; a copy of it for variants. */
export const PACKAGE: string = join(import.meta.dirname, '../..');

/** `K42_SEED`, or the same one every time. */
export const SEED: number = Number(process.env.K42_SEED ?? 1);

export interface Apart {
  readonly scenario: string;
  /** Default this package. */
  readonly root?: string;
  /** After so long the process is killed. */
  readonly deadlineMs?: number;
  /** For what is waited for inside; see `WAIT_MS`. */
  readonly waitMs?: number;
}

/** Gives why the scenario failed, and undefined if it did not. */
export async function runApart({
  scenario,
  root = PACKAGE,
  deadlineMs = 60_000,
  waitMs,
}: Apart): Promise<string | undefined> {
  const flags = ['--conditions=@k42/source', '--disable-warning=K42Warning'];
  const { death, out, err } = await runNode(
    [...flags, join(root, 'test/torture/run.ts'), scenario, String(SEED)],
    {
      packageFolder: PACKAGE,
      deadlineMs,
      env: waitMs === undefined ? {} : { K42_TORTURE_WAIT_MS: String(waitMs) },
    },
  );
  return death === undefined ? undefined : `${scenario}: ${death}\n${out}${err}`;
}
