/**
 * Variants of the sources: a copy of `src` and of the torture files, with a few places of the text replaced.
 *
 * The copies lie inside the package, where git ignores them and Node strips their types. The torture files import the sources
 * by relative paths, so a copy tests itself.
 */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { PACKAGE } from './apart.ts';

/** A replacement; what it replaces must be there, once. */
export interface Edit {
  /** Below the package. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const COPIED = ['src/**/*.ts', 'test/torture/*.ts', 'test/programs/{k42,stress,kill}*.ts'];

/**
 * Makes a variant and gives its folder. What is there already as it should be is left alone, and the rest replaced whole: two
 * runs of the tests may make the same variant at once. @throws Error if an edit does not apply any more.
 */
export function makeVariant(name: string, edits: readonly Edit[]): string {
  const root = join(PACKAGE, '.vitest/variants', name);
  const files = fs.globSync(COPIED, { cwd: PACKAGE });
  for (const file of files) {
    const mine = edits.filter((edit) => edit.file === file);
    replaceFile(join(root, file), edited(fs.readFileSync(join(PACKAGE, file), 'utf8'), mine, name));
  }
  for (const { file } of edits)
    if (!files.includes(file)) throw new Error(`${name} no longer applies: there is no ${file}.`);
  return root;
}

function replaceFile(path: string, text: string): void {
  if (fs.existsSync(path) && fs.readFileSync(path, 'utf8') === text) return;
  fs.mkdirSync(dirname(path), { recursive: true });
  const half = `${path}.${process.pid}`;
  fs.writeFileSync(half, text);
  fs.renameSync(half, path);
}

function edited(text: string, edits: readonly Edit[], name: string): string {
  return edits.reduce((before, { file, find, replace }) => {
    const times = before.split(find).length - 1;
    if (times !== 1) throw new Error(`${name} no longer applies: ${file} has ${times} times: ${find}`);
    return before.replace(find, () => replace);
  }, text);
}
