/**
 * Runs a scenario in a process of its own, from this package's sources or from a copy of them, and gives what came of it.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';

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
export function runApart({
  scenario,
  root = PACKAGE,
  deadlineMs = 60_000,
  waitMs,
}: Apart): Promise<string | undefined> {
  const flags = ['--conditions=@k42/source', '--disable-warning=K42Warning'];
  const child = spawn(
    process.execPath,
    [...flags, join(root, 'test/torture/run.ts'), scenario, String(SEED)],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        // A worker takes half as long to start when its modules have been compiled before.
        NODE_COMPILE_CACHE: join(PACKAGE, '.vitest/compile-cache'),
        ...(waitMs !== undefined && { K42_TORTURE_WAIT_MS: String(waitMs) }),
      },
    },
  );
  let [out, err, late] = ['', '', false];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err = (err + chunk).slice(-10_000);
  });
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, deadlineMs);
  return new Promise((resolve) =>
    child.once('close', (status, signal) => {
      clearTimeout(timer);
      if (status === 0) return resolve(undefined);
      const why = late
        ? `Killed: it had not ended after ${deadlineMs} ms.`
        : `The process ended with ${signal ?? status}.`;
      resolve(`${scenario}: ${why}\n${out}${err}`);
    }),
  );
}
