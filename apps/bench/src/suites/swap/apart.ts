/** Runs the measurement that needs processes of its own in one, and gives what came of it. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { entryUrl } from '../../entryUrl.ts';
import type { NormalCallResult, NormalCallSpec } from '../../swap/normal/calls.ts';

const DEADLINE_MS = 60_000;
/** Of what the process writes to standard error, for the message if it fails. */
const ERROR_CHARACTERS_MAX = 2_000;

/** @throws Error if the process does not end well, or not in time */
export async function runApart(spec: NormalCallSpec): Promise<NormalCallResult> {
  const file = fileURLToPath(entryUrl('swapApart'));
  const child = spawn(process.execPath, [...process.execArgv, file, JSON.stringify(spec)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err, late] = ['', '', false];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err = (err + chunk).slice(-ERROR_CHARACTERS_MAX);
  });
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, DEADLINE_MS);
  const killAtExit = (): boolean => child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.once('error', reject);
  child.once('close', (status, signal) => resolve(String(signal ?? status)));
  const end = await promise.finally(() => {
    clearTimeout(timer);
    process.off('exit', killAtExit);
  });
  if (late) throw new Error(`swap: a process for normal calls had not ended after ${DEADLINE_MS} ms: ${err}`);
  if (end !== '0') throw new Error(`swap: a process for normal calls ended with ${end}: ${err}`);
  return JSON.parse(out) as NormalCallResult;
}
