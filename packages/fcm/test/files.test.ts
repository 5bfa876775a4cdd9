/**
 * Goal: opening and closing keep their promises: one cache per file, everything on disk after close, nothing leaked,
 * clear errors.
 * Method: files opened in several ways on several processors; a disk that is full when asked; counts of frames, memory
 * and descriptors before and after.
 */
import { execFileSync } from 'node:child_process';
import {
  constants,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '@k42/rcu';
import { describe, expect, test } from 'vitest';
import { configureFcm, openFile, openFileCount, openFileSync, poolStatistics } from '../src/index.ts';
import { NODE_STORE, useStore } from '../src/internal/backingStore.ts';
import { calls, useFaults } from './programs/faultyStore.ts';
import {
  boot,
  bytesInUse,
  IMPLEMENTATIONS,
  onAll,
  openDescriptors,
  PAGE,
  temporaryDirectory,
  until,
} from './support.ts';

const code = (expected: string): unknown => expect.objectContaining({ code: expected });
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = async (machine: Machine, processor: number, key: string): Promise<string> => {
  const read = { kind: 'read', position: 0, length: 1000 };
  return Buffer.from(await machine.call<Uint8Array>(processor, 'apply', [key, read, 'sync'])).toString();
};

describe.each(IMPLEMENTATIONS)('%s', (implementation) => {
  test('one cache per file, by whichever name and processor it is opened', async () => {
    const machine = await boot(3);
    const directory = temporaryDirectory();
    const path = join(directory, 'f');
    writeFileSync(path, 'old');
    linkSync(path, join(directory, 'link'));
    // The first opener can only read: the second brings the descriptor to write with.
    await machine.call(0, 'open', ['f', path, 'r', { implementation }]);
    await machine.call(1, 'open', ['f', join(directory, 'link'), 'r+', { implementation }]);
    await machine.call(2, 'openNow', ['f', path, 'r', { implementation }]);
    expect(openFileCount()).toBe(1);
    await machine.call(1, 'apply', [
      'f',
      { kind: 'write', position: 0, bytes: bytesOf('new and longer') },
      'sync',
    ]);
    expect(await text(machine, 0, 'f')).toBe('new and longer');
    expect(await text(machine, 2, 'f')).toBe('new and longer');
    expect(readFileSync(path, 'utf8')).toBe('old');
    await machine.call(1, 'close', ['f']);
    expect(readFileSync(path, 'utf8')).toBe('new and longer');
    expect(openFileCount()).toBe(1);
    await machine.call(0, 'close', ['f']);
    await machine.call(2, 'close', ['f']);
    expect(openFileCount()).toBe(0);
  });

  test('truncated by the flag, for those who have it open too', async () => {
    const machine = await boot(2);
    const path = join(temporaryDirectory(), 'f');
    writeFileSync(path, 'x'.repeat(10_000));
    await machine.call(1, 'open', ['f', path, 'r', { implementation }]);
    expect(await text(machine, 1, 'f')).toBe('x'.repeat(1000));
    await machine.call(0, 'open', ['f', path, 'w+', { implementation }]);
    expect(await text(machine, 1, 'f')).toBe('');
    await machine.call(0, 'apply', ['f', { kind: 'append', bytes: bytesOf('fresh') }, 'async']);
    expect(await text(machine, 1, 'f')).toBe('fresh');
    await onAll(machine, 'close', 'f');
    expect(readFileSync(path, 'utf8')).toBe('fresh');
  });

  test('holes, extension and stale bytes on disk read as zeros', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    writeFileSync(path, 'x'.repeat(20_000));
    const file = await openFile(path, 'r+', { implementation });
    file.truncateSync(100);
    file.truncateSync(9000);
    file.writeSync(bytesOf('end'), 30_000);
    const expected = Buffer.alloc(30_003);
    expected.fill('x', 0, 100);
    expected.write('end', 30_000);
    const into = new Uint8Array(40_000);
    expect(file.readSync(into, 0)).toBe(30_003);
    expect(expected.equals(into.subarray(0, 30_003))).toBe(true);
    expect(file.readSync(into, 30_003)).toBe(0);
    expect(file.readSync(into, 99_999)).toBe(0);
    expect(file.size).toBe(30_003);
    await file.sync();
    expect(readFileSync(path).equals(expected)).toBe(true);
    file.truncateSync(50_000);
    await file.close();
    expect(statSync(path).size).toBe(50_000);
  });

  test('far offsets: a page beyond 4 GiB', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'sparse');
    const file = await openFile(path, 'w+', { implementation });
    const far = 5 * 2 ** 30 + 4090;
    await file.write(bytesOf('twelve bytes'), far);
    await file.close();
    expect(statSync(path).size).toBe(far + 12);
    const again = openFileSync(path, 'r', { implementation });
    const into = new Uint8Array(20);
    expect(again.readSync(into, far - 2)).toBe(14);
    expect(Buffer.from(into.subarray(0, 14)).toString()).toBe('\0\0twelve bytes');
    again.closeSync();
  });

  test('many pages: the table grows, and shrinks by truncation', async () => {
    const machine = await boot(1);
    const before = bytesInUse(machine);
    const path = join(temporaryDirectory(), 'large');
    const file = openFileSync(path, 'w+', { implementation });
    const pages = 2500;
    const page = new Uint8Array(PAGE);
    for (let number = 0; number < pages; number++) file.appendSync(page.fill(1 + (number % 255)));
    expect(file.statistics()).toMatchObject({ pages, pagesDirty: pages });
    file.truncateSync((pages / 2) * PAGE);
    expect(file.statistics()).toMatchObject({ pages: pages / 2, pagesDirty: pages / 2 });
    for (let number = 0; number < pages / 2; number++) {
      expect(file.readSync(page, number * PAGE)).toBe(PAGE);
      if (page.some((byte) => byte !== 1 + (number % 255))) throw new Error(`page ${number}`);
    }
    file.closeSync();
    expect(statSync(path).size).toBe((pages / 2) * PAGE);
    await until(() => bytesInUse(machine) === before);
    expect(poolStatistics().usedBytes).toBe(0);
  });

  test('a hit does no input, a whole page overwritten neither', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    writeFileSync(path, new Uint8Array(3 * PAGE).fill(7));
    useFaults({});
    const file = openFileSync(path, 'r+', { implementation });
    const into = new Uint8Array(100);
    for (let i = 0; i < 10; i++) file.readSync(into, 10);
    expect(calls.reads).toBe(1);
    file.writeSync(new Uint8Array(PAGE).fill(8), PAGE);
    expect(calls.reads).toBe(1);
    file.writeSync(into, 2 * PAGE + 5);
    expect(calls.reads).toBe(2);
    expect(file.statistics()).toMatchObject({ fills: 2, pages: 3, pagesDirty: 2 });
    file.closeSync();
  });

  describe('a full disk', () => {
    test.each(['close', 'closeSync'] as const)(
      '%s says so, keeps the file open and dirty, and can be retried',
      async (how) => {
        await boot(1);
        const path = join(temporaryDirectory(), 'f');
        const file = openFileSync(path, 'w+', { implementation });
        const content = Buffer.alloc(300 * 1024, 'content ');
        file.writeSync(content, 0);
        const tryClose = async (): Promise<void> => (how === 'close' ? file.close() : file.closeSync());
        useFaults({ writesBeforeFailure: 1 });
        await expect(tryClose()).rejects.toMatchObject({
          code: 'K42_FCM_WRITE_BACK',
          errno: 'ENOSPC',
          pagesWritten: 32,
          pagesDirty: 43,
          cause: expect.objectContaining({ code: 'ENOSPC' }),
        });
        expect(file.isOpen).toBe(true);
        const into = Buffer.alloc(content.length);
        expect(file.readSync(into, 0)).toBe(content.length);
        expect(into.equals(content)).toBe(true);
        useFaults({});
        await tryClose();
        expect(readFileSync(path).equals(content)).toBe(true);
        expect(() => file.readSync(into, 0)).toThrowError(code('K42_FCM_CLOSED'));
      },
    );

    test('sync says so, and data can be given up', async () => {
      await boot(1);
      const path = join(temporaryDirectory(), 'f');
      const file = await openFile(path, 'w+', { implementation });
      await file.append(bytesOf('lost'));
      useFaults({ writesBeforeFailure: 0, code: 'EIO' });
      await expect(file.sync()).rejects.toMatchObject({
        code: 'K42_FCM_WRITE_BACK',
        errno: 'EIO',
        pagesDirty: 1,
      });
      expect(() => file.syncSync()).toThrowError(code('K42_FCM_WRITE_BACK'));
      await expect(file.close()).rejects.toMatchObject({ code: 'K42_FCM_WRITE_BACK' });
      await file.close({ discard: true });
      useFaults({});
      expect(readFileSync(path, 'utf8')).toBe('');
      expect(poolStatistics().usedBytes).toBeLessThanOrEqual(PAGE);
      await until(() => poolStatistics().usedBytes === 0);
    });
  });

  test('a pool that is exhausted is an error before anything changes', async () => {
    const machine = await boot(2);
    await onAll(machine, 'configure', 10 * PAGE);
    const path = join(temporaryDirectory(), 'f');
    writeFileSync(path, 'as it was');
    const file = await openFile(path, 'r+', { implementation });
    expect(() => file.appendSync(new Uint8Array(20 * PAGE))).toThrowError(code('K42_FCM_POOL_EXHAUSTED'));
    await expect(file.write(new Uint8Array(20 * PAGE), 5)).rejects.toMatchObject({
      code: 'K42_FCM_POOL_EXHAUSTED',
      needed: 20,
    });
    expect(file.size).toBe(9);
    const into = new Uint8Array(20);
    expect(file.readSync(into, 0)).toBe(9);
    expect(Buffer.from(into.subarray(0, 9)).toString()).toBe('as it was');
    file.appendSync(new Uint8Array(8 * PAGE));
    writeFileSync(`${path}2`, new Uint8Array(5 * PAGE));
    const other = await openFile(`${path}2`, 'r', { implementation });
    expect(() => other.readSync(new Uint8Array(5 * PAGE), 0)).toThrowError(code('K42_FCM_POOL_EXHAUSTED'));
    await file.close();
    await until(() => poolStatistics().usedBytes <= PAGE);
    expect(other.readSync(new Uint8Array(5 * PAGE), 0)).toBe(5 * PAGE);
    await other.close();
  });

  test('nothing is leaked: frames, memory, descriptors', async () => {
    const machine = await boot(3);
    const bytes = bytesInUse(machine);
    const settled = (): boolean => poolStatistics().usedBytes === 0 && bytesInUse(machine) === bytes;
    const directory = temporaryDirectory();
    const round = async (name: string): Promise<void> => {
      const path = join(directory, name);
      await onAll(machine, 'open', name, path, 'a+', { implementation });
      await onAll(machine, 'appendRecords', name, 200, 100);
      await onAll(machine, 'apply', name, { kind: 'read', position: 0, length: 60_000 }, 'async');
      await onAll(machine, 'close', name);
    };
    await round('warm-up');
    await until(settled);
    const descriptors = openDescriptors();
    for (let number = 0; number < 10; number++) await round(`f${number}`);
    await Promise.all(Array.from({ length: 10 }, (_, number) => round(`g${number}`)));
    await until(settled);
    expect(openDescriptors()).toBe(descriptors);
    expect(openFileCount()).toBe(0);
  });

  test('opening and closing one file on all processors at once', async () => {
    const machine = await boot(3);
    const path = join(temporaryDirectory(), 'f');
    const once = async (processor: number): Promise<void> => {
      for (let round = 0; round < 60; round++) {
        await machine.call(processor, 'openNow', ['f', path, 'a+', { implementation }]);
        await machine.call(processor, 'appendRecords', ['f', 1, 50]);
        await machine.call(processor, round % 2 === 0 ? 'closeNow' : 'close', ['f']);
      }
    };
    await Promise.all([0, 1, 2].map(once));
    expect(statSync(path).size).toBe(3 * 60 * 50);
    await until(() => poolStatistics().usedBytes === 0);
  });

  test('close waits for what is under way, and refuses what comes after', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    const file = await openFile(path, 'w+', { implementation });
    const writes = Array.from({ length: 50 }, (_, i) => file.append(bytesOf(`record ${i}\n`)));
    expect(() => file.closeSync()).toThrowError(code('K42_FCM_BUSY'));
    const closed = file.close();
    expect(file.close()).toBe(closed);
    await expect(file.append(bytesOf('late'))).rejects.toMatchObject({ code: 'K42_FCM_CLOSED' });
    await closed;
    await Promise.all(writes);
    expect(readFileSync(path, 'utf8').split('\n').length).toBe(51);
    await file.close();
    file.closeSync();
  });

  test('a synchronous write-back does not wait for an asynchronous one of its own processor', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    await using file = await openFile(path, 'w+', { implementation });
    file.writeSync(new Uint8Array(10 * PAGE), 0);
    const syncing = file.sync();
    expect(() => file.syncSync()).toThrowError(code('K42_FCM_WRITE_BACK_BUSY'));
    await Promise.all([syncing, file.sync(), file.sync()]);
    file.syncSync();
  });

  test('two write-backs of one page reach the disk in their order', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    const file = await openFile(path, 'w+', { implementation });
    const gate = Promise.withResolvers<void>();
    let writes = 0;
    const previous = useStore({
      ...NODE_STORE,
      write: async (fd, from, offset, length, position) => {
        if (++writes === 1) await gate.promise;
        return NODE_STORE.write(fd, from, offset, length, position);
      },
    });
    file.writeSync(bytesOf('first'), 0);
    const first = file.sync();
    file.writeSync(bytesOf('later'), 0);
    const second = file.sync();
    for (let turn = 0; turn < 50; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    expect(writes).toBe(1);
    gate.resolve();
    await Promise.all([first, second]);
    useStore(previous);
    expect(readFileSync(path, 'utf8')).toBe('later');
    await file.close();
  });

  test('a page that is read while the file shrinks is not taken in', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    writeFileSync(path, 'x'.repeat(3 * PAGE));
    const file = await openFile(path, 'r+', { implementation });
    const into = new Uint8Array(PAGE);
    const reading = file.read(into, PAGE);
    file.truncateSync(0);
    file.truncateSync(3 * PAGE);
    expect(await reading).toBe(PAGE);
    expect(into.every((byte) => byte === 0)).toBe(true);
    await file.close();
    expect(readFileSync(path).equals(Buffer.alloc(3 * PAGE))).toBe(true);
  });

  test('a page that several read in at once is taken in once, and not if it was written meanwhile', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    writeFileSync(path, 'x'.repeat(2 * PAGE));
    const file = await openFile(path, 'r+', { implementation });
    const reads = Array.from({ length: 5 }, () => file.read(new Uint8Array(10), 5));
    const late = file.read(new Uint8Array(10), PAGE);
    file.writeSync(new Uint8Array(PAGE).fill(1), PAGE);
    await Promise.all([...reads, late]);
    expect(file.statistics()).toMatchObject({ pages: 2, pagesDirty: 1, fills: 6 });
    expect(poolStatistics().usedBytes).toBe(2 * PAGE);
    const into = new Uint8Array(PAGE);
    file.readSync(into, PAGE);
    expect(into.every((byte) => byte === 1)).toBe(true);
    await file.close();
    await until(() => poolStatistics().usedBytes === 0);
  });

  test('what is written during a write-back stays dirty', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    const file = await openFile(path, 'w+', { implementation });
    file.writeSync(new Uint8Array(2 * PAGE).fill(1), 0);
    const syncing = file.sync();
    await Promise.resolve();
    file.writeSync(new Uint8Array(10).fill(2), 0);
    await syncing;
    expect(file.statistics().pagesDirty).toBe(1);
    file.writeSync(new Uint8Array(2 * PAGE).fill(3), 0);
    const again = file.sync();
    await Promise.resolve();
    file.truncateSync(5000);
    file.truncateSync(6000);
    await again;
    await file.close();
    const expected = Buffer.alloc(6000);
    expected.fill(3, 0, 5000);
    expect(readFileSync(path).equals(expected)).toBe(true);
  });
});

describe('opening', () => {
  test('passes on what the system refuses', async () => {
    await boot(1);
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'there'), '');
    mkdirSync(join(directory, 'folder'));
    execFileSync('mkfifo', [join(directory, 'fifo')]);
    const before = openDescriptors();
    await expect(openFile(join(directory, 'missing'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(() => openFileSync(join(directory, 'there'), 'wx')).toThrowError(code('EEXIST'));
    expect(() => openFileSync(join(directory, 'folder'))).toThrowError(code('EISDIR'));
    expect(() => openFileSync(join(directory, 'folder'), 'r+')).toThrowError(code('EISDIR'));
    expect(() => openFileSync(join(directory, 'there', 'in'), 'r')).toThrowError(code('ENOTDIR'));
    expect(() => openFileSync(join(directory, 'fifo'), 'r+')).toThrowError(code('K42_FCM_FILE_TYPE'));
    expect(() => openFileSync('/dev/null', 'r')).toThrowError(code('K42_FCM_FILE_TYPE'));
    expect(openDescriptors()).toBe(before);
    expect(openFileCount()).toBe(0);
  });

  test('refuses what it cannot do, and touches nothing', async () => {
    const machine = await boot(1);
    const path = join(temporaryDirectory(), 'f');
    expect(() => openFileSync(path, 'rs+')).toThrowError(code('K42_INVALID_ARGUMENT'));
    expect(() => openFileSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC)).toThrowError(
      code('K42_INVALID_ARGUMENT'),
    );
    await expect(openFile('', 'w')).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    await expect(openFile(path, 'w', { implementation: 'toString' as 'shared' })).rejects.toMatchObject({
      code: 'K42_INVALID_ARGUMENT',
    });
    expect(() => statSync(path)).toThrowError(code('ENOENT'));
    expect(() => configureFcm({ poolBytes: 100 })).toThrowError(code('K42_INVALID_ARGUMENT'));
    configureFcm({ poolBytes: 2 ** 20 });
    expect(() => configureFcm({ poolBytes: 2 ** 21 })).toThrowError(code('K42_FCM_CONFIGURATION'));
    expect(poolStatistics()).toEqual({ poolBytes: 2 ** 20, usedBytes: 0 });
    await machine.close();
    expect(() => openFileSync(path, 'w')).toThrowError(code('K42_NOT_ATTACHED'));
    expect(() => statSync(path)).toThrowError(code('ENOENT'));
  });

  test('a pool larger than the memory is refused, and a smaller one can be had after that', async () => {
    await boot(1);
    expect(() => configureFcm({ poolBytes: 2 ** 30 })).toThrowError(code('K42_OUT_OF_MACHINE_MEMORY'));
    configureFcm({ poolBytes: 2 ** 20 });
    expect(poolStatistics().poolBytes).toBe(2 ** 20);
  });

  test('the flags say what a file object may do', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    const writer = openFileSync(path, 'w');
    writer.writeSync(bytesOf('abc'), 0);
    expect(() => writer.readSync(new Uint8Array(1), 0)).toThrowError(code('K42_FCM_ACCESS'));
    const reader = openFileSync(path, 'r');
    expect(() => reader.appendSync(bytesOf('x'))).toThrowError(code('K42_FCM_ACCESS'));
    await expect(reader.truncate(0)).rejects.toMatchObject({ code: 'K42_FCM_ACCESS' });
    const appender = openFileSync(path, 'a');
    appender.writeSync(bytesOf('def'), 0);
    const into = new Uint8Array(10);
    expect(reader.readSync(into, 1)).toBe(5);
    expect(Buffer.from(into.subarray(0, 5)).toString()).toBe('bcdef');
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => reader.readSync(into, bad)).toThrowError(code('K42_INVALID_ARGUMENT'));
      expect(() => writer.truncateSync(bad)).toThrowError(code('K42_INVALID_ARGUMENT'));
    }
    expect(() => reader.readSync('text' as unknown as Uint8Array, 0)).toThrowError(
      code('K42_INVALID_ARGUMENT'),
    );
    expect(() => writer.writeSync(new Uint8Array(2), 2 ** 44 - 1)).toThrowError(
      code('K42_FCM_FILE_TOO_LARGE'),
    );
    expect(reader.size).toBe(6);
    for (const file of [writer, reader, appender]) file.closeSync();
  });

  test('a file that was removed and made anew is another file', async () => {
    await boot(1);
    const directory = temporaryDirectory();
    const path = join(directory, 'f');
    const old = openFileSync(path, 'w+');
    old.appendSync(bytesOf('old'));
    unlinkSync(path);
    const fresh = openFileSync(path, 'w+');
    expect(fresh.size).toBe(0);
    fresh.appendSync(bytesOf('fresh'));
    expect(old.size).toBe(3);
    renameSync(path, `${path}2`);
    old.closeSync();
    fresh.closeSync();
    expect(readFileSync(`${path}2`, 'utf8')).toBe('fresh');
  });

  test('the size is not older than the cache: somebody writes and closes between fstat and look-up', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    writeFileSync(path, 'old');
    let interferes = true;
    const previous = useStore({
      ...NODE_STORE,
      statSync: (fd) => {
        const stat = NODE_STORE.statSync(fd);
        if (!interferes) return stat;
        interferes = false;
        const other = openFileSync(path, 'a');
        other.appendSync(bytesOf(' and new'));
        other.closeSync();
        return stat;
      },
    });
    const file = openFileSync(path, 'r');
    useStore(previous);
    expect(file.size).toBe(11);
    file.closeSync();
  });

  test('changes made outside are seen after the last close', async () => {
    await boot(1);
    const path = join(temporaryDirectory(), 'f');
    const first = openFileSync(path, 'w+');
    first.appendSync(bytesOf('0123456789'));
    first.closeSync();
    truncateSync(path, 4);
    const second = openFileSync(path, 'r');
    expect(second.size).toBe(4);
    second.closeSync();
  });
});
