// `pnpm model`: has SPIN check the model of the hot-swap protocol, packages/hotswap/model/swap.pml.
//
// Every configuration of configurations.json is translated by spin, compiled by the C compiler and searched, two at a time. A
// sound configuration has to be searched to its end without an error. A broken variant leaves out one rule; it has to fail, and by
// the property that says so, or the model would prove nothing. The exit status is 0 only if all of that holds.
//
//   --quick        only the runs marked as quick
//   --only NAME    only runs whose name contains NAME; may be repeated
//   --jobs N       so many at a time, 2 unless told
//   --list         the names, nothing else
import './check-node.mjs';
import { execFile, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';

/**
 * @typedef {{
 *   name: string, about: string, flags: string, quick?: boolean, fails?: string, onlySafety?: boolean, bitstate?: number,
 * }} Run
 * @typedef {{ run: Run, states: number, depth: number, seconds: number, verdict: string, good: boolean, details: string }} Outcome
 */

const MODEL = join(import.meta.dirname, '../../..', 'packages/hotswap/model');
const DEPTH = 200_000;
const MEMORY_MIB = 2_800;
const SEARCH_DEADLINE_MS = 900_000;
const TRAIL_LINES = 90;

const { values: options } = parseArgs({
  // pnpm hands on a literal `--` between the script's name and its arguments.
  args: process.argv.slice(2).filter((argument) => argument !== '--'),
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    jobs: { type: 'string', default: '2' },
    list: { type: 'boolean', default: false },
  },
});

/** @type {Run[]} */
const runs = JSON.parse(readFileSync(join(MODEL, 'configurations.json'), 'utf8')).filter(
  /** @param {Run} run */
  (run) =>
    (!options.quick || run.quick === true) &&
    (options.only === undefined || options.only.some((part) => run.name.includes(part))),
);
const jobs = Number(options.jobs);
if (runs.length === 0 || !Number.isInteger(jobs) || jobs < 1) {
  process.stderr.write('Nothing to run: see --list for the names, and --jobs takes a number from 1.\n');
  process.exit(2);
}
if (options.list) {
  for (const run of runs) process.stdout.write(`${run.name.padEnd(34)} ${run.about}\n`);
  process.exit(0);
}

const spin = findProgram([process.env.SPIN, 'spin'], '-V');
const compiler = findProgram([process.env.CC, 'gcc', 'clang', 'cc'], '--version');
if (spin === undefined || compiler === undefined) {
  const missing = [spin === undefined ? 'spin' : '', compiler === undefined ? 'a C compiler' : ''].filter(
    Boolean,
  );
  process.stderr.write(
    `The model is checked by SPIN, which needs a C compiler; not found: ${missing.join(' and ')}.\n` +
      '  Debian, Ubuntu:  sudo apt-get install spin gcc\n' +
      '  macOS:           brew install spin (the compiler comes with xcode-select --install)\n' +
      '  elsewhere:       https://spinroot.com; SPIN=/path/to/spin and CC=/path/to/compiler are heeded\n',
  );
  process.exit(3);
}

const home = mkdtempSync(join(tmpdir(), 'k42-model-'));
/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(home, { recursive: true, force: true });
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    process.stderr.write(`Ended by ${signal}.\n`);
    process.exit(1);
  });
}

const beganAt = performance.now();
/** @type {Outcome[]} */
const outcomes = [];
const waiting = [...runs];
process.stdout.write(`${runs.length} runs, ${jobs} at a time\n`);
await Promise.all(Array.from({ length: jobs }, worker));
report();

async function worker() {
  for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
    const outcome = await check(run);
    outcomes.push(outcome);
    process.stdout.write(
      `[${String(outcomes.length).padStart(String(runs.length).length)}/${runs.length}] ${outcome.good ? 'ok  ' : 'FAIL'} ` +
        `${run.name}: ${outcome.verdict} (${outcome.seconds.toFixed(1)} s)\n`,
    );
  }
}

/**
 * @param {Run} run
 * @returns {Promise<Outcome>}
 */
async function check(run) {
  const since = performance.now();
  const directory = mkdtempSync(join(home, 'run-'));
  copyFileSync(join(MODEL, 'swap.pml'), join(directory, 'swap.pml'));
  const flags = run.flags.split(' ').filter(Boolean);
  if (run.onlySafety) flags.push('-DONLY_SAFETY');
  const translated = await execute(directory, /** @type {string} */ (spin), ['-a', ...flags, 'swap.pml']);
  if (!existsSync(join(directory, 'pan.c'))) return over('not translated', false, translated.output);
  // Most of the time of a short search is the compiler's.
  const optimisation = run.quick || run.fails !== undefined ? '-O0' : '-O1';
  const search = run.bitstate === undefined ? ['-DCOLLAPSE'] : ['-DBITSTATE'];
  const compiled = await execute(directory, /** @type {string} */ (compiler), [
    ...[optimisation, '-w', '-DSAFETY', ...search, `-DMEMLIM=${MEMORY_MIB}`, '-o', 'pan', 'pan.c'],
  ]);
  if (compiled.status !== 0) return over('not compiled', false, compiled.output);
  const { output, status } = await execute(directory, './pan', [
    ...[`-m${DEPTH}`, `-w${run.bitstate ?? 22}`, '-n'],
    ...(run.onlySafety ? ['-E'] : []),
    ...(run.bitstate === undefined ? [] : ['-Q1', '-k3']),
  ]);
  const errors = Number(/errors: (\d+)/.exec(output)?.[1] ?? Number.NaN);
  const error = /^pan:\d+: (?:assertion violated )?(.*?) \(at depth/m.exec(output)?.[1];
  const incomplete = /Search not completed|search depth too small|out of memory|reached -?DMEMLIM/i.test(
    output,
  );
  if (run.fails !== undefined) {
    if (error === undefined) return over('NOT CAUGHT', false, output);
    return error === run.fails
      ? over(`caught by ${error}`, true, '', output)
      : over(`caught by ${error} instead of ${run.fails}`, false, await trail(), output);
  }
  if (error !== undefined || errors > 0) return over(`violates ${error}`, false, await trail(), output);
  if (status !== 0 || errors !== 0 || (incomplete && run.bitstate === undefined))
    return over('not searched to the end', false, output, output);
  return over(
    run.bitstate === undefined ? 'verified' : 'no error in one minute (bitstate)',
    true,
    '',
    output,
  );

  async function trail() {
    const { output: steps } = await execute(directory, /** @type {string} */ (spin), [
      '-t',
      '-p',
      ...flags,
      'swap.pml',
    ]);
    const told = steps
      .split('\n')
      .filter((line) => !/^\s+\w+(\[\d+\])? = |\[(\.\(goto\)|goto \S+|else|\(1\))\]|^\s*$/.test(line));
    return told.slice(-TRAIL_LINES).join('\n');
  }

  /**
   * @param {string} verdict
   * @param {boolean} good
   * @param {string} details
   * @param {string} [statistics]
   * @returns {Outcome}
   */
  function over(verdict, good, details, statistics = '') {
    rmSync(directory, { recursive: true, force: true });
    const states = Number(/(\d+) states, stored/.exec(statistics)?.[1] ?? 0);
    const depth = Number(/depth reached (\d+)/.exec(statistics)?.[1] ?? 0);
    return { run, states, depth, seconds: (performance.now() - since) / 1000, verdict, good, details };
  }
}

function report() {
  const inOrder = outcomes.toSorted((a, b) => runs.indexOf(a.run) - runs.indexOf(b.run));
  for (const { run, verdict, details } of inOrder.filter(({ good }) => !good)) {
    process.stdout.write(`\n--- ${run.name} (${run.flags}): ${verdict}\n${details}\n`);
  }
  const width = Math.max(...runs.map(({ name }) => name.length));
  const row = (/** @type {string[]} */ [name, states, depth, seconds, verdict]) =>
    `${name?.padEnd(width)}  ${states?.padStart(11)}  ${depth?.padStart(6)}  ${seconds?.padStart(8)}  ${verdict}\n`;
  process.stdout.write(`\n${row(['configuration', 'states', 'depth', 'seconds', 'verdict'])}`);
  for (const { run, states, depth, seconds, verdict } of inOrder) {
    process.stdout.write(
      row([run.name, states.toLocaleString('en'), String(depth), seconds.toFixed(1), verdict]),
    );
  }
  const bad = outcomes.filter(({ good }) => !good).length;
  const sound = outcomes.filter(({ run }) => run.fails === undefined);
  process.stdout.write(
    `\n${sound.filter(({ good }) => good).length} of ${sound.length} sound configurations hold, ` +
      `${outcomes.length - sound.length - outcomes.filter(({ run, good }) => run.fails !== undefined && !good).length} of ` +
      `${outcomes.length - sound.length} broken variants are caught, ` +
      `${((performance.now() - beganAt) / 1000).toFixed(0)} s\n`,
  );
  process.exitCode = bad === 0 ? 0 : 1;
}

/**
 * @param {(string | undefined)[]} candidates
 * @param {string} question
 * @returns {string | undefined}
 */
function findProgram(candidates, question) {
  return candidates.find(
    (candidate) =>
      candidate !== undefined &&
      candidate !== '' &&
      spawnSync(candidate, [question], { stdio: 'ignore' }).error === undefined,
  );
}

/**
 * @param {string} cwd
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<{ status: number, output: string }>}
 */
function execute(cwd, program, args) {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { cwd, timeout: SEARCH_DEADLINE_MS, killSignal: 'SIGKILL', maxBuffer: 2 ** 27, encoding: 'utf8' },
      (error, stdout, stderr) => {
        children.delete(child);
        resolve({ status: error === null ? 0 : 1, output: stdout + stderr });
      },
    );
    children.add(child);
  });
}
