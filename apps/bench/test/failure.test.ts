/**
 * Goal: whatever fails, the error is clear and has a stable code, the processors are stopped, and no file is left.
 * Method: file systems that refuse at every kind of call and in every phase; errors that lost their code in a message;
 * an instance that never ends; swaps that did not take place.
 */
import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeTemporaryTree } from '../src/cli/temporary.ts';
import { BenchDirectoryError, BenchError, BenchSpaceError, toBenchError } from '../src/errors.ts';
import { runInstance } from '../src/instance.ts';
import type { InstanceResult, InstanceSpec, SwapRecord } from '../src/instanceTypes.ts';
import type { Mode } from '../src/modes.ts';
import type { BenchFiles } from '../src/postmark/files.ts';
import { DEFAULT_OPTIONS } from '../src/postmark/options.ts';
import { PlainFiles } from '../src/postmark/plainFiles.ts';
import { runPostmark } from '../src/suites/postmark.ts';
import { runRound } from '../src/suites/round.ts';
import {
  ChangedFiles,
  onFiles,
  silentContext,
  systemError,
  temporaryDirectory,
  withMethods,
} from './support.ts';

const options = { ...DEFAULT_OPTIONS, number: 30, transactions: 100 };
const noSpace = (): never => {
  throw systemError('ENOSPC', 'no space left on device, write');
};

async function failing(
  run: (spec: InstanceSpec) => Promise<InstanceResult>,
  processors = 1,
): Promise<{ error: unknown; left: string[]; closed: boolean }> {
  const parent = temporaryDirectory();
  const context = silentContext(run);
  const request = { options, modes: ['plain'] as const, processors, parent, keep: true, verify: false };
  const error = await runPostmark(request, context).catch((reason: unknown) => reason);
  return { error, left: readdirSync(parent), closed: context.fleets.every((fleet) => fleet.closed) };
}

/** Plain files on a disk that is full from some call of one kind on. */
function fullAt(kind: 'create' | 'append' | 'append, by a promise' | 'close' | 'unlink'): BenchFiles {
  const plain = new PlainFiles();
  if (kind === 'create') plain.create = noSpace;
  if (kind === 'unlink') plain.unlink = noSpace;
  if (kind === 'create' || kind === 'unlink') return plain;
  let appends = 0;
  const isFull = (): boolean => ++appends > 400;
  return new ChangedFiles((file) => {
    if (kind === 'close') return withMethods(file, { close: () => file.close() ?? noSpace() });
    if (kind === 'append')
      return withMethods(file, { append: (from) => (isFull() ? noSpace() : file.append(from)) });
    return withMethods(file, { append: async (from) => (isFull() ? noSpace() : file.append(from)) });
  });
}

describe('a full disk', () => {
  test.each(['create', 'append', 'append, by a promise', 'close', 'unlink'] as const)(
    'at %s',
    async (kind) => {
      const { error, left, closed } = await failing(onFiles(fullAt(kind)));
      expect(error).toBeInstanceOf(BenchSpaceError);
      expect(error).toMatchObject({
        code: 'K42_BENCH_NO_SPACE',
        exitStatus: 1,
        message: expect.stringContaining('ENOSPC'),
      });
      expect({ left, closed }).toEqual({ left: [], closed: true });
    },
  );

  test('on one of two processors ends the run of both', async () => {
    const { error, left, closed } = await failing(
      (spec) => (spec.processor === 1 ? onFiles(fullAt('append'))(spec) : runInstance(spec)),
      2,
    );
    expect(error).toMatchObject({ code: 'K42_BENCH_NO_SPACE' });
    expect({ left, closed }).toEqual({ left: [], closed: true });
  });
});

describe('an error', () => {
  test.each(['ENOSPC', 'EDQUOT'])('%s is told from its code, its text, or its cause', (code) => {
    const error = systemError(code, 'no');
    const wire = structuredClone(error);
    expect('code' in wire).toBe(false);
    const wrapped = new Error('remote call failed', { cause: wire });
    for (const one of [error, wire, wrapped])
      expect(toBenchError(one, '/x')).toMatchObject({ code: 'K42_BENCH_NO_SPACE' });
  });

  test('of the system that is another has its errno', () => {
    expect(toBenchError(systemError('EIO', 'bad'), '/x')).toMatchObject({
      code: 'K42_BENCH_IO',
      errno: 'EIO',
    });
  });

  test('of another layer keeps its code; a bug is called one', () => {
    const swap = Object.assign(new Error('late'), { code: 'K42_SWAP_DEADLINE' });
    expect(toBenchError(swap, '/x')).toMatchObject({ code: 'K42_SWAP_DEADLINE', cause: swap });
    expect(toBenchError(new TypeError('oops'), '/x')).toMatchObject({ code: 'K42_BENCH_INTERNAL' });
    const nodes = Object.assign(new TypeError('bad'), { code: 'ERR_INVALID_ARG_TYPE' });
    expect(toBenchError(nodes, '/x')).toMatchObject({ code: 'K42_BENCH_INTERNAL' });
    expect(toBenchError('text', '/x')).toBeInstanceOf(BenchError);
  });
});

describe('a directory', () => {
  test('that is not there, or none, is refused', () => {
    const parent = temporaryDirectory();
    writeFileSync(join(parent, 'file'), '');
    expect(() => makeTemporaryTree(join(parent, 'missing'), 'x-')).toThrow(BenchDirectoryError);
    expect(() => makeTemporaryTree(join(parent, 'file'), 'x-')).toThrow(/K42|not a directory/);
  });

  test('that takes no new entries is refused', () => {
    // Permissions do not bind root; the file system of processes does.
    const parent = process.getuid?.() === 0 ? '/proc' : temporaryDirectory();
    if (parent !== '/proc') chmodSync(parent, 0o500);
    expect(() => makeTemporaryTree(parent, 'x-')).toThrow(BenchError);
  });
});

test('an instance that makes no progress is given up, by name', async () => {
  const parent = temporaryDirectory();
  const context = { ...silentContext(() => new Promise<never>(() => {})), stallMs: 20 };
  const request = {
    mode: 'plain',
    processors: 2,
    options,
    directory: join(parent, 'r'),
    keep: false,
    verify: false,
  };
  await expect(runRound({ ...request, mode: 'plain' }, context)).rejects.toMatchObject({
    code: 'K42_BENCH_STALLED',
    completed: [0, 0],
    message: expect.stringContaining('plain, 2 processors'),
  });
});

describe('swaps while transactions run', () => {
  /** Plain runs that claim to have been in hotswap mode, with these swaps. */
  const withSwaps = async (swaps: SwapRecord[]): Promise<Awaited<ReturnType<typeof runPostmark>>> => {
    const context = silentContext(async (spec) => {
      const result = await runInstance({ ...spec, mode: 'plain' });
      return { ...result, mode: spec.mode, swaps: spec.processor === 0 ? swaps : [] };
    });
    const modes: readonly Mode[] = ['hotswap'];
    const parent = temporaryDirectory();
    return runPostmark({ options, modes, processors: 2, parent, keep: false, verify: false }, context);
  };
  const full: SwapRecord = { file: 'journal', participants: 2, forwarded: 1, queued: 0, milliseconds: 1 };
  const idle: SwapRecord = { ...full, forwarded: 0 };
  const alone: SwapRecord = { ...full, participants: 1 };

  test('most of them: the claim holds', async () => {
    const { document, failure } = await withSwaps([full, full, idle]);
    expect(document.claims.find((claim) => claim.id === 'postmark.swaps-in-use')).toMatchObject({
      value: 2 / 3,
      holds: true,
    });
    expect(failure).toBeUndefined();
  });

  test('a few of them: the claim does not hold, and the run does not fail', async () => {
    const { document, failure } = await withSwaps([full, idle, alone]);
    expect(document.claims.find((claim) => claim.id === 'postmark.swaps-in-use')).toMatchObject({
      holds: false,
    });
    expect(failure).toBeUndefined();
  });

  test.each<[string, SwapRecord[]]>([
    ['no swap at all', []],
    ['swaps on one processor, or without calls', [idle, alone]],
    ['swaps of own files only', [{ ...full, file: 'own' }]],
  ])('%s: the run fails', async (_what, swaps) => {
    const { failure } = await withSwaps(swaps);
    expect(failure).toMatchObject({ code: 'K42_BENCH_WRONG_RESULT', claims: ['postmark.swaps-in-use'] });
  });
});

test('wrong counts make the run fail, and say which', async () => {
  const context = silentContext(async (spec) => {
    const result = await runInstance(spec);
    return { ...result, counts: { ...result.counts, read: result.counts.read + 1 } };
  });
  const request = { options: DEFAULT_OPTIONS, modes: ['plain'] as const, processors: 1 };
  const { failure } = await runPostmark(
    { ...request, parent: temporaryDirectory(), keep: false, verify: false },
    context,
  );
  expect(failure).toMatchObject({ claims: ['postmark.counts', 'postmark.golden'] });
  expect(failure?.message).toContain('read: 244, expected 243');
});

test('files that a file system only pretends to delete make the run fail', async () => {
  const files = new PlainFiles();
  files.unlink = () => {};
  const request = { options, modes: ['plain'] as const, processors: 1, parent: temporaryDirectory() };
  const { failure } = await runPostmark(
    { ...request, keep: false, verify: false },
    silentContext(onFiles(files)),
  );
  expect(failure).toMatchObject({ claims: ['postmark.deleted'] });
});
