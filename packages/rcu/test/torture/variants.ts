/**
 * Variants of the sources: a copy of `src` and of the torture files, with a few places of the text replaced.
 *
 * The copies lie inside the package, where git ignores them and Node strips their types. The torture files import the sources
 * by relative paths, so a copy tests itself.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { PACKAGE } from './apart.ts';

/** A replacement; what it replaces must be there, once. */
export interface Edit {
  /** Below the package. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** Makes a variant and gives its folder. @throws Error if an edit does not apply any more. */
export function makeVariant(name: string, edits: readonly Edit[]): string {
  const root = join(PACKAGE, '.vitest/variants', name);
  fs.rmSync(root, { recursive: true, force: true });
  const files = fs.globSync(['src/**/*.ts', 'test/torture/*.ts', 'test/programs/torture*.ts'], {
    cwd: PACKAGE,
  });
  for (const file of files) {
    fs.mkdirSync(join(root, file, '..'), { recursive: true });
    const text = fs.readFileSync(join(PACKAGE, file), 'utf8');
    fs.writeFileSync(
      join(root, file),
      edited(
        text,
        edits.filter((edit) => edit.file === file),
        name,
      ),
    );
  }
  for (const { file } of edits)
    if (!files.includes(file)) throw new Error(`${name} no longer applies: there is no ${file}.`);
  return root;
}

function edited(text: string, edits: readonly Edit[], name: string): string {
  return edits.reduce((before, { file, find, replace }) => {
    const times = before.split(find).length - 1;
    if (times !== 1) throw new Error(`${name} no longer applies: ${file} has ${times} times: ${find}`);
    return before.replace(find, () => replace);
  }, text);
}

/** Not broken: more generations than two, which only let swaps run ahead. */
export const FOUR_GENERATIONS: readonly Edit[] = [
  {
    file: 'src/internal/threads.ts',
    find: 'export const GENERATIONS = 2;',
    replace: 'export const GENERATIONS: number = 4;',
  },
];
