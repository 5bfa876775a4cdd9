/**
 * Goal: with `--keep` another program finds every file complete on disk, and knows where.
 * Method: the tree is compared with contents computed from the definition by a second, independent walk: names and sizes
 * are taken from the disk, and each file must be a concatenation of prefixes of the source.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DEFAULT_OPTIONS } from '../src/postmark/options.ts';
import { Random } from '../src/postmark/random.ts';
import { Source } from '../src/postmark/source.ts';
import { runPostmark } from '../src/suites/postmark.ts';
import { silentContext, temporaryDirectory } from './support.ts';

test('leaves the tree with all data, and says where', async () => {
  const parent = temporaryDirectory();
  const context = silentContext();
  const options = { ...DEFAULT_OPTIONS, subdirectories: 3 };
  const request = { options, modes: ['plain'] as const, processors: 2, parent, keep: true, verify: true };
  const { document, failure } = await runPostmark(request, context);
  expect(failure).toBeUndefined();
  const [made] = readdirSync(parent);
  expect(document.directory).toBe(join(parent, made ?? ''));
  expect(context.said).toEqual([expect.stringContaining(document.directory ?? '?')]);

  const runs = document.runs as { directory: string; seed: number; counts: Record<string, number> }[];
  expect(runs.map((run) => run.seed)).toEqual([42, 43]);
  for (const { directory, seed, counts } of runs) {
    const { bytes: source } = new Source(new Random(seed), options.sizeHighBytes, options.writeBlockBytes);
    const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    expect(entries.length - files.length).toBe(3);
    expect(files.length).toBe((counts.created ?? 0) - (counts.deletedMixed ?? 0));
    expect(counts.deletedAlone).toBe(0);
    for (const file of files) {
      const content = readFileSync(join(file.parentPath, file.name));
      expect(isConcatenationOfPrefixes(content, source)).toBe(true);
    }
  }
  expect(readFileSync(join(document.directory ?? '', 'plain', 'journal')).length).toBe(2 * 500 * 64);
});

/** Follows all possibilities at once: after each byte, how long the prefix now being read may be. */
function isConcatenationOfPrefixes(content: Uint8Array, source: Uint8Array): boolean {
  let lengths = new Set([0]);
  for (const byte of content) {
    const next = [...lengths].filter((length) => source[length] === byte).map((length) => length + 1);
    lengths = new Set(byte === source[0] ? [...next, 1] : next);
  }
  return lengths.size > 0 && content.length > 0;
}
