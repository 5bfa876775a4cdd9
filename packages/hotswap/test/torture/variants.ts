/** Variants of this package, and of the scenes that judge them. */
import { type Edit, makeVariantOf } from '@k42/tooling/variants';
import { PACKAGE } from './apart.ts';

export type { Edit } from '@k42/tooling/variants';

const COPIED = [
  'src/**/*.ts',
  'test/torture/{run,scene,scenarios*}.ts',
  'test/programs/{gates,gated,joiner}.ts',
];

/** Makes a variant and gives its folder. @throws Error if an edit does not apply any more. */
export function makeVariant(name: string, edits: readonly Edit[]): string {
  return makeVariantOf(PACKAGE, COPIED, name, edits);
}
