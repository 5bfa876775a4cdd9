/**
 * A lap: one processor counts in one way for a while, beside others that do the same.
 *
 * All pass the gate together, and each goes on for the same time from there, so that they are in each other's way from
 * beginning to end. The two counters are never met by the same processor: what a call costs that meets several
 * implementations is the matter of the suite `dispatch`. A loop looks at the clock once per block.
 */
import { type Coid, handle } from '@k42/clustered';
import type { Counter } from '@k42/clustered/standard';
import { currentProcessor } from '@k42/rcu';
import { passGate } from './gate.ts';
import { LINE_BYTES, PLAIN_BYTES, type Track, type Variant } from './track.ts';

export interface LapSpec {
  readonly variant: Variant;
  /** Processors that run this lap. */
  readonly parties: number;
  readonly milliseconds: number;
}

export interface LapResult {
  /** Increments. */
  readonly count: number;
  /** From the gate until the last of them. */
  readonly seconds: number;
}

const BLOCK = 16_384;

/** Called by name, on all parties at once. */
export function runLap(track: Track, { variant, parties, milliseconds }: LapSpec): LapResult {
  const { memory, number } = currentProcessor();
  const line = track.lines + number * LINE_BYTES;
  passGate(memory.i32, track.gate / 4, parties);
  const begun = performance.now();
  const end = begun + milliseconds;
  const loops: Record<Variant, () => number> = {
    bare: () => countBare(memory.i32, track.sharedWord / 4, end),
    shared: () => countByObject(track.shared, end),
    distributed: () => countByObject(track.distributed, end),
    ownAtomic: () => countOwnAtomic(memory.i32, line / 4, end),
    ownPlain: () => countOwnPlain(memory.i32, (line + PLAIN_BYTES) / 4, end),
  };
  const count = loops[variant]();
  return { count, seconds: (performance.now() - begun) / 1000 };
}

/** Closes the gate again, for the next lap; nobody is in one. Called by name. */
export function closeGate(track: Track): void {
  Atomics.store(currentProcessor().memory.i32, track.gate / 4, 0);
}

function countBare(words: Int32Array, at: number, end: number): number {
  let blocks = 0;
  do {
    for (let i = 0; i < BLOCK; i++) Atomics.add(words, at, 1);
    blocks++;
  } while (performance.now() < end);
  return blocks * BLOCK;
}

function countByObject(coid: Coid<Counter>, end: number): number {
  const counter = handle(coid);
  let blocks = 0;
  do {
    for (let i = 0; i < BLOCK; i++) counter.inc();
    blocks++;
  } while (performance.now() < end);
  return blocks * BLOCK;
}

function countOwnAtomic(words: Int32Array, at: number, end: number): number {
  let blocks = 0;
  do {
    for (let i = 0; i < BLOCK; i++) Atomics.add(words, at, 1);
    blocks++;
  } while (performance.now() < end);
  return blocks * BLOCK;
}

function countOwnPlain(words: Int32Array, at: number, end: number): number {
  let blocks = 0;
  do {
    for (let i = 0; i < BLOCK; i++) words[at] = (words[at] as number) + 1;
    blocks++;
  } while (performance.now() < end);
  return blocks * BLOCK;
}
