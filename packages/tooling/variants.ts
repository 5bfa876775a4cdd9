/**
 * Variants of a package's sources: a copy of them and of some tests, with a few places of the text replaced.
 *
 * The copies lie inside the package, where git ignores them and Node strips their types. The tests import the sources by
 * relative paths, so a copy tests itself.
 */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';

/** A replacement; what it replaces must be there, once. */
export interface Edit {
  /** Below the package. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/**
 * Makes a variant of a package and gives its folder. What is there already as it should be is left alone, and the rest replaced
 * whole: two runs of the tests may make the same variant at once.
 * @param copied patterns of files below the package. @throws Error if an edit does not apply any more.
 */
export function makeVariantOf(
  packageFolder: string,
  copied: readonly string[],
  name: string,
  edits: readonly Edit[],
): string {
  const root = join(packageFolder, '.vitest/variants', name);
  const files = fs.globSync(copied, { cwd: packageFolder });
  for (const file of files) {
    const mine = edits.filter((edit) => edit.file === file);
    replaceFile(join(root, file), edited(fs.readFileSync(join(packageFolder, file), 'utf8'), mine, name));
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
