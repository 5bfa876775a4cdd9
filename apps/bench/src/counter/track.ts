/**
 * What is counted on: words of machine memory for counting by hand, and an object of each counter.
 *
 * Made once per machine and then known to all of its processors: offsets and COIDs mean the same everywhere.
 */
import { type Coid, create, handle } from '@k42/clustered';
import { type Counter, DistributedCounter, SharedCounter } from '@k42/clustered/standard';
import { currentProcessor } from '@k42/rcu';

/** The ways of counting that are compared. */
export const VARIANTS = ['bare', 'shared', 'distributed', 'ownAtomic', 'ownPlain'] as const;
export type Variant = (typeof VARIANTS)[number];

export interface Track {
  /** Byte offsets, each of a cache line of its own. */
  readonly gate: number;
  readonly sharedWord: number;
  /** Of a line for each processor number, for two words that only that processor writes: one atomically, one plainly. */
  readonly lines: number;
  readonly shared: Coid<Counter>;
  readonly distributed: Coid<Counter>;
}

export const LINE_BYTES = 64;
/** Of the plain word in a line; the atomic one is its first. */
export const PLAIN_BYTES = 4;

/** Called by name, once. */
export function layTrack(): Track {
  const { memory, processors } = currentProcessor();
  return {
    gate: memory.allocate(LINE_BYTES),
    sharedWord: memory.allocate(LINE_BYTES),
    lines: memory.allocate(LINE_BYTES * processors),
    shared: create(SharedCounter, undefined),
    distributed: create(DistributedCounter, undefined),
  };
}

/** What each variant has counted since the track was laid; the words by hand modulo 2^32. Called by name. */
export function readTrack(track: Track): Record<Variant, number> {
  const { memory, processors } = currentProcessor();
  let [ownAtomic, ownPlain] = [0, 0];
  for (let processor = 0; processor < processors; processor++) {
    const line = track.lines + processor * LINE_BYTES;
    ownAtomic += Atomics.load(memory.i32, line / 4);
    ownPlain += memory.i32[(line + PLAIN_BYTES) / 4] as number;
  }
  return {
    bare: Atomics.load(memory.i32, track.sharedWord / 4) >>> 0,
    shared: handle(track.shared).value(),
    distributed: handle(track.distributed).value(),
    ownAtomic: ownAtomic >>> 0,
    ownPlain: ownPlain >>> 0,
  };
}
