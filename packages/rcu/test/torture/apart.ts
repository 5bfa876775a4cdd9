/**
 * Runs a scenario in a process of its own, from this package's sources or from a copy of them, and gives what came of it.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
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

export function runApart({
  scenario,
  seed,
  scale,
  root = PACKAGE,
  deadlineMs,
  waitMs,
}: Apart): Promise<Outcome> {
  const limit = deadlineMs ?? 60_000 * Math.max(1, scale);
  const began = performance.now();
  const file = join(root, 'test/torture/run.ts');
  const quiet = ['--disable-warning=K42Warning', '--disable-warning=ExperimentalWarning'];
  const child = spawn(process.execPath, [...quiet, file, scenario, String(seed), String(scale)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      // A worker takes half as long to start when its modules have been compiled before.
      NODE_COMPILE_CACHE: join(PACKAGE, '.vitest/compile-cache'),
      ...(waitMs !== undefined && { K42_TORTURE_WAIT_MS: String(waitMs) }),
    },
  });
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
  }, limit);
  return new Promise((resolve) =>
    child.once('close', (status, signal) => {
      clearTimeout(timer);
      const milliseconds = performance.now() - began;
      const line = out.trim().split('\n').at(-1) ?? '';
      let said: { counts?: Counts; error?: string } = {};
      if (line.startsWith('{')) said = JSON.parse(line) as typeof said;
      const died = `The process ended with ${signal ?? status} and said nothing.`;
      const error = late
        ? `Killed: it had not ended after ${limit} ms.`
        : (said.error ?? (said.counts === undefined || status !== 0 ? died : undefined));
      resolve({
        counts: said.counts,
        error: error === undefined ? undefined : `${error}${err === '' ? '' : `\nIts output:\n${err}`}`,
        milliseconds,
      });
    }),
  );
}
