/**
 * The journal: one file that all processors append to, the only file that they share.
 *
 * PostMark's instances share nothing, so no file of theirs could ever make two processors contend. Therefore every
 * instance also appends one record to the journal in each transaction. A record has a fixed size and can be recognised
 * by itself:
 *
 *     0        4          8         12                                    60     64
 *     | magic  | processor | sequence | filler, made from both of these   | CRC  |     little endian
 *
 * Each processor numbers its records 0, 1, 2, ... After a run the checker reads the file with plain `node:fs` and must
 * find each number of each processor exactly once and, for each processor, in order. What it can tell:
 *
 *  - *torn*: a record whose magic, filler or CRC is wrong, or an incomplete one at the end (two appends at one position,
 *    or an append not done whole);
 *  - *lost*: a number that no record has (a torn record is lost too);
 *  - *duplicated*: a number that several records have;
 *  - *reordered*: a record behind one that its processor appended later;
 *  - *foreign*: a sound record of a processor or number that never was.
 */
import { crc32 } from 'node:zlib';
import type { BenchFile } from './files.ts';

export const RECORD_BYTES = 64;
const MAGIC = 0x4a32344b; // 'K42J'
const PROCESSOR_AT = 4;
const SEQUENCE_AT = 8;
const FILLER_AT = 12;
const CHECKSUM_AT = RECORD_BYTES - 4;

/** Appends the records of one processor. */
export class JournalWriter {
  readonly #processor: number;
  readonly #file: BenchFile;
  readonly #record: Uint8Array = new Uint8Array(RECORD_BYTES);
  #sequence = 0;
  #closed = false;

  constructor(processor: number, file: BenchFile) {
    this.#processor = processor;
    this.#file = file;
  }

  /** The open journal, for whoever wants to swap its file cache manager. */
  get file(): BenchFile {
    return this.#file;
  }

  /** Records appended so far. */
  get appended(): number {
    return this.#sequence;
  }

  async append(): Promise<void> {
    writeRecord(this.#record, this.#processor, this.#sequence);
    const answer = this.#file.append(this.#record);
    const written = typeof answer === 'number' ? answer : await answer;
    if (written !== RECORD_BYTES) throw new Error(`journal: ${written} of ${RECORD_BYTES} bytes appended`);
    this.#sequence++;
  }

  /** Does nothing the second time. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
  }
}

export interface JournalCheck {
  /** Whole and sound records, duplicates included. */
  records: number;
  expected: number;
  lost: number;
  torn: number;
  duplicated: number;
  reordered: number;
  foreign: number;
}

/** @param appended per processor, how many records it appended */
export function checkJournal(bytes: Uint8Array, appended: readonly number[]): JournalCheck {
  const expected = appended.reduce((sum, count) => sum + count, 0);
  const check: JournalCheck = {
    records: 0,
    expected,
    lost: 0,
    torn: 0,
    duplicated: 0,
    reordered: 0,
    foreign: 0,
  };
  const seen = appended.map((count) => new Uint8Array(count));
  const latest = appended.map(() => -1);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reference = new Uint8Array(RECORD_BYTES);

  for (let at = 0; at < bytes.length; at += RECORD_BYTES) {
    const record = bytes.subarray(at, at + RECORD_BYTES);
    if (!isSound(record, view, at, reference)) {
      check.torn++;
      continue;
    }
    check.records++;
    const processor = view.getUint32(at + PROCESSOR_AT, true);
    const sequence = view.getUint32(at + SEQUENCE_AT, true);
    const marks = seen[processor];
    if (marks === undefined || sequence >= marks.length) {
      check.foreign++;
    } else if (marks[sequence] === 1) {
      check.duplicated++;
    } else {
      marks[sequence] = 1;
      if (sequence < (latest[processor] as number)) check.reordered++;
      latest[processor] = Math.max(sequence, latest[processor] as number);
    }
  }
  for (const marks of seen) check.lost += marks.reduce((missing, mark) => missing + (1 - mark), 0);
  return check;
}

/** The number of things wrong with a journal. */
export function journalFaults(check: JournalCheck): number {
  return check.lost + check.torn + check.duplicated + check.reordered + check.foreign;
}

/** Fills `record`. */
export function writeRecord(record: Uint8Array, processor: number, sequence: number): void {
  const view = new DataView(record.buffer, record.byteOffset, RECORD_BYTES);
  view.setUint32(0, MAGIC, true);
  view.setUint32(PROCESSOR_AT, processor, true);
  view.setUint32(SEQUENCE_AT, sequence, true);
  // The filler depends on both numbers, so that a record made of pieces of two does not pass for either.
  const stride = Math.imul(processor + 1, 0x9e3779b1) ^ Math.imul(sequence + 1, 0x85ebca6b);
  for (let at = FILLER_AT; at < CHECKSUM_AT; at += 4) view.setUint32(at, (stride + at) >>> 0, true);
  view.setUint32(CHECKSUM_AT, crc32(record.subarray(0, CHECKSUM_AT)), true);
}

function isSound(record: Uint8Array, view: DataView, at: number, reference: Uint8Array): boolean {
  if (record.length !== RECORD_BYTES) return false;
  writeRecord(reference, view.getUint32(at + PROCESSOR_AT, true), view.getUint32(at + SEQUENCE_AT, true));
  return Buffer.compare(record, reference) === 0;
}
