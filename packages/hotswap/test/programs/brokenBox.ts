/** A module that loads on the host only. */
import { isMainThread } from 'node:worker_threads';
import type { Implementation } from '@k42/clustered';
import { type Box, defineBox } from './boxes.ts';

if (!isMainThread) throw new Error('this module is for the host');

export const BrokenBox: Implementation<Box> = defineBox('box-broken@1');
