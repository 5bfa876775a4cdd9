/**
 * `bench postmark`: PostMark with every option of the original, in one mode or all modes of the file cache.
 *
 * With the default options each mode reproduces the golden counts. `--verify` compares every byte read and every file on
 * disk; `--keep` stops before the deletions and leaves the files to be checked by another program.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { describeEnvironment } from '../cli/environment.ts';
import { formatNumber, formatTable } from '../cli/table.ts';
import { makeTemporaryTree } from '../cli/temporary.ts';
import { BenchOptionError, toBenchError } from '../errors.ts';
import { CACHE_MODES, MODES, type Mode } from '../modes.ts';
import { checkOptions, DEFAULT_OPTIONS, type PostmarkOptions, parseInteger } from '../postmark/options.ts';
import { type RoundResult, runRound } from './round.ts';
import type { Outcome, Suite, SuiteContext } from './suite.ts';
import { judge } from './verdict.ts';

export interface PostmarkRequest {
  readonly options: PostmarkOptions;
  readonly modes: readonly Mode[];
  readonly processors: number;
  /** In which a directory of the run's own is made. */
  readonly parent: string;
  readonly keep: boolean;
  readonly verify: boolean;
}

const DEFAULT_PROCESSORS = 2;

export const postmarkSuite: Suite = {
  name: 'postmark',
  summary: 'PostMark on real files through the file cache, one instance per processor',
  addOptions,
  run: (context) => runPostmark(readRequest(context.options), context),
};

function addOptions(command: Command): void {
  const defaults = DEFAULT_OPTIONS;
  const integer = (name: string, description: string, value: number): void => {
    const option = new Option(`--${name} <n>`, description).default(value);
    command.addOption(option.argParser((text: string) => parseInteger(`--${name}`, text)));
  };
  integer('number', 'files in the pool at the start', defaults.number);
  integer('transactions', 'transactions of each instance', defaults.transactions);
  integer('seed', 'seed of the first instance; instance i has seed + i', defaults.seed);
  integer('size-low', 'least size of a new file, bytes', defaults.sizeLowBytes);
  integer('size-high', 'bound for the size of a file, bytes', defaults.sizeHighBytes);
  integer('read', 'bytes per read', defaults.readBlockBytes);
  integer('write', 'bytes per write', defaults.writeBlockBytes);
  integer('bias-read', 'reads (against appends) out of ten; -1: neither', defaults.biasRead);
  integer('bias-create', 'creations (against deletions) out of ten; -1: neither', defaults.biasCreate);
  integer('subdirectories', 'spread the files over so many directories', defaults.subdirectories);
  integer('processors', 'processors, one instance each', DEFAULT_PROCESSORS);
  command
    .option(
      '--mode <mode>',
      `${MODES.join(', ')}, or all (of the file cache: ${CACHE_MODES.join(', ')})`,
      'all',
    )
    .option('--dir <directory>', 'make the temporary directory in this one', tmpdir())
    .option('--keep', 'stop before the deletions and leave the files on disk', false)
    .option('--verify', 'compare every byte read, and every file on disk before the deletions', false);
}

function readRequest(given: SuiteContext['options']): PostmarkRequest {
  const number = (name: string): number => given[name] as number;
  return {
    options: {
      number: number('number'),
      transactions: number('transactions'),
      seed: number('seed'),
      sizeLowBytes: number('sizeLow'),
      sizeHighBytes: number('sizeHigh'),
      readBlockBytes: number('read'),
      writeBlockBytes: number('write'),
      biasRead: number('biasRead'),
      biasCreate: number('biasCreate'),
      subdirectories: number('subdirectories'),
    },
    modes: parseMode(String(given.mode)),
    processors: number('processors'),
    parent: String(given.dir),
    keep: given.keep === true,
    verify: given.verify === true,
  };
}

function parseMode(text: string): readonly Mode[] {
  if (text === 'all') return CACHE_MODES;
  const mode = MODES.find((known) => known === text);
  if (mode === undefined) {
    throw new BenchOptionError('--mode', `--mode must be one of ${MODES.join(', ')}, all; not '${text}'`);
  }
  return [mode];
}

/** @throws BenchError; then no files are left */
export async function runPostmark(request: PostmarkRequest, context: SuiteContext): Promise<Outcome> {
  const { options, modes, processors, parent, keep, verify } = request;
  checkOptions(options, processors);
  const tree = makeTemporaryTree(parent, 'k42-postmark-');
  const rounds: RoundResult[] = [];
  try {
    for (const mode of modes) {
      const directory = join(tree.path, mode);
      rounds.push(await runRound({ mode, processors, options, directory, keep, verify }, context));
    }
    if (keep) tree.keep();
  } catch (error) {
    throw toBenchError(error, parent);
  } finally {
    tree.remove();
  }
  if (keep) context.say(`the files are in ${tree.path}`);

  const runs = rounds.flatMap((round) =>
    round.instances.map((run) => ({
      ...run,
      journal: round.journal,
      ...(keep ? { directory: join(tree.path, round.mode, `p${run.processor}`) } : {}),
    })),
  );
  const { claims, failure } = judge({ suite: 'postmark', options, rounds, keep, verify });
  const document = {
    suite: 'postmark',
    environment: describeEnvironment(parent),
    options,
    runs,
    claims,
    ...(keep ? { directory: tree.path } : {}),
  };
  return { document, text: describeRounds(rounds), ...(failure ? { failure } : {}) };
}

function describeRounds(rounds: readonly RoundResult[]): string {
  const head = [
    'mode',
    'processor',
    'created',
    'read',
    'appended',
    'deleted',
    'read MB',
    'written MB',
    'tps',
    'swaps',
  ];
  const rows = rounds.flatMap((round) =>
    round.instances.map(({ mode, processor, counts, transactionsPerSecond, swaps }) => [
      mode,
      String(processor),
      formatNumber(counts.created),
      formatNumber(counts.read),
      formatNumber(counts.appended),
      formatNumber(counts.deletedAlone + counts.deletedMixed),
      formatNumber(counts.bytesRead / 1e6, 2),
      formatNumber(counts.bytesWritten / 1e6, 2),
      formatNumber(transactionsPerSecond),
      formatNumber(swaps.length),
    ]),
  );
  return `${formatTable(head, rows)}\ntps: transactions per second of the transaction phase (higher is better)`;
}
