/**
 * What a processor writes down while its callers are at work: the pages of the ledger, and when each call was due, made, run
 * and answered.
 *
 * It lies beside the objects, not in them: whichever Rep runs a call notes it here. There is one load at a time.
 */
import { emptyPage, type Page } from './ledger.ts';

/** Of one caller; times in milliseconds on the clock that all threads share. The number of a call is its place. */
export interface CallTimes {
  readonly due: number[];
  readonly made: number[];
  readonly ran: number[];
  readonly answered: number[];
}

export interface CallerRecord {
  readonly page: Page;
  readonly times: CallTimes;
}

let records: CallerRecord[] = [];

/** Begins new records, of so many callers. */
export function openRecords(names: readonly string[]): CallerRecord[] {
  records = names.map((name) => ({
    page: emptyPage(name),
    times: { due: [], made: [], ran: [], answered: [] },
  }));
  return records;
}

/** A call runs, on whatever object. */
export function noteRun(caller: number, call: number): void {
  const { page, times } = recordOf(caller);
  page.ran.push(call);
  times.ran[call] ??= clockMs();
}

/** A call is running on an object that has been replaced. */
export function noteMisdirected(caller: number): void {
  recordOf(caller).page.misdirected++;
}

function recordOf(caller: number): CallerRecord {
  const record = records[caller];
  if (record === undefined) throw new Error(`swap: there is no caller ${caller}`);
  return record;
}

/** The time, the same on all threads. */
export function clockMs(): number {
  return performance.timeOrigin + performance.now();
}
