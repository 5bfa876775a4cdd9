/**
 * What an instance counts. The byte counts are exact sums of what reads and appends reported; the original added them up
 * in single-precision floats. Appends to the journal are not counted: the journal is no part of PostMark.
 */

export interface Counts {
  /** Files created, in all. */
  created: number;
  /** Files created by transactions. */
  createdMixed: number;
  /** Files read whole. */
  read: number;
  /** Appends that wrote something: a file of full size is left alone and not counted. */
  appended: number;
  /** Files deleted after the transactions. */
  deletedAlone: number;
  /** Files deleted by transactions. */
  deletedMixed: number;
  bytesRead: number;
  bytesWritten: number;
}

export function zeroCounts(): Counts {
  return {
    created: 0,
    createdMixed: 0,
    read: 0,
    appended: 0,
    deletedAlone: 0,
    deletedMixed: 0,
    bytesRead: 0,
    bytesWritten: 0,
  };
}

/** One line per count that differs; none if all agree. */
export function differences(actual: Counts, expected: Counts): string[] {
  return (Object.keys(expected) as (keyof Counts)[])
    .filter((key) => actual[key] !== expected[key])
    .map((key) => `${key}: ${actual[key]}, expected ${expected[key]}`);
}
