/**
 * Goal: the corners of the definition that the golden rows do not reach, and the hooks.
 * Method: count-only runs with extreme options; hooks that record.
 */
import { expect, test } from 'vitest';
import { countOnly } from '../src/postmark/countOnly.ts';
import type { PostmarkOptions } from '../src/postmark/options.ts';
import { DEFAULT_OPTIONS } from '../src/postmark/options.ts';
import { PlainFiles } from '../src/postmark/plainFiles.ts';
import { Pool } from '../src/postmark/pool.ts';
import { Workload } from '../src/postmark/workload.ts';
import { temporaryDirectory } from './support.ts';

const run = (changed: Partial<PostmarkOptions>, keep = false): ReturnType<typeof countOnly> =>
  countOnly({ ...DEFAULT_OPTIONS, ...changed }, changed.seed ?? 42, keep);

test('fewer than ten transactions, and none', async () => {
  expect((await run({ transactions: 3 })).transactions).toBe(3);
  expect((await run({ transactions: 0 })).counts).toMatchObject({ created: 500, read: 0, deletedAlone: 500 });
});

test('ends early when all files have been deleted', async () => {
  const { counts, transactions } = await run({ number: 5, biasCreate: 0, transactions: 100 });
  expect(counts).toMatchObject({ created: 5, createdMixed: 0, deletedMixed: 5, deletedAlone: 0 });
  expect(transactions).toBe(5);
});

test('creates nothing more when the table is full', async () => {
  const { counts } = await run({ number: 5, biasCreate: 10, transactions: 100 });
  expect(counts).toMatchObject({ created: 10, createdMixed: 5, deletedMixed: 0, deletedAlone: 10 });
});

test('a bias of -1 leaves its half of the transactions out', async () => {
  expect((await run({ biasRead: -1 })).counts).toMatchObject({ read: 0, appended: 0 });
  expect((await run({ biasCreate: -1 })).counts).toMatchObject({ createdMixed: 0, deletedMixed: 0 });
});

test('files of full size are not appended to, and that is not counted', async () => {
  const { counts } = await run({ sizeLowBytes: 100, sizeHighBytes: 100, biasRead: 0 });
  expect(counts).toMatchObject({ appended: 0, bytesWritten: counts.created * 100 });
});

test('keep leaves the deletions out and nothing else', async () => {
  const { counts } = await run({}, true);
  expect(counts).toMatchObject({ created: 764, deletedMixed: 236, deletedAlone: 0, bytesWritten: 4_662_068 });
});

test('block sizes change the number of calls and no count', async () => {
  const usual = await run({});
  expect(await run({ readBlockBytes: 1, writeBlockBytes: 100_000 })).toEqual(usual);
});

test('a slot is the one at the cursor, else the first empty one, behind which the cursor goes', () => {
  const pool = new Pool(2);
  const reserve = (): number => {
    const slot = pool.reserve();
    if (slot >= 0) pool.occupy(slot, `f${slot}`, 1);
    return slot;
  };
  expect([reserve(), reserve(), reserve(), reserve(), reserve()]).toEqual([0, 1, 2, 3, -1]);
  pool.vacate(1);
  pool.vacate(2);
  expect([reserve(), reserve(), reserve()]).toEqual([1, 2, -1]);
  pool.vacate(3);
  pool.vacate(0);
  expect([reserve(), reserve()]).toEqual([3, 0]);
});

test('every unit of work runs in the wrapper, files are open in their hook, and hooks may be slow', async () => {
  const options = { ...DEFAULT_OPTIONS, number: 10, transactions: 40 };
  const seen = { units: 0, inside: 0, between: [] as number[], open: 0 };
  const hooks = {
    runTransaction: async (work: () => Promise<void>): Promise<void> => {
      seen.units++;
      seen.inside++;
      await work();
      seen.inside--;
    },
    betweenTransactions: async (index: number): Promise<void> => {
      expect(seen.inside).toBe(0);
      await Promise.resolve();
      seen.between.push(index);
    },
    whileOpen: async (_file: unknown, path: string): Promise<void> => {
      expect(seen.inside).toBe(1);
      expect(path).toMatch(/\/\d+$/);
      await Promise.resolve();
      seen.open++;
    },
  };
  const directory = temporaryDirectory();
  const spec = { options, seed: 42, directory, files: new PlainFiles(), keep: false, verify: true, hooks };
  const { counts, verification } = await new Workload(spec).run();
  expect(seen.units).toBe(10 + 40 + counts.deletedAlone);
  expect(seen.between).toEqual(Array.from({ length: 40 }, (_, i) => i));
  expect(seen.open).toBe(counts.read + counts.appended);
  expect(verification?.mismatches).toBe(0);
});

test('other work gets turns between transactions', async () => {
  let turns = 0;
  let ended = false;
  const count = (): void => {
    turns++;
    if (!ended) setImmediate(count);
  };
  setImmediate(count);
  const options = { ...DEFAULT_OPTIONS, number: 10, transactions: 100 };
  const directory = temporaryDirectory();
  await new Workload({
    options,
    seed: 42,
    directory,
    files: new PlainFiles(),
    keep: false,
    verify: false,
  }).run();
  ended = true;
  expect(turns).toBeGreaterThanOrEqual(100);
});
