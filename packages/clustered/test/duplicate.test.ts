/**
 * Goal: two copies of the package in one thread would be two tables: the second is refused.
 * Method: a process that loads the package and then a copy of its sources.
 */
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { makeVariant } from './torture/variants.ts';

const first = new URL('../src/index.ts', import.meta.url);
const second = new URL('src/index.ts', pathToFileURL(`${makeVariant('copy', [])}/`));

/** What comes of loading one after the other. */
function load(...urls: readonly URL[]): { code?: string; message?: string } {
  const source = `
    let outcome = {};
    for (const url of ${JSON.stringify(urls)})
      try { await import(url); } catch ({ code, message }) { outcome = { code, message }; }
    console.log(JSON.stringify(outcome));`;
  const flags = ['--conditions=@k42/source', '--input-type=module', '--eval', source];
  const { stdout } = spawnSync(process.execPath, flags, { encoding: 'utf8', cwd: import.meta.dirname });
  return JSON.parse(stdout);
}

test('a second copy is refused, and the error names both', () => {
  const { code, message } = load(first, second);
  expect(code).toBe('K42_DUPLICATE_PACKAGE');
  expect(message).toContain('@k42/clustered');
  for (const url of [first, second]) expect(message).toContain(dirname(fileURLToPath(url)));
});

test('each alone is good, and so is one that is loaded twice', () => {
  expect(load(first, first)).toEqual({});
  expect(load(second)).toEqual({});
});
