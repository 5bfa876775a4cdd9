/**
 * Runs scenes in a process of their own, from this package's sources or from a copy of them, and gives what came of it.
 */
import { join } from 'node:path';
import { runNode } from '@k42/tooling/apart';

/** The package whose sources and scenes are run; a copy of it for variants. */
export const PACKAGE: string = join(import.meta.dirname, '../..');

export interface Apart {
  readonly scenarios: readonly string[];
  /** Default this package. */
  readonly root?: string;
  /** After so long the process is killed. */
  readonly deadlineMs?: number;
  /** For what is waited for inside; see `WAIT_MS`. */
  readonly waitMs?: number;
}

/** Gives why one failed, and undefined if none did. */
export async function runApart({
  scenarios,
  root = PACKAGE,
  deadlineMs = 60_000,
  waitMs,
}: Apart): Promise<string | undefined> {
  const flags = ['--conditions=@k42/source', '--disable-warning=K42Warning'];
  const { death, out, err } = await runNode([...flags, join(root, 'test/torture/run.ts'), ...scenarios], {
    packageFolder: PACKAGE,
    deadlineMs,
    env: waitMs === undefined ? {} : { K42_TORTURE_WAIT_MS: String(waitMs) },
  });
  return death === undefined ? undefined : `${death}\n${out}${err}`;
}
