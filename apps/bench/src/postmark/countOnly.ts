/**
 * What a run must count, without doing it: the workload on a file system that says yes to everything.
 *
 * The counts are a function of options and seed, so this is the reference for every run, in every mode and with every
 * option, where the published golden counts cover three.
 */
import type { Counts } from './counts.ts';
import type { BenchFile, BenchFiles } from './files.ts';
import type { PostmarkOptions } from './options.ts';
import { Workload } from './workload.ts';

const FILE: BenchFile = {
  read: (into) => into.length,
  append: (from) => from.length,
  close: () => {},
};

const FILES: BenchFiles = {
  create: () => FILE,
  open: () => FILE,
  unlink: () => {},
  mkdir: () => {},
  rmdir: () => {},
};

export interface ExpectedRun {
  counts: Counts;
  transactions: number;
}

/** The turns given to the event loop on the way are few: thousands of units each. */
const UNITS_PER_TURN = 10_000;

export async function countOnly(options: PostmarkOptions, seed: number, keep: boolean): Promise<ExpectedRun> {
  const spec = {
    options,
    seed,
    directory: '',
    files: FILES,
    keep,
    verify: false,
    unitsPerTurn: UNITS_PER_TURN,
  };
  const { counts, transactions } = await new Workload(spec).run();
  return { counts, transactions };
}
