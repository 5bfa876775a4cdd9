/**
 * Goal: verification finds what is wrong with contents, be it on the way to the reader or on disk.
 * Method: sound runs have no mismatch; then file systems that each do one thing wrong, once, and must be caught.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { expectedContent, firstDifference } from '../src/postmark/content.ts';
import type { BenchFile } from '../src/postmark/files.ts';
import { PlainFiles } from '../src/postmark/plainFiles.ts';
import { ChangedFiles, onFiles, plainSpec, withMethods } from './support.ts';

/** An action for the nth time only. */
function nth(n: number): () => boolean {
  let calls = 0;
  return () => ++calls === n;
}

/** A file of the default run that is still there before the deletions. */
const directory = mkdtempSync(join(tmpdir(), 'k42-bench-test-'));
afterAll(() => rmSync(directory, { recursive: true }));
const sample = plainSpec({}, { keep: true, directory });
await onFiles(new PlainFiles())(sample);
const survivor = readdirSync(sample.directory)[0] ?? '';

async function verify(files: PlainFiles, keep = false): Promise<{ mismatches: number; examples: string[] }> {
  const result = await onFiles(files)(plainSpec({}, { verify: true, keep }));
  return result.verification ?? { mismatches: -1, examples: [] };
}

const isJournal = (path: string): boolean => path.endsWith('journal');

/** Changes the first append to the surviving file. */
function appendsOtherwise(append: (file: BenchFile, from: Uint8Array) => number): PlainFiles {
  const now = nth(1);
  return new ChangedFiles((file, path) => {
    if (!path.endsWith(`/${survivor}`)) return file;
    return withMethods(file, { append: (from) => (now() ? append(file, from) : file.append(from)) });
  });
}

describe('what is written wrong is found', () => {
  test('nothing wrong: nothing found', async () => {
    expect((await verify(new PlainFiles())).mismatches).toBe(0);
  });

  test('one byte flipped', async () => {
    const files = appendsOtherwise((file, from) => {
      const bad = from.slice();
      bad[100] = (bad[100] as number) ^ 1;
      return file.append(bad) as number;
    });
    const { mismatches, examples } = await verify(files);
    expect(mismatches).toBeGreaterThan(0);
    expect(examples.at(-1)).toBe(`${survivor}: wrong byte on disk at 100`);
  });

  test('an append that is lost, and reported as done', async () => {
    const { mismatches } = await verify(appendsOtherwise((_file, from) => from.length));
    expect(mismatches).toBeGreaterThan(0);
  });

  test('an append done twice', async () => {
    const files = appendsOtherwise((file, from) => {
      file.append(from);
      return file.append(from) as number;
    });
    expect((await verify(files)).mismatches).toBeGreaterThan(0);
  });
});

describe('what is read wrong is found', () => {
  const readsOtherwise = (
    n: number,
    read: (file: BenchFile, into: Uint8Array, at: number) => number,
  ): PlainFiles => {
    const now = nth(n);
    return new ChangedFiles((file) =>
      withMethods(file, { read: (into, at) => (now() ? read(file, into, at) : file.read(into, at)) }),
    );
  };

  test('one byte', async () => {
    const files = readsOtherwise(1000, (file, into, at) => {
      const bytes = file.read(into, at) as number;
      into[0] = (into[0] as number) ^ 0x80;
      return bytes;
    });
    expect((await verify(files)).mismatches).toBe(1);
  });

  test('the wrong position', async () => {
    // Block 3 for block 2: both are there, and differ.
    const files = new ChangedFiles((file) =>
      withMethods(file, { read: (into, at) => file.read(into, at === 1024 ? 1536 : at) }),
    );
    expect((await verify(files)).mismatches).toBeGreaterThan(0);
  });

  test('too little', async () => {
    const { mismatches, examples } = await verify(readsOtherwise(7, () => 0));
    expect(mismatches).toBe(1);
    expect(examples[0]).toMatch(/: 0 of \d+ bytes read at \d+$/);
  });
});

describe('what is wrong on disk alone is found', () => {
  /** Plain files, and a deed done when the journal is closed: after the transactions, before the disk is looked at. */
  const after = (deed: (directory: string) => void): PlainFiles => {
    return new ChangedFiles((file, path) => {
      if (!isJournal(path)) return file;
      return withMethods(file, {
        close: () => {
          file.close();
          deed(join(path, '..', 'p0'));
        },
      });
    });
  };

  test('a file of other content', async () => {
    const { examples } = await verify(
      after((directory) => writeFileSync(join(directory, survivor), 'x')),
      true,
    );
    expect(examples).toEqual([expect.stringContaining(`${survivor}: 1 bytes on disk, expected`)]);
  });

  test('a file that is gone', async () => {
    const { examples } = await verify(
      after((directory) => rmSync(join(directory, survivor))),
      true,
    );
    expect(examples).toEqual([expect.stringContaining(`${survivor}: not readable`)]);
  });

  test('a file that should not be', async () => {
    const { examples } = await verify(
      after((directory) => writeFileSync(join(directory, 'more'), '')),
      true,
    );
    expect(examples).toEqual(['more: on disk, but deleted or never created']);
  });
});

describe('content as a function of the history', () => {
  const source = new TextEncoder().encode('abcdefghij');

  test('is the concatenation of prefixes', () => {
    expect(Buffer.from(expectedContent(source, [3, 1, 5])).toString()).toBe('abcaabcde');
    expect(expectedContent(source, []).length).toBe(0);
  });

  test('agrees with the comparison at every position and length, and at every changed byte', () => {
    const history = [3, 1, 5];
    const content = expectedContent(source, history);
    for (let from = 0; from <= content.length; from++) {
      for (let to = from; to <= content.length; to++) {
        const piece = content.slice(from, to);
        expect(firstDifference(source, history, from, piece)).toBe(-1);
        for (let at = 0; at < piece.length; at++) {
          const changed = piece.with(at, 0);
          expect(firstDifference(source, history, from, changed)).toBe(at);
        }
      }
    }
  });

  test('has nothing beyond its end', () => {
    expect(firstDifference(source, [2], 0, new TextEncoder().encode('abc'))).toBe(2);
    expect(firstDifference(source, [2], 5, new TextEncoder().encode('a'))).toBe(0);
  });
});
