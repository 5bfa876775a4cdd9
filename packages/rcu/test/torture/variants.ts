/** Variants of this package, and of its torture files. */
import { type Edit, makeVariantOf } from '@k42/tooling/variants';
import { PACKAGE } from './apart.ts';

export type { Edit } from '@k42/tooling/variants';

const COPIED = ['src/**/*.ts', 'test/torture/*.ts', 'test/programs/torture*.ts'];

/** Makes a variant and gives its folder. @throws Error if an edit does not apply any more. */
export function makeVariant(name: string, edits: readonly Edit[]): string {
  return makeVariantOf(PACKAGE, COPIED, name, edits);
}

/** Not broken: more generations than two, which only let swaps run ahead. */
export const FOUR_GENERATIONS: readonly Edit[] = [
  {
    file: 'src/internal/threads.ts',
    find: 'export const GENERATIONS = 2;',
    replace: 'export const GENERATIONS: number = 4;',
  },
];
