/**
 * Runs a scenario in a process of its own, from this package's sources or from a copy of them, and gives what came of it.
 */
import { join } from 'node:path';
import { runNode } from '@k42/tooling/apart';
import type { Counts } from './harness.ts';

/** The package whose sources and torture files are run; a copy of it for variants. */
export const PACKAGE: string = join(import.meta.dirname, '../..');

export interface Apart {
  readonly scenario: string;
  readonly seed: number;
  readonly scale: number;
  /** Default this package. */
  readonly root?: string;
  /** After so long the process is killed. Default a minute for each unit of scale. */
  readonly deadlineMs?: number;
  /** For what is waited for inside; see `WAIT_MS`. */
  readonly waitMs?: number;
}

export interface Outcome {
  readonly counts: Counts | undefined;
  /** Why it failed; undefined if it did not. */
  readonly error: string | undefined;
  readonly milliseconds: number;
}

export async function runApart({
  scenario,
  seed,
  scale,
  root = PACKAGE,
  deadlineMs = 60_000 * Math.max(1, scale),
  waitMs,
}: Apart): Promise<Outcome> {
  const flags = ['--disable-warning=K42Warning', '--disable-warning=ExperimentalWarning'];
  const ended = await runNode(
    [...flags, join(root, 'test/torture/run.ts'), scenario, String(seed), String(scale)],
    {
      packageFolder: PACKAGE,
      deadlineMs,
      env: waitMs === undefined ? {} : { K42_TORTURE_WAIT_MS: String(waitMs) },
    },
  );
  const { death, out, err, late, milliseconds } = ended;
  const line = out.trim().split('\n').at(-1) ?? '';
  let said: { counts?: Counts; error?: string } = {};
  if (line.startsWith('{')) said = JSON.parse(line) as typeof said;
  const nothing = `${death ?? 'The process ended'} and said nothing.`;
  const error = late
    ? death
    : (said.error ?? (said.counts === undefined || death !== undefined ? nothing : undefined));
  return {
    counts: said.counts,
    error: error === undefined ? undefined : `${error}${err === '' ? '' : `\nIts output:\n${err}`}`,
    milliseconds,
  };
}
