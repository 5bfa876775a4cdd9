/**
 * Goal: what processors do to a file at the same time is neither lost nor torn.
 * Method: real workers that append, overwrite, truncate and read one file at once, in both implementations; contents are
 * chosen so that any mixture of two states shows.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { record } from './programs/files.ts';
import { boot, IMPLEMENTATIONS, onAll, PAGE, stopWord, temporaryDirectory } from './support.ts';

describe.each(IMPLEMENTATIONS)('%s', (implementation) => {
  test('appends of three processors: every record once, whole, in its order', async () => {
    const machine = await boot(3);
    const path = join(temporaryDirectory(), 'journal');
    const [count, length] = [3000, 37];
    await onAll(machine, 'open', 'f', path, 'a+', { implementation });
    await onAll(machine, 'appendRecords', 'f', count, length);
    await onAll(machine, 'close', 'f');
    const bytes = readFileSync(path);
    expect(bytes.length).toBe(3 * count * length);
    const next = [0, 0, 0];
    for (let at = 0; at < bytes.length; at += length) {
      const processor = bytes[at] as number;
      const expected = record(processor, next[processor] as number, length);
      if (Buffer.compare(bytes.subarray(at, at + length), expected) !== 0)
        throw new Error(`torn or lost at ${at}`);
      next[processor] = (next[processor] as number) + 1;
    }
    expect(next).toEqual([count, count, count]);
  });

  test('a reader never sees half of an overwritten page', async () => {
    const machine = await boot(3);
    const path = join(temporaryDirectory(), 'f');
    writeFileSync(path, new Uint8Array(3 * PAGE));
    await onAll(machine, 'open', 'f', path, 'r+', { implementation });
    const stop = new Int32Array(new SharedArrayBuffer(8));
    const [, , seen] = await Promise.all([
      machine.call(1, 'overwritePage', ['f', 1, 60_000, stop]),
      machine.call(2, 'overwritePage', ['f', 1, 60_000, stop]),
      machine.call<{ reads: number; torn: number; values: number }>(0, 'readPage', ['f', 1, 2, stop]),
    ]);
    expect(seen.torn).toBe(0);
    // The reader did meet the writers.
    expect(seen.reads).toBeGreaterThan(100);
    expect(seen.values).toBeGreaterThan(2);
    await onAll(machine, 'close', 'f');
  });

  test('frames that go to another file and back never show its bytes', async () => {
    const machine = await boot(2);
    const directory = temporaryDirectory();
    await onAll(machine, 'open', 'a', join(directory, 'a'), 'w+', { implementation });
    await machine.call(1, 'open', ['b', join(directory, 'b'), 'w+', { implementation }]);
    const stop = stopWord();
    const [, seen] = await Promise.all([
      machine.call(1, 'exchangeFrames', ['a', 'b', 4, 8000, stop]),
      machine.call<{ foreign: number; whole: number }>(0, 'readExchanged', ['a', 4, stop]),
    ]);
    expect(seen.foreign).toBe(0);
    expect(seen.whole).toBeGreaterThan(10);
    await onAll(machine, 'close', 'a');
    await machine.call(1, 'close', ['b']);
  });

  test('a frame that was taken away is noticed, though the file has not shrunk', async () => {
    const machine = await boot(2);
    const directory = temporaryDirectory();
    // Page 0 of A is all 0xaa, its page 1 and all of B are not.
    writeFileSync(join(directory, 'a'), Buffer.concat([Buffer.alloc(PAGE, 0xaa), Buffer.alloc(PAGE, 0xcc)]));
    writeFileSync(join(directory, 'b'), Buffer.alloc(PAGE, 0xbb));
    await onAll(machine, 'open', 'a', join(directory, 'a'), 'r', { implementation });
    await machine.call(1, 'open', ['b', join(directory, 'b'), 'r', { implementation }]);
    const stop = stopWord();
    const [, seen] = await Promise.all([
      machine.call(1, 'exchangeByEviction', ['a', 'b', 8000, stop]),
      machine.call<{ foreign: number; whole: number }>(0, 'readExchanged', ['a', 1, stop]),
    ]);
    expect(seen.foreign).toBe(0);
    expect(seen.whole).toBeGreaterThan(10);
    await onAll(machine, 'close', 'a');
    await machine.call(1, 'close', ['b']);
  });

  test('a read that overlaps a truncation is from before it or from after it', async () => {
    const machine = await boot(2);
    const path = join(temporaryDirectory(), 'f');
    writeFileSync(path, new Uint8Array(4000).fill(1));
    await onAll(machine, 'open', 'f', path, 'r+', { implementation });
    const stop = stopWord();
    const [, seen] = await Promise.all([
      machine.call(1, 'waveTail', ['f', 40_000, stop]),
      machine.call<{ reads: number; wrong: number }>(0, 'watchTail', ['f', stop]),
    ]);
    expect(seen.wrong).toBe(0);
    expect(seen.reads).toBeGreaterThan(100);
    await onAll(machine, 'close', 'f');
  });

  test('overwrites of neighbouring pieces, with write-backs going on, all arrive on disk', async () => {
    const machine = await boot(3);
    const path = join(temporaryDirectory(), 'f');
    const [pieceBytes, pieces, rounds] = [100, 400, 40];
    writeFileSync(path, new Uint8Array(3 * pieceBytes * pieces));
    await onAll(machine, 'open', 'f', path, 'r+', { implementation });
    await onAll(machine, 'overwriteStripe', 'f', 3, pieceBytes, pieces, rounds);
    await onAll(machine, 'close', 'f');
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at++) {
      const [piece, processor] = [Math.floor(at / pieceBytes / 3), Math.floor(at / pieceBytes) % 3];
      if (bytes[at] !== 1 + ((processor + piece) % 250)) throw new Error(`byte ${at} is ${bytes[at]}`);
    }
  });
});
