/**
 * Goal: the page table finds what is in it and nothing else, through any order of insertions, removals and growth.
 * Method: random pages, dense and scattered, against a Map; the words after the table must stay untouched.
 */
import { currentProcessor } from '@k42/rcu';
import { expect, test } from 'vitest';
import { DIRECTORY, DIRECTORY_BYTES } from '../src/internal/layout.ts';
import { initialisePageTable, PageTable } from '../src/internal/pageTable.ts';
import { Random } from './programs/random.ts';
import { boot, seeds, withSeed } from './support.ts';

test.each(seeds(1, 2, 3))('seed %i', async (seed) => {
  await withSeed('pageTable', seed, async () => {
    await boot(1);
    const { memory } = currentProcessor();
    const before = memory.allocatedBytes;
    const offset = memory.allocate(DIRECTORY_BYTES);
    initialisePageTable(memory.i32, offset / 4);
    const table = new PageTable(memory, offset / 4);
    const model = new Map<number, number>();
    const random = new Random(seed);
    for (let step = 0; step < 30_000; step++) {
      const page = random.chance(2) ? random.below(40) : random.below(2 ** 32 - 1);
      const known = [...model.keys()];
      if (model.size > 6 + step / 100 || (model.size > 0 && random.chance(2))) {
        const gone = known[random.below(known.length)] as number;
        table.remove(gone);
        model.delete(gone);
      } else if (!model.has(page)) {
        table.reserve(1);
        table.insert(page, step);
        model.set(page, step);
      }
      expect(table.find(page)).toBe(model.get(page) ?? -1);
      if (step % 500 === 0) {
        const found = new Map<number, number>();
        table.forEach((at, frame) => void found.set(at, frame));
        expect(found).toEqual(model);
        for (const [at, frame] of model) expect(table.find(at)).toBe(frame);
      }
      expect(table.pages).toBe(model.size);
    }
    expect(memory.i32[offset / 4 + DIRECTORY.MUTEX]).toBe(0);
    table.free();
    memory.free(offset, DIRECTORY_BYTES);
    expect(memory.allocatedBytes).toBe(before);
  });
});
