/**
 * What objects take of memory: of this thread's heap, after everything unreachable has been collected, and of the machine's.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { objectCounts } from '@k42/clustered';

// Not by the command line: a worker cannot have V8 flags of its own, and the user need not know about this one.
setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes. */
export interface MemoryUse {
  readonly heap: number;
  /** Machine memory in use for objects, on all processors. */
  readonly machine: number;
  /** Machine memory set aside for objects, in use or not, with the table. */
  readonly reserved: number;
}

/** Collects garbage; what is left. */
export function memoryInUse(): MemoryUse {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  const { bytes, reservedBytes } = objectCounts();
  return { heap: heapUsed + external, machine: bytes, reserved: reservedBytes };
}

export function collectGarbage(): void {
  if (typeof collect !== 'function') throw new Error('objects: V8 has no gc()');
  collect();
}

/** Bytes for each of `count` objects between two uses. */
export function bytesEach(before: MemoryUse, after: MemoryUse, count: number): MemoryUse {
  return {
    heap: (after.heap - before.heap) / count,
    machine: (after.machine - before.machine) / count,
    reserved: (after.reserved - before.reserved) / count,
  };
}
