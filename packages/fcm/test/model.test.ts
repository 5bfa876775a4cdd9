/**
 * Goal: a cached file behaves like a file.
 * Method: random histories, on one processor and on three, synchronous and asynchronous forms mixed, every result
 * compared with a plain array of bytes; files are synced, closed and opened again in between, and in the end the disk
 * is compared too. Then the same with a disk that reads and writes a few bytes at a time.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '@k42/rcu';
import { describe, expect, test } from 'vitest';
import type { Form, Operation } from './programs/files.ts';
import { Random } from './programs/random.ts';
import { boot, IMPLEMENTATIONS, onAll, seeds, temporaryDirectory, withSeed } from './support.ts';

const SIZE_MAX = 60_000;

/** A file, as it should be. */
class Model {
  bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  apply(operation: Operation): Uint8Array | number {
    switch (operation.kind) {
      case 'read':
        return this.bytes.slice(operation.position, operation.position + operation.length);
      case 'write':
        return this.#write(operation.bytes, operation.position);
      case 'append':
        return this.#write(operation.bytes, this.bytes.length);
      case 'truncate':
        this.#resize(operation.length);
        return 0;
      case 'sync':
        return 0;
      case 'size':
        return this.bytes.length;
    }
  }

  #write(bytes: Uint8Array, position: number): number {
    if (bytes.length === 0) return 0;
    if (position + bytes.length > this.bytes.length) this.#resize(position + bytes.length);
    this.bytes.set(bytes, position);
    return bytes.length;
  }

  #resize(length: number): void {
    const next = new Uint8Array(length);
    next.set(this.bytes.subarray(0, length));
    this.bytes = next;
  }
}

/** Lengths that tend to end on, just before, or just behind a page. */
function length(random: Random, bound: number): number {
  if (random.chance(3)) return Math.min(bound, Math.max(0, 4096 * random.below(4) - 1 + random.below(3)));
  return random.below(random.chance(2) ? Math.min(bound, 600) : bound);
}

function operation(random: Random, size: number): Operation {
  const position = length(random, Math.min(size + 6000, SIZE_MAX));
  switch (random.below(9)) {
    case 0:
    case 1:
    case 2:
      return { kind: 'read', position, length: length(random, 20_000) };
    case 3:
    case 4:
      return { kind: 'write', position, bytes: random.bytes(length(random, 13_000)) };
    case 5:
      return { kind: 'append', bytes: random.bytes(size > SIZE_MAX ? 0 : length(random, 9000)) };
    case 6:
      return {
        kind: 'truncate',
        length: random.chance(3) ? length(random, size + 9000) : length(random, size + 1),
      };
    case 7:
      return { kind: 'size' };
    default:
      return { kind: 'sync' };
  }
}

async function runHistory(
  machine: Machine,
  path: string,
  random: Random,
  steps: number,
  implementation: string,
): Promise<void> {
  const model = new Model(random.bytes(random.below(30_000)));
  writeFileSync(path, model.bytes);
  await onAll(machine, 'open', 'f', path, 'r+', { implementation });
  for (let step = 0; step < steps; step++) {
    const processor = random.below(machine.processors.length);
    const form: Form = random.chance(2) ? 'sync' : 'async';
    if (random.chance(25)) {
      await machine.call(processor, random.chance(2) ? 'close' : 'closeNow', ['f']);
      // All writes so far were made through files that are open or have been written back by a close.
      if (machine.processors.length === 1) expect(readFileSync(path).equals(model.bytes)).toBe(true);
      await machine.call(processor, random.chance(2) ? 'open' : 'openNow', [
        'f',
        path,
        'r+',
        { implementation },
      ]);
      continue;
    }
    const next = operation(random, model.bytes.length);
    const expected = model.apply(next);
    const actual = await machine.call<Uint8Array | number>(processor, 'apply', ['f', next, form]);
    const equal =
      typeof actual === 'number' ? actual === expected : Buffer.compare(actual, expected as Uint8Array) === 0;
    const size = typeof actual === 'number' ? actual : actual.length;
    const wanted = typeof expected === 'number' ? expected : expected.length;
    if (!equal)
      throw new Error(
        `step ${step}, ${form}, processor ${processor}: ${JSON.stringify({ ...next, bytes: undefined })} gave ${size}, expected ${wanted}, or other bytes`,
      );
    if (next.kind === 'sync') expect(readFileSync(path).equals(model.bytes)).toBe(true);
  }
  await onAll(machine, 'close', 'f');
  expect(readFileSync(path).equals(model.bytes)).toBe(true);
}

describe.each(IMPLEMENTATIONS)('%s', (implementation) => {
  test.each(seeds(1, 2, 3, 4))('one processor, seed %i', async (seed) => {
    await withSeed('model', seed, async () => {
      const machine = await boot(1);
      await runHistory(machine, join(temporaryDirectory(), 'f'), new Random(seed), 3000, implementation);
    });
  });

  test.each(seeds(11, 12, 13))('three processors, seed %i', async (seed) => {
    await withSeed('model', seed, async () => {
      const machine = await boot(3);
      await runHistory(machine, join(temporaryDirectory(), 'f'), new Random(seed), 2500, implementation);
    });
  });

  test.each(seeds(21))('a disk that does a few bytes at a time, seed %i', async (seed) => {
    await withSeed('model', seed, async () => {
      const machine = await boot(2);
      await onAll(machine, 'useFaults', { bytesAtOnce: 701 });
      await runHistory(machine, join(temporaryDirectory(), 'f'), new Random(seed), 600, implementation);
      await onAll(machine, 'repair');
    });
  });
});
