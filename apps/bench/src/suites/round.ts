/**
 * One round: one mode, one instance per processor, all at the same time, in a fresh directory.
 *
 *     <directory>/journal      shared by all
 *     <directory>/p0, p1, ...  one per instance
 *
 * A round judges its own outcome with means that do not depend on the mode: counts are compared with a count-only run of
 * the same options, the journal is read back with plain `node:fs`, and the directories must be empty when all is deleted.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProgressDisplay } from '../cli/progress.ts';
import { BenchStalledError } from '../errors.ts';
import type { Fleet, OpenFleet } from '../fleet.ts';
import type { InstanceResult, InstanceSpec } from '../instanceTypes.ts';
import type { Mode } from '../modes.ts';
import { countOnly } from '../postmark/countOnly.ts';
import { differences } from '../postmark/counts.ts';
import { checkJournal, type JournalCheck, journalFaults } from '../postmark/journal.ts';
import type { PostmarkOptions } from '../postmark/options.ts';
import { Progress } from '../postmark/progress.ts';

export interface RoundRequest {
  readonly mode: Mode;
  readonly processors: number;
  readonly options: PostmarkOptions;
  /** Made by the round; removed by it unless `keep`. */
  readonly directory: string;
  readonly keep: boolean;
  readonly verify: boolean;
}

export interface RoundServices {
  readonly openFleet: OpenFleet;
  readonly progress: ProgressDisplay;
  /** A round fails if no instance completes a unit of work for this long. */
  readonly stallMs?: number;
}

export interface RoundResult {
  mode: Mode;
  processors: number;
  instances: InstanceResult[];
  journal: JournalCheck;
  /** Instances whose counts differ from what they must be. */
  wrongCounts: number;
  mismatches: number;
  /** Files that should have been deleted and are still there. */
  leftOver: number;
  /** What is wrong, in words. */
  faults: string[];
}

const STALL_MS = 60_000;

export async function runRound(request: RoundRequest, services: RoundServices): Promise<RoundResult> {
  const { mode, processors, directory, keep } = request;
  const specs = prepare(request);
  const instances = await runInstances(request, specs, services);
  const [first] = specs;
  const journal = checkJournal(
    readFileSync(first?.journal ?? ''),
    instances.map((instance) => instance.transactions),
  );
  const faults: string[] = [];
  const leftOver = keep ? 0 : countEntries(specs);
  const wrongCounts = await compareCounts(request, instances, faults);
  const mismatches = sum(instances.map(({ verification }) => verification?.mismatches ?? 0));
  for (const { processor, verification } of instances) {
    for (const example of verification?.examples ?? [])
      faults.push(`${mode}, processor ${processor}: ${example}`);
  }
  if (journalFaults(journal) > 0) faults.push(`${mode}, journal: ${JSON.stringify(journal)}`);
  if (leftOver > 0) faults.push(`${mode}: ${leftOver} files are still there after the deletions`);
  if (!keep) rmSync(directory, { recursive: true, force: true });
  return { mode, processors, instances, journal, wrongCounts, mismatches, leftOver, faults };
}

/** Transactions per second of all instances together. */
export function throughput(round: RoundResult): number {
  return sum(round.instances.map((instance) => instance.transactionsPerSecond));
}

function prepare(request: RoundRequest): InstanceSpec[] {
  const { mode, processors, options, directory, keep, verify } = request;
  const journal = join(directory, 'journal');
  mkdirSync(directory);
  writeFileSync(journal, '');
  const progress = Progress.allocate(processors);
  return Array.from({ length: processors }, (_, processor) => {
    const own = join(directory, `p${processor}`);
    mkdirSync(own);
    const seed = options.seed + processor;
    return { mode, processor, processors, options, seed, directory: own, journal, keep, verify, progress };
  });
}

async function runInstances(
  request: RoundRequest,
  specs: readonly InstanceSpec[],
  services: RoundServices,
): Promise<InstanceResult[]> {
  const { mode, processors, options } = request;
  const label = `${mode}, ${processors} processor${processors === 1 ? '' : 's'}`;
  const counters = specs.map((spec) => new Progress(spec.progress as SharedArrayBuffer, spec.processor));
  const fleet = await services.openFleet(processors);
  const stall = watchForStall(label, counters, services.stallMs ?? STALL_MS);
  services.progress.begin(label, options.transactions, counters);
  try {
    // The first failure ends the round; `close` stops the instances that are still running.
    return await Promise.race([runAll(fleet, specs), stall.stalled]);
  } finally {
    services.progress.end();
    stall.stop();
    await fleet.close();
  }
}

function runAll(fleet: Fleet, specs: readonly InstanceSpec[]): Promise<InstanceResult[]> {
  return Promise.all(specs.map((spec) => fleet.runInstance(spec.processor, spec)));
}

function watchForStall(
  label: string,
  counters: readonly Progress[],
  stallMs: number,
): { stalled: Promise<never>; stop: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  // Nobody may be listening any more when it is rejected.
  promise.catch(() => {});
  let units = -1;
  const timer = setInterval(() => {
    const now = sum(counters.map((counter) => counter.units));
    if (now === units)
      reject(
        new BenchStalledError(
          label,
          stallMs,
          counters.map((counter) => counter.units),
        ),
      );
    units = now;
  }, stallMs);
  return { stalled: promise, stop: () => clearInterval(timer) };
}

async function compareCounts(
  request: RoundRequest,
  instances: readonly InstanceResult[],
  faults: string[],
): Promise<number> {
  let wrong = 0;
  for (const { processor, seed, counts, transactions } of instances) {
    const expected = await countOnly(request.options, seed, request.keep);
    const found = differences(counts, expected.counts);
    if (transactions !== expected.transactions) {
      found.push(`transactions: ${transactions}, expected ${expected.transactions}`);
    }
    if (found.length > 0) {
      wrong++;
      faults.push(`${request.mode}, processor ${processor}: ${found.join('; ')}`);
    }
  }
  return wrong;
}

function countEntries(specs: readonly InstanceSpec[]): number {
  return sum(specs.map((spec) => readdirSync(spec.directory).length));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
