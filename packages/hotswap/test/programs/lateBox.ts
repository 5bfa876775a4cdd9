/** A module with an implementation that no test and no program imports: a swap has it loaded. */
import type { Implementation } from '@k42/clustered';
import { type Box, defineBox } from './boxes.ts';

export const LateBox: Implementation<Box> = defineBox('box-late@1');
