/**
 * Goal: a file cache manager can be swapped while it is used, in both directions, and nobody notices: no byte lost, no
 * append torn, nothing leaked, dirty pages and counts taken along.
 * Method: real workers append to, overwrite and read one file while its manager is swapped to and fro.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Coid } from '@k42/clustered';
import { currentRoot, implementationOf } from '@k42/clustered/interpose';
import { type SwapReport, swap } from '@k42/hotswap';
import { describe, expect, test } from 'vitest';
import { DistributedFcm, type FileCacheManager, openFile, poolStatistics, SharedFcm } from '../src/index.ts';
import { fileOf, record } from './programs/files.ts';
import {
  boot,
  bytesInUse,
  onAll,
  openDescriptors,
  PAGE,
  runOnAll,
  stopWord,
  temporaryDirectory,
  until,
} from './support.ts';

const SWAPS = 40;
const target = (round: number): typeof SharedFcm => (round % 2 === 0 ? DistributedFcm : SharedFcm);

/** Swaps to and fro, then tells whoever uses the file to stop. */
async function swapOften(coid: Coid<FileCacheManager>, stop: Int32Array): Promise<SwapReport[]> {
  const reports: SwapReport[] = [];
  try {
    for (let round = 0; round < SWAPS; round++) reports.push(await swap(coid, target(round)));
  } finally {
    Atomics.store(stop, 0, 1);
  }
  return reports;
}

describe('a swap', () => {
  // So that either implementation is the last, which frees everything.
  test.each([5, 6])(
    'takes dirty pages, size and counts along, and leaks nothing, %i times',
    async (swaps) => {
      const machine = await boot(1);
      const bytes = bytesInUse(machine);
      const path = join(temporaryDirectory(), 'f');
      writeFileSync(path, 'x'.repeat(2 * PAGE));
      const descriptors = openDescriptors();
      const file = await openFile(path, 'r+');
      const expected = Buffer.alloc(3 * PAGE, 'x');
      const into = Buffer.alloc(3 * PAGE);
      for (let round = 0; round < swaps; round++) {
        file.writeSync(Buffer.alloc(100, round + 1), PAGE - 50);
        expected.fill(round + 1, PAGE - 50, PAGE + 50);
        if (round === 0) file.truncateSync(3 * PAGE);
        if (round === 0) expected.fill(0, 2 * PAGE);
        const before = file.statistics();
        const report = await swap(file.coid, target(round));
        expect(report).toMatchObject({ participants: [0], protocol: 'fcm/directory@1' });
        expect(implementationOf(currentRoot(file.coid)).name).toBe(target(round).name);
        expect(file.statistics()).toEqual(before);
        expect(file.readSync(into, 0)).toBe(3 * PAGE);
        expect(into.equals(expected)).toBe(true);
      }
      expect(file.statistics().fills).toBe(2);
      // Nobody calls the object between these two: what it has counted is in a Rep all the same.
      const before = file.statistics();
      await swap(file.coid, target(swaps));
      await swap(file.coid, target(swaps + 1));
      expect(file.statistics()).toEqual(before);
      await file.close();
      expect(readFileSync(path).equals(expected)).toBe(true);
      await until(() => poolStatistics().usedBytes === 0 && bytesInUse(machine) === bytes);
      expect(openDescriptors()).toBe(descriptors);
    },
  );

  test('while three processors append: every record once, whole, in its order', async () => {
    const machine = await boot(3);
    const path = join(temporaryDirectory(), 'journal');
    const length = 37;
    await onAll(machine, 'open', 'f', path, 'a+');
    const stop = stopWord();
    const appending = runOnAll<number>(machine, 'appendRecords', 'f', 100, length, stop);
    const reports = await swapOften(fileOf('f').coid, stop);
    const appended = await appending;
    expect(reports.some(({ participants }) => participants.length === 3)).toBe(true);
    expect(reports.some(({ forwarded, queued }) => forwarded + queued > 0)).toBe(true);
    await onAll(machine, 'close', 'f');
    const bytes = readFileSync(path);
    const next = [0, 0, 0];
    for (let at = 0; at < bytes.length; at += length) {
      const processor = bytes[at] as number;
      const expected = record(processor, next[processor] as number, length);
      if (Buffer.compare(bytes.subarray(at, at + length), expected) !== 0)
        throw new Error(`torn or lost at ${at}`);
      next[processor] = (next[processor] as number) + 1;
    }
    expect(next).toEqual(appended);
    await until(() => poolStatistics().usedBytes === 0);
  });

  test('while three processors overwrite, read and write back', async () => {
    const machine = await boot(3);
    const path = join(temporaryDirectory(), 'f');
    const [pieceBytes, pieces] = [100, 200];
    writeFileSync(path, new Uint8Array(3 * pieceBytes * pieces));
    await onAll(machine, 'open', 'f', path, 'r+');
    const stop = stopWord();
    const writing = runOnAll(machine, 'overwriteStripe', 'f', 3, pieceBytes, pieces, 3, stop);
    await swapOften(fileOf('f').coid, stop);
    await writing;
    await onAll(machine, 'close', 'f');
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at++) {
      const [piece, processor] = [Math.floor(at / pieceBytes / 3), Math.floor(at / pieceBytes) % 3];
      if (bytes[at] !== 1 + ((processor + piece) % 250)) throw new Error(`byte ${at} is ${bytes[at]}`);
    }
  });

  test('that fails leaves the old manager in charge of everything', async () => {
    const machine = await boot(1);
    const bytes = bytesInUse(machine);
    const path = join(temporaryDirectory(), 'f');
    const file = await openFile(path, 'w+');
    file.appendSync(Buffer.from('content'));
    const broken = DistributedFcm.Root.prototype as unknown as { importPart: (...args: unknown[]) => void };
    const original = broken.importPart;
    broken.importPart = () => {
      throw new Error('injected');
    };
    try {
      await expect(swap(file.coid, DistributedFcm)).rejects.toMatchObject({ code: 'K42_SWAP_IMPORT' });
    } finally {
      broken.importPart = original;
    }
    expect(implementationOf(currentRoot(file.coid)).name).toBe(SharedFcm.name);
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('content');
    await until(() => poolStatistics().usedBytes === 0 && bytesInUse(machine) === bytes);
  });
});
