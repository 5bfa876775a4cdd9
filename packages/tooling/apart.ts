/** Runs a program in a process of its own, with a deadline, and gives what came of it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';

export interface ApartOptions {
  /** The package whose compile cache is used: a worker takes half as long to start when its modules have been compiled. */
  readonly packageFolder: string;
  /** After so long the process is killed. */
  readonly deadlineMs: number;
  readonly env: Readonly<Record<string, string>>;
}

export interface Ended {
  /** Why it ended, where it did not end well: killed, a signal, a status. */
  readonly death: string | undefined;
  /** What it wrote to standard output; of standard error the last 10 000 characters. */
  readonly out: string;
  readonly err: string;
  readonly late: boolean;
  readonly milliseconds: number;
}

/** @param argv for Node: flags, the file, arguments */
export function runNode(
  argv: readonly string[],
  { packageFolder, deadlineMs, env }: ApartOptions,
): Promise<Ended> {
  const began = performance.now();
  const child = spawn(process.execPath, argv, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_COMPILE_CACHE: join(packageFolder, '.vitest/compile-cache'), ...env },
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
  }, deadlineMs);
  return new Promise((resolve) =>
    child.once('close', (status, signal) => {
      clearTimeout(timer);
      let death: string | undefined;
      if (late) death = `Killed: it had not ended after ${deadlineMs} ms.`;
      else if (status !== 0) death = `The process ended with ${signal ?? status}`;
      resolve({ death, out, err, late, milliseconds: performance.now() - began });
    }),
  );
}
