/**
 * Goal: the model of the protocol holds, and would not if a rule of the protocol were left out.
 * Method: `pnpm model --quick` in a process of its own: the small configurations are searched to their ends, and each of the
 * broken variants that the protocol's description names has to fail by the property that says why. All configurations:
 * `pnpm model`. Where SPIN or a C compiler is missing the test is skipped, except in continuous integration, where it fails.
 */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const program = join(import.meta.dirname, '../../..', 'packages/tooling/bin/model.mjs');
const configurations = join(import.meta.dirname, '../model/configurations.json');
/** Half a minute on an idle machine; the compiler's share grows with whatever else is running. */
const DEADLINE_MS = 600_000;

interface Run {
  readonly name: string;
  readonly quick?: boolean;
  readonly fails?: string;
}

const quick = (JSON.parse(readFileSync(configurations, 'utf8')) as Run[]).filter((run) => run.quick === true);

function works(program: string, question: string): boolean {
  return spawnSync(program, [question], { stdio: 'ignore' }).status === 0;
}

const missing = [
  ...(works(process.env.SPIN || 'spin', '-V') ? [] : ['spin']),
  ...(works(process.env.CC || 'gcc', '--version') ? [] : ['gcc']),
];

function runModel(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<[number, string]> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, ...args],
      { env: { ...process.env, ...env }, timeout: DEADLINE_MS, encoding: 'utf8' },
      (error, stdout, stderr) =>
        resolve([error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout + stderr]),
    );
  });
}

describe('the model', () => {
  test('checks the variants that the protocol is defended by', () => {
    expect(quick.filter(({ fails }) => fails !== undefined).map(({ name }) => name)).toEqual([
      'swap word split in two',
      'count forgotten',
      'mark forgotten',
      'share calls out without withdrawing',
      'swing not conditional',
      'latecomer installed',
      'queue of a latecomer not drained',
    ]);
  });

  test('says how to get the checker where there is none', async () => {
    const [status, output] = await runModel(['--quick'], { PATH: '/nowhere', SPIN: '', CC: '' });
    expect(status).toBe(3);
    expect(output).toContain('apt-get install spin gcc');
    expect(output).toContain('brew install spin');
  });

  test.skipIf(missing.length !== 0 && process.env.CI === undefined)(
    `holds where it should and fails where it should${missing.length === 0 ? '' : ` (needs ${missing.join(' and ')}: apt-get install spin gcc, or brew install spin)`}`,
    { timeout: DEADLINE_MS },
    async () => {
      expect(missing, 'programs that the model needs, and that are not installed').toEqual([]);
      const [status, output] = await runModel(['--quick']);
      for (const { name, fails } of quick) {
        const line = output.split('\n').find((line) => line.includes(` ${name}: `));
        expect(line, output).toMatch(fails === undefined ? /ok .*: verified/ : `caught by ${fails} (`);
      }
      expect(status, output).toBe(0);
    },
  );
});
