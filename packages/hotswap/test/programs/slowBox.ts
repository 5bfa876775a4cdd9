/** A module that takes its time to load on workers: until a gate is open. */
import { isMainThread } from 'node:worker_threads';
import type { Implementation } from '@k42/clustered';
import { type Box, defineBox, GATE } from './boxes.ts';
import { passGate } from './tape.ts';

if (!isMainThread) await passGate(GATE.MODULE);

export const SlowBox: Implementation<Box> = defineBox('box-slow@1');
