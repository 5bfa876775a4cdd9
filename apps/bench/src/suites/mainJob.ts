/**
 * `bench` without a suite, the main job: who wins on PostMark, and by how much?
 *
 * PostMark in the three modes of the file cache and on plain `node:fs`, on one processor and on two. What is compared is
 * interleaved: a *repeat* runs every mode on every number of processors once, in an order that rotates from repeat to
 * repeat, so that a slow minute of the machine hits all alike. The first repeat warms up and does not count. Ratios
 * against plain are taken within a repeat, and medians over repeats with their spread are what is reported. Repeats
 * go on until the time budget is used up.
 *
 * The files are on a RAM disk where there is one, as K42's were. On a disk the journalling of its file system decides the
 * outcome: plain on ext4 gave 2 500 to 11 000 transactions per second within minutes, and 28 000 to 30 000 on tmpfs.
 */
import { accessSync, constants, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import { type Claim, reportedClaim, spreadOf } from '../cli/document.ts';
import { describeEnvironment } from '../cli/environment.ts';
import { formatNumber, formatTable } from '../cli/table.ts';
import { makeTemporaryTree } from '../cli/temporary.ts';
import { toBenchError } from '../errors.ts';
import { MODES, type Mode } from '../modes.ts';
import { DEFAULT_OPTIONS, type PostmarkOptions } from '../postmark/options.ts';
import type { Cell } from '../report/cell.ts';
import { findReportDirectory, prepareReport, writeReport } from '../report/write.ts';
import { type RoundResult, runRound, throughput } from './round.ts';
import type { Outcome, Suite, SuiteContext } from './suite.ts';
import { judge } from './verdict.ts';

export interface MainJobRequest {
  readonly options: PostmarkOptions;
  readonly modes: readonly Mode[];
  readonly processors: readonly number[];
  /** Counted repeats at most; there is at least one. */
  readonly repeatsMax: number;
  /** No further repeat is begun that would not end within this. */
  readonly budgetMs: number;
  readonly parent: string;
  readonly report: string;
}

const FULL = { number: 2_000, transactions: 10_000, repeatsMax: 9, budgetMs: 90_000 };
const QUICK = { number: 200, transactions: 1_000, repeatsMax: 3, budgetMs: 15_000 };

const MEMORY_DIRECTORY = '/dev/shm';
/** Several times what the files of all instances take. */
const MEMORY_BYTES_MIN = 256 * 2 ** 20;

export const mainJob: Suite = {
  name: 'main',
  summary:
    'the main job (also without a suite): PostMark in every mode and plain, on 1 and 2 processors; a report',
  addOptions: (command: Command): void => {
    command
      .option('--dir <directory>', 'make the temporary directory in this one', memoryDirectory())
      .option('--report <directory>', 'write the report here', findReportDirectory());
  },
  run: (context) => {
    const { number, transactions, ...limits } = context.quick ? QUICK : FULL;
    const options = { ...DEFAULT_OPTIONS, number, transactions };
    const parent = String(context.options.dir);
    const report = String(context.options.report);
    return runMainJob({ options, modes: MODES, processors: [1, 2], ...limits, parent, report }, context);
  },
};

/** A directory in memory with room enough, unless the user has said by TMPDIR where temporary files go. */
function memoryDirectory(): string {
  if (process.env.TMPDIR !== undefined) return tmpdir();
  try {
    accessSync(MEMORY_DIRECTORY, constants.R_OK | constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(MEMORY_DIRECTORY);
    return bavail * bsize >= MEMORY_BYTES_MIN ? MEMORY_DIRECTORY : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** @throws BenchError; then no temporary files are left, and no report is written */
export async function runMainJob(request: MainJobRequest, context: SuiteContext): Promise<Outcome> {
  const { options, parent } = request;
  prepareReport(request.report);
  const tree = makeTemporaryTree(parent, 'k42-bench-');
  const repeats: RoundResult[][] = [];
  try {
    await runRepeats(request, context, tree.path, repeats);
  } catch (error) {
    throw toBenchError(error, parent);
  } finally {
    tree.remove();
  }

  const cells = summarise(request, repeats.slice(1));
  const rounds = repeats.flat();
  const { claims, failure } = judge({ suite: 'main', options, rounds, keep: false, verify: false });
  claims.push(...speedClaims(cells));
  const runs = repeats.flatMap((repeat, index) =>
    repeat.flatMap(({ processors, instances }) =>
      instances.map((run) => ({ repeat: index, warmUp: index === 0, processors, ...run })),
    ),
  );
  const environment = describeEnvironment(parent);
  const document = { suite: 'main', environment, options, summary: cells, runs, claims };
  const page = writeReport(request.report, { environment, options, cells, claims, document });
  const text = [describeCells(cells), ...conclusions(cells), `report: ${relative(process.cwd(), page)}`].join(
    '\n',
  );
  return { document: { ...document, report: page }, text, ...(failure ? { failure } : {}) };
}

async function runRepeats(
  request: MainJobRequest,
  context: SuiteContext,
  directory: string,
  repeats: RoundResult[][],
): Promise<void> {
  const begun = performance.now();
  const { repeatsMax, budgetMs } = request;
  for (let index = 0; index <= repeatsMax; index++) {
    const elapsed = performance.now() - begun;
    if (index > 1 && elapsed + elapsed / index > budgetMs) break;
    context.say(index === 0 ? 'warming up' : `repeat ${index} of up to ${repeatsMax}`);
    repeats.push(await runRepeat(request, context, directory, index));
  }
}

async function runRepeat(
  request: MainJobRequest,
  context: SuiteContext,
  directory: string,
  index: number,
): Promise<RoundResult[]> {
  const { options, modes } = request;
  const cells = request.processors.flatMap((processors) => modes.map((mode) => ({ mode, processors })));
  const rounds: RoundResult[] = [];
  for (let i = 0; i < cells.length; i++) {
    const cell = cells[(i + index) % cells.length] as (typeof cells)[number];
    const own = join(directory, `${index}-${cell.mode}-${cell.processors}`);
    rounds.push(await runRound({ ...cell, options, directory: own, keep: false, verify: false }, context));
  }
  return rounds;
}

function summarise(request: MainJobRequest, repeats: readonly RoundResult[][]): Cell[] {
  const sample = (repeat: readonly RoundResult[], mode: Mode, processors: number): number[] =>
    repeat.filter((round) => round.mode === mode && round.processors === processors).map(throughput);
  return request.processors.flatMap((processors) =>
    request.modes.map((mode) => {
      const samples = repeats.flatMap((repeat) => sample(repeat, mode, processors));
      const plain = repeats.flatMap((repeat) => sample(repeat, 'plain', processors));
      const ratioToPlain = plain.length > 0 ? spreadOf(ratios(samples, plain)) : null;
      return { mode, processors, samples, throughput: spreadOf(samples), ratioToPlain };
    }),
  );
}

/** Sample by sample: both lists are in the order of the repeats. */
function ratios(samples: readonly number[], baselines: readonly number[]): number[] {
  return samples.map((sample, repeat) => sample / (baselines[repeat] as number));
}

/**
 * Who wins by how much: each mode against plain, and the managers against each other, as ratios within a repeat. The
 * paper's C1 to C4 are about managers that adapt by themselves; these modes do not, so nothing has to be reached here.
 */
function speedClaims(cells: readonly Cell[]): Claim[] {
  return [...new Set(cells.map((cell) => cell.processors))].flatMap((processors) => {
    const on = `on ${processors} processor${processors === 1 ? '' : 's'}`;
    const samples = (mode: Mode): number[] | undefined =>
      cells.find((cell) => cell.mode === mode && cell.processors === processors)?.samples;
    return COMPARISONS.flatMap(([mode, baseline]) => {
      const [ours, theirs] = [samples(mode), samples(baseline)];
      if (ours === undefined || theirs === undefined) return [];
      const statement =
        `PostMark ${on}: transactions per second of ${mode} over ${baseline} ` +
        '(higher is better for the first; median and spread over repeats)';
      return [
        reportedClaim(`main.${mode}-to-${baseline}.${processors}`, statement, ratios(ours, theirs), 'ratio'),
      ];
    });
  });
}

const COMPARISONS: readonly (readonly [Mode, Mode])[] = [
  ['shared', 'plain'],
  ['distributed', 'plain'],
  ['hotswap', 'plain'],
  ['distributed', 'shared'],
  ['hotswap', 'shared'],
];

function describeCells(cells: readonly Cell[]): string {
  const head = ['mode', 'processors', 'median tps', 'min', 'max', 'to plain', 'min', 'max'];
  const rows = cells.map(({ mode, processors, throughput: tps, ratioToPlain: ratio }) => [
    mode,
    String(processors),
    ...[tps.median, tps.min, tps.max].map((value) => formatNumber(value)),
    ...(ratio
      ? [ratio.median, ratio.min, ratio.max].map((value) => `${formatNumber(value, 2)} x`)
      : ['', '', '']),
  ]);
  const note = 'tps: transactions per second of all instances together (higher is better)';
  return `${formatTable(head, rows)}\n${note}; ${cells[0]?.samples.length ?? 0} repeats`;
}

/** Who wins, by how much. */
function conclusions(cells: readonly Cell[]): string[] {
  return [...new Set(cells.map((cell) => cell.processors))].map((processors) => {
    const ranked = cells
      .filter((cell) => cell.processors === processors)
      .sort((a, b) => b.throughput.median - a.throughput.median);
    const [winner, ...others] = ranked;
    if (winner === undefined) return '';
    const ahead = others.map((other) => {
      const percent = (winner.throughput.median / other.throughput.median - 1) * 100;
      return `${formatNumber(percent)} % ahead of ${other.mode}`;
    });
    return `${processors} processor${processors === 1 ? '' : 's'}: ${[winner.mode, ...ahead].join(', ')}`;
  });
}
