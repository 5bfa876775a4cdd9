/**
 * The object that is upgraded, without anything around it: a table of session counters, and its two versions.
 *
 * Version 1 has a word for each session, its counter. Version 2 has two: the counter, and whether it was raised since
 * the upgrade. So an upgrade has to make a table of another layout and to carry every counter over, in either direction. All
 * ways of upgrading do just that; they differ in what stands around it.
 *
 * Counters are raised atomically, since several threads may have the same table.
 */
export type Version = 1 | 2;

export interface Table {
  readonly version: Version;
  readonly sessions: number;
  /** Raises the counter of a session; what it is then. */
  bump(session: number): number;
  count(session: number): number;
  /** While nobody else uses the table. */
  set(session: number, count: number): void;
}

class TableV1 implements Table {
  readonly version = 1;
  readonly sessions: number;
  readonly #words: Int32Array;
  readonly #first: number;

  constructor(words: Int32Array, first: number, sessions: number) {
    this.#words = words;
    this.#first = first;
    this.sessions = sessions;
  }

  bump(session: number): number {
    return Atomics.add(this.#words, this.#first + session, 1) + 1;
  }

  count(session: number): number {
    return this.#words[this.#first + session] as number;
  }

  set(session: number, count: number): void {
    this.#words[this.#first + session] = count;
  }
}

class TableV2 implements Table {
  readonly version = 2;
  readonly sessions: number;
  readonly #words: Int32Array;
  readonly #first: number;

  constructor(words: Int32Array, first: number, sessions: number) {
    this.#words = words;
    this.#first = first;
    this.sessions = sessions;
  }

  bump(session: number): number {
    const at = this.#first + session * 2;
    // Plain: whoever writes it writes the same.
    this.#words[at + 1] = 1;
    return Atomics.add(this.#words, at, 1) + 1;
  }

  count(session: number): number {
    return this.#words[this.#first + session * 2] as number;
  }

  set(session: number, count: number): void {
    const at = this.#first + session * 2;
    this.#words[at] = count;
    this.#words[at + 1] = 0;
  }
}

export function otherVersion(version: Version): Version {
  return version === 1 ? 2 : 1;
}

export function tableBytes(version: Version, sessions: number): number {
  return sessions * version * 4;
}

/** The table at a byte offset. */
export function tableAt(words: Int32Array, offset: number, version: Version, sessions: number): Table {
  return version === 1 ? new TableV1(words, offset / 4, sessions) : new TableV2(words, offset / 4, sessions);
}

/** A table in this thread's heap. */
export function localTable(version: Version, sessions: number): Table {
  return tableAt(new Int32Array(tableBytes(version, sessions) / 4), 0, version, sessions);
}

/** The upgrade itself. */
export function carryOver(from: Table, to: Table): void {
  for (let session = 0; session < from.sessions; session++) to.set(session, from.count(session));
}

export function countsOf(table: Table): Int32Array {
  return Int32Array.from({ length: table.sessions }, (_none, session) => table.count(session));
}
