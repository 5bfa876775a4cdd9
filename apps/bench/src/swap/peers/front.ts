/**
 * The way of a front end in each thread: an object that forwards every call to the table of now, and can be told to queue.
 *
 * For an upgrade all front ends are told to pause, by a message that each hears between two turns, when no call is on its stack;
 * the table is carried over; and all are told what the new one is, and make up for the calls that have come meanwhile. To be
 * able to queue, the front end may answer any call with a promise: its callers must be ready for both.
 *
 * It is the least that does the job: the upgrade does not survive the death of anybody, is not undone if it fails halfway, and
 * knows calls that end within their turn only.
 */
import { type Place, tableIn } from './sharedTable.ts';
import type { Table } from './tables.ts';

interface Queued {
  readonly session: number;
  readonly resolve: (count: number) => void;
}

export class Front {
  #table: Table;
  #queue: Queued[] | undefined;

  constructor(table: Table) {
    this.#table = table;
  }

  bump(session: number): number | Promise<number> {
    const queue = this.#queue;
    if (queue === undefined) return this.#table.bump(session);
    return new Promise((resolve) => queue.push({ session, resolve }));
  }

  pause(): void {
    this.#queue ??= [];
  }

  resume(table: Table): void {
    const queue = this.#queue ?? [];
    this.#table = table;
    this.#queue = undefined;
    for (const { session, resolve } of queue) resolve(table.bump(session));
  }
}

let front: Front | undefined;

export function openFront(place: Place): Front {
  front = new Front(tableIn(place));
  return front;
}

/** Called by name. */
export function pauseFront(): void {
  front?.pause();
}

/** Called by name. */
export function resumeFront(place: Place): void {
  front?.resume(tableIn(place));
}
