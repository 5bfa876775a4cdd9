/**
 * The way of a reader-writer lock: every call holds it for reading, and the upgrade for writing.
 *
 * A writer that waits lets no reader begin, so the upgrade comes soon; callers that come meanwhile wait with their whole
 * thread. What the table is now stands in machine memory under the lock, and each call looks whether it has changed.
 */
import { currentProcessor, RwLock } from '@k42/rcu';
import { freePlace, type Place, tableIn, upgraded } from './sharedTable.ts';
import type { Table } from './tables.ts';

/** Byte offsets of the lock, and of the words that say where the table is. */
export interface Locked {
  readonly lock: number;
  readonly words: number;
  readonly sessions: number;
}

/** What the number of upgrades is for: memory that has been freed may come back as another table. */
const WORD = { VERSION: 0, OFFSET: 1, UPGRADES: 2 } as const;
const LINE_BYTES = 64;

export function makeLocked(place: Place): Locked {
  const { memory } = currentProcessor();
  const locked = {
    lock: memory.allocate(RwLock.BYTES),
    words: memory.allocate(LINE_BYTES),
    sessions: place.sessions,
  };
  writePlace(locked, place);
  return locked;
}

export function upgradeLocked(locked: Locked): void {
  const old = placeOf(locked);
  lockOf(locked).withWrite(() => writePlace(locked, upgraded(old)));
  // Nobody reads it: whoever reads now has begun after we wrote.
  freePlace(old);
}

/** What a caller has. */
export class LockedClient {
  readonly #locked: Locked;
  readonly #lock: RwLock;
  readonly #words: Int32Array;
  #upgrades = -1;
  #table: Table | undefined;

  constructor(locked: Locked) {
    this.#locked = locked;
    this.#lock = lockOf(locked);
    this.#words = currentProcessor().memory.i32;
  }

  bump(session: number): number {
    this.#lock.readLock();
    try {
      // Plain: it changes under the lock only.
      const upgrades = this.#words[this.#locked.words / 4 + WORD.UPGRADES] as number;
      if (this.#table === undefined || upgrades !== this.#upgrades) {
        this.#upgrades = upgrades;
        this.#table = tableIn(placeOf(this.#locked));
      }
      return this.#table.bump(session);
    } finally {
      this.#lock.readUnlock();
    }
  }
}

function lockOf({ lock }: Locked): RwLock {
  const { memory, owner } = currentProcessor();
  return new RwLock(memory.i32, lock / 4, owner, { name: 'the lock of the sessions' });
}

/** Where the table is now. */
export function placeOf({ words, sessions }: Locked): Place {
  const { i32 } = currentProcessor().memory;
  const version = i32[words / 4 + WORD.VERSION] === 1 ? 1 : 2;
  return { version, sessions, offset: i32[words / 4 + WORD.OFFSET] as number };
}

function writePlace({ words }: Locked, { version, offset }: Place): void {
  const { i32 } = currentProcessor().memory;
  i32[words / 4 + WORD.VERSION] = version;
  i32[words / 4 + WORD.OFFSET] = offset;
  i32[words / 4 + WORD.UPGRADES] = (i32[words / 4 + WORD.UPGRADES] as number) + 1;
}
