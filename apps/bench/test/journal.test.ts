/**
 * Goal: no journal record can be lost, torn, doubled or displaced unnoticed.
 * Method: a sound journal of two processors passes; each way to damage it is reported as what it is. Then real runs: two
 * instances that append in turns, and a file system whose appends overwrite one another.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkJournal, journalFaults, RECORD_BYTES, writeRecord } from '../src/postmark/journal.ts';
import { DEFAULT_OPTIONS } from '../src/postmark/options.ts';
import { runPostmark } from '../src/suites/postmark.ts';
import { ChangedFiles, onFiles, silentContext, temporaryDirectory, withMethods } from './support.ts';

function record(processor: number, sequence: number): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  writeRecord(bytes, processor, sequence);
  return bytes;
}

/** A sound journal: processor 0 appended three records, processor 1 two. */
const sound = (): Uint8Array[] => [record(0, 0), record(1, 0), record(0, 1), record(1, 1), record(0, 2)];
const APPENDED = [3, 2];

const check = (records: Uint8Array[]): ReturnType<typeof checkJournal> =>
  checkJournal(Buffer.concat(records), APPENDED);

describe('a journal', () => {
  test('that is sound has no faults', () => {
    const result = check(sound());
    expect(result).toMatchObject({ records: 5, expected: 5 });
    expect(journalFaults(result)).toBe(0);
  });

  test('without a record has lost it', () => {
    for (let i = 0; i < 5; i++) expect(journalFaults(check(sound().toSpliced(i, 1)))).toBe(1);
    expect(check(sound().toSpliced(2, 1)).lost).toBe(1);
    expect(check([]).lost).toBe(5);
  });

  test('with any byte of a record changed is torn', () => {
    for (let at = 0; at < RECORD_BYTES; at++) {
      const records = sound();
      const victim = records[2] as Uint8Array;
      victim[at] = (victim[at] as number) ^ 4;
      expect(check(records)).toMatchObject({ torn: 1, lost: 1, records: 4 });
    }
  });

  test('with halves of two records in one is torn', () => {
    // The first four bytes are the same in all records: cut there, it is the second record, whole.
    for (let cut = 5; cut < RECORD_BYTES; cut++) {
      const mixed = Buffer.concat([record(0, 1).subarray(0, cut), record(1, 1).subarray(cut)]);
      expect(check(sound().with(2, mixed))).toMatchObject({ torn: 1, lost: 1 });
    }
  });

  test('with an incomplete record at its end is torn', () => {
    expect(check([...sound().slice(0, 4), record(0, 2).subarray(0, 20)])).toMatchObject({ torn: 1, lost: 1 });
  });

  test('with a record twice has duplicated it', () => {
    expect(check([...sound(), record(1, 0)])).toMatchObject({ duplicated: 1, lost: 0 });
  });

  test('with the records of one processor out of order is reordered', () => {
    expect(check([record(0, 1), record(0, 0), record(1, 0), record(1, 1), record(0, 2)])).toMatchObject({
      reordered: 1,
    });
  });

  test('with a record of nobody has a foreign one', () => {
    expect(check([...sound(), record(2, 0)])).toMatchObject({ foreign: 1, records: 6 });
    expect(check([...sound(), record(1, 2)])).toMatchObject({ foreign: 1 });
  });
});

const request = (parent: string): Parameters<typeof runPostmark>[0] => ({
  options: { ...DEFAULT_OPTIONS, number: 20, transactions: 200 },
  modes: ['plain'],
  processors: 2,
  parent,
  keep: true,
  verify: true,
});

test('two instances that take turns share a sound journal, interleaved', async () => {
  const { document, failure } = await runPostmark(request(temporaryDirectory()), silentContext());
  expect(failure).toBeUndefined();
  const bytes = readFileSync(`${document.directory}/plain/journal`);
  expect(bytes.length).toBe(2 * 200 * RECORD_BYTES);
  const processors = Array.from({ length: 400 }, (_, i) => bytes.readUInt32LE(i * RECORD_BYTES + 4));
  const changes = processors.filter((processor, i) => i > 0 && processor !== processors[i - 1]).length;
  expect(changes).toBeGreaterThan(100);
});

test('appends that are lost make the run fail, and the document says so', async () => {
  let appends = 0;
  const files = new ChangedFiles((file, path) => {
    if (!path.endsWith('journal')) return file;
    return withMethods(file, { append: (from) => (++appends % 100 === 0 ? from.length : file.append(from)) });
  });
  const { document, failure } = await runPostmark(
    request(temporaryDirectory()),
    silentContext(onFiles(files)),
  );
  expect(document.claims).toContainEqual(
    expect.objectContaining({ id: 'postmark.journal', value: 4, holds: false }),
  );
  expect(failure).toMatchObject({ code: 'K42_BENCH_WRONG_RESULT', claims: ['postmark.journal'] });
});
