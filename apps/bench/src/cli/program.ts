/**
 * The command line: which suite, with which options, answered how.
 *
 * Standard output belongs to the result: one JSON document with `--json`, else tables. Everything else (progress, where
 * the files are, errors) goes to standard error. The exit status is 0 when the suite ran, 1 when it failed or computed
 * something wrong, 2 for a wrong command line, and 128 + n when signal n ended it.
 */
import { Command, CommanderError } from 'commander';
import { type BenchError, BenchOptionError, BenchSuiteError, toBenchError } from '../errors.ts';
import { openFleet } from '../fleet.ts';
import { counterSuite } from '../suites/counter.ts';
import { dispatchSuite } from '../suites/dispatch.ts';
import { graceSuite } from '../suites/grace.ts';
import { mainJob } from '../suites/mainJob.ts';
import { objectsSuite } from '../suites/objects.ts';
import { postmarkSuite } from '../suites/postmark.ts';
import type { Outcome, Suite } from '../suites/suite.ts';
import { swapSuite } from '../suites/swap.ts';
import { openProgress, type ProgressDisplay } from './progress.ts';
import { endOnSignals } from './temporary.ts';

/** The first one is run when none is named. */
const SUITES: readonly Suite[] = [
  mainJob,
  postmarkSuite,
  graceSuite,
  dispatchSuite,
  counterSuite,
  objectsSuite,
  swapSuite,
];

/** @param args what follows the program's name; the exit status */
export async function runProgram(args: readonly string[]): Promise<number> {
  const progress = openProgress(process.stderr);
  endOnSignals((error) => {
    progress.end();
    reportError(error);
  });
  let status = 0;
  const program = defineProgram(async (suite, options) => {
    const outcome = await runSuite(suite, options, progress);
    process.stdout.write(
      options.json === true ? `${JSON.stringify(outcome.document, null, 2)}\n` : `${outcome.text}\n`,
    );
    if (outcome.failure) throw outcome.failure;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure =
      error instanceof CommanderError ? fromCommander(error, args) : toBenchError(error, process.cwd());
    reportError(failure);
    status = failure.exitStatus;
  }
  return status;
}

type Run = (suite: Suite, options: Record<string, unknown>) => Promise<void>;

function defineProgram(run: Run): Command {
  const program = new Command('bench')
    .description('Experiments of K42 for Node. Without a suite: the main job.')
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false)
    .option('--json', 'write one JSON document to standard output')
    .option('--quick', 'finish within 30 seconds, with every claim')
    .option('--list', 'name the suites and exit');
  const [first] = SUITES;
  for (const suite of SUITES) {
    const command = program.command(suite.name, { isDefault: suite === first }).description(suite.summary);
    suite.addOptions(command);
    command.action(async () => {
      const options = command.optsWithGlobals<Record<string, unknown>>();
      if (options.list === true) listSuites(options.json === true);
      else await run(suite, options);
    });
  }
  return program;
}

function runSuite(
  suite: Suite,
  options: Record<string, unknown>,
  progress: ProgressDisplay,
): Promise<Outcome> {
  const say = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  return suite.run({ options, quick: options.quick === true, openFleet, progress, say });
}

function listSuites(json: boolean): void {
  const suites = SUITES.map(({ name, summary }) => ({ name, summary }));
  const width = Math.max(...suites.map(({ name }) => name.length)) + 2;
  const lines = suites.map(({ name, summary }) => name.padEnd(width) + summary);
  process.stdout.write(json ? `${JSON.stringify({ suites }, null, 2)}\n` : `${lines.join('\n')}\n`);
}

/** Commander's complaints as ours, so that all have codes. */
function fromCommander(error: CommanderError, args: readonly string[]): BenchError {
  const message = error.message.replace(/^error: /, '');
  const named = args.find((arg) => !arg.startsWith('-'));
  if (
    named !== undefined &&
    !SUITES.some((suite) => suite.name === named) &&
    error.code !== 'commander.unknownOption'
  ) {
    return new BenchSuiteError(
      named,
      SUITES.map((suite) => suite.name),
    );
  }
  return new BenchOptionError(/'(-[^' ]*)/.exec(message)?.[1] ?? '', `${message} (see --help)`);
}

function reportError(error: BenchError): void {
  process.stderr.write(`bench: ${error.code}: ${error.message}\n`);
  // A bug of ours is not told from its message.
  if (error.code === 'K42_BENCH_INTERNAL' && error.cause instanceof Error)
    process.stderr.write(`${error.cause.stack}\n`);
}
