/**
 * Goal: the program keeps its contract with scripts: one JSON document on standard output, everything else on standard
 * error, stable codes and exit statuses, nothing left behind, not even when a signal ends it.
 * Method: the real program in a process of its own. A signal is sent when its files are seen to exist.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { temporaryDirectory } from './support.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');

function start(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, ['--conditions=@k42/source', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child;
}

async function ended(child: ChildProcess): Promise<{ status: number | null; out: string; err: string }> {
  const status = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [out, err] = await Promise.all(
    [child.stdout, child.stderr].map((stream) => (stream ? text(stream) : '')),
  );
  return { status: await status, out: out ?? '', err: err ?? '' };
}

const bench = (...args: string[]): ReturnType<typeof ended> => ended(start(args));
const PLAIN = ['postmark', '--mode', 'plain', '--processors', '1'];

test('one JSON document, progress on standard error', async () => {
  const parent = temporaryDirectory();
  const { status, out, err } = await bench(...PLAIN, '--json', '--verify', '--dir', parent);
  expect(err).toBe('plain, 1 processor: 500 transactions each\n');
  expect(status).toBe(0);
  const document = JSON.parse(out);
  expect(document).toMatchObject({
    suite: 'postmark',
    environment: { node: process.version, files: { directory: parent } },
    runs: [
      { mode: 'plain', processor: 0, seed: 42, counts: { created: 764, bytesWritten: 4_662_068 }, swaps: [] },
    ],
  });
  expect(document.runs[0].seconds).toBeGreaterThan(0);
  expect(document.runs[0].transactionsPerSecond).toBeGreaterThan(0);
  expect(document.claims.map((claim: { id: string }) => claim.id)).toContain('postmark.golden');
  expect(readdirSync(parent)).toEqual([]);
});

test('options of the program go before or after the suite; tables without --json', async () => {
  const small = ['--number', '5', '--transactions', '10', '--bias-read', '-1'];
  expect(JSON.parse((await bench('--json', '--quick', ...PLAIN, ...small)).out).runs).toHaveLength(1);
  expect((await bench(...PLAIN, ...small)).out).toContain('│ plain │');
});

test('--list and --help', async () => {
  expect((await bench('--list')).out.split('\n').map((line) => line.split(' ')[0])).toEqual([
    'main',
    'postmark',
    'grace',
    'dispatch',
    'counter',
    'objects',
    'swap',
    '',
  ]);
  const { status, out } = await bench('postmark', '--help');
  expect(status).toBe(0);
  for (const option of ['--number', '--bias-create', '--keep', '--json', '--quick'])
    expect(out).toContain(option);
});

describe('a wrong command line', () => {
  test.each([
    ['K42_BENCH_OPTION', ['postmark', '--number', 'x'], "--number must be an integer, not 'x'"],
    ['K42_BENCH_OPTION', ['postmark', '--number', '0'], '--number'],
    ['K42_BENCH_OPTION', ['postmark', '--mode', 'fast'], '--mode must be one of'],
    ['K42_BENCH_OPTION', ['postmark', '--nonsense'], "unknown option '--nonsense'"],
    ['K42_BENCH_SUITE', ['nonsense'], 'main, postmark, grace'],
    ['K42_BENCH_SUITE', ['nonsense', '--json'], 'main, postmark, grace'],
  ])('%s for %j', async (code, args, message) => {
    const { status, out, err } = await bench(...args);
    expect({ status, out }).toEqual({ status: 2, out: '' });
    expect(err).toMatch(new RegExp(`^bench: ${code}: .*\n$`));
    expect(err).toContain(message);
  });

  test('a directory that is not there', async () => {
    const { status, out, err } = await bench(...PLAIN, '--dir', '/nonexistent');
    expect({ status, out }).toEqual({ status: 1, out: '' });
    expect(err).toMatch(/^bench: K42_BENCH_DIRECTORY: cannot use directory \/nonexistent: ENOENT/);
  });
});

describe.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s', (signal, status) => {
  test('leaves nothing, even when it comes twice', async () => {
    const parent = temporaryDirectory();
    const long = ['--number', '3000', '--transactions', '100000000', '--keep', '--dir', parent];
    const child = start([...PLAIN, ...long]);
    const end = ended(child);
    await vi.waitFor(
      () => expect(readdirSync(parent, { recursive: true }).length).toBeGreaterThan(100),
      10_000,
    );
    child.kill(signal);
    child.kill(signal);
    const result = await end;
    expect(result.status).toBe(status);
    expect(result.err).toContain(`bench: K42_BENCH_INTERRUPTED: ended by ${signal}`);
    expect(readdirSync(parent)).toEqual([]);
  });
});
