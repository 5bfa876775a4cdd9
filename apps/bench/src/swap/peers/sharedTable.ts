/**
 * A table in machine memory, for the ways in which each thread calls it itself.
 */
import { currentProcessor } from '@k42/rcu';
import { carryOver, otherVersion, type Table, tableAt, tableBytes, type Version } from './tables.ts';

/** Where a table is: the same on every processor. */
export interface Place {
  readonly version: Version;
  readonly sessions: number;
  /** In bytes. */
  readonly offset: number;
}

export function makePlace(version: Version, sessions: number): Place {
  return { version, sessions, offset: currentProcessor().memory.allocate(tableBytes(version, sessions)) };
}

export function tableIn({ version, sessions, offset }: Place): Table {
  return tableAt(currentProcessor().memory.i32, offset, version, sessions);
}

export function freePlace({ version, sessions, offset }: Place): void {
  currentProcessor().memory.free(offset, tableBytes(version, sessions));
}

/** A place of the other version with the same counters. Nobody calls the table meanwhile. */
export function upgraded(place: Place): Place {
  const next = makePlace(otherVersion(place.version), place.sessions);
  carryOver(tableIn(place), tableIn(next));
  return next;
}
