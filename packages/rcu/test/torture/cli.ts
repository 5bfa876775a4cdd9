/**
 * `pnpm torture`: the scenarios in their long form, one process after the other, until the time is over.
 *
 *     torture [--minutes N | --runs N] [--seed S] [--scale N] [--generations 2|4] [scenario ...]
 *
 * Run k has seed S + k, so that any run can be had again by itself; what replays a failure is printed with it. Every other
 * round of scenarios has four generations, in a copy of the sources. Progress goes to standard error, the summary to standard output.
 * The exit status says whether anything failed.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { type Outcome, runApart } from './apart.ts';
import type { Counts } from './harness.ts';
import { scenarios } from './scenarios.ts';
import { FOUR_GENERATIONS, makeVariant } from './variants.ts';

/** How much of each scenario is one run: some ten seconds. */
const SCALES: Counts = {
  pipe: 10,
  'slow-readers': 12,
  pinned: 100,
  nested: 40,
  flood: 100,
  barriers: 150,
  teardown: 6,
  members: 6,
  death: 6,
  kill: 5,
  'message-passing': 10,
  'remove-reuse': 10,
  'phased-change': 8,
  ring: 12,
};

/** So many failures are enough to know. */
const FAILURES_MAX = 10;

interface Total {
  runs: number;
  failures: number;
  seconds: number;
  readonly counts: Counts;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '5' },
    runs: { type: 'string' },
    seed: { type: 'string' },
    scale: { type: 'string' },
    generations: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

function fail(why: string): never {
  process.stderr.write(`${why}\nScenarios: ${Object.keys(scenarios).join(', ')}\n`);
  process.exit(2);
}

function numberOf(name: 'minutes' | 'runs' | 'seed' | 'scale'): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0) fail(`--${name} takes a number, not ${text}.`);
  return number;
}

if (values.help) {
  process.stdout.write(
    'torture [--minutes N | --runs N] [--seed S] [--scale N] [--generations 2|4] [scenario ...]\n' +
      `Scenarios: ${Object.keys(scenarios).join(', ')}\n`,
  );
  process.exit(0);
}
for (const name of positionals) if (!(name in scenarios)) fail(`No scenario ${name}.`);
if (!['2', '4', undefined].includes(values.generations)) fail('--generations takes 2 or 4.');
const names = positionals.length === 0 ? Object.keys(scenarios) : positionals;
const runs = numberOf('runs');
const until =
  performance.now() +
  (runs === undefined ? (numberOf('minutes') as number) * 60_000 : Number.POSITIVE_INFINITY);
const first = numberOf('seed') ?? Date.now() % 1_000_000;
const roots: Record<string, string | undefined> = { '4': makeVariant('four-generations', FOUR_GENERATIONS) };
const totals = new Map<string, Total>();
let failures = 0;

process.stderr.write(`seed ${first}\n`);
const goesOn = (run: number): boolean =>
  run < (runs ?? Number.POSITIVE_INFINITY) && performance.now() < until && failures < FAILURES_MAX;
for (let run = 0; goesOn(run); run++) {
  const scenario = names[run % names.length] as string;
  const generations = values.generations ?? (Math.floor(run / names.length) % 2 === 0 ? '2' : '4');
  const seed = first + run;
  const scale = numberOf('scale') ?? SCALES[scenario] ?? 1;
  process.stderr.write(`${scenario}, ${generations} generations, seed ${seed}, scale ${scale} ... `);
  const root = roots[generations];
  const outcome = await runApart({ scenario, seed, scale, ...(root !== undefined && { root }) });
  add(`${scenario} (${generations})`, outcome);
  const took = `${(outcome.milliseconds / 1000).toFixed(1)} s`;
  if (outcome.error === undefined) process.stderr.write(`${took}\n`);
  else {
    failures++;
    const replay = `--runs 1 --seed ${seed} --scale ${scale} --generations ${generations} ${scenario}`;
    process.stderr.write(
      `FAILED after ${took}\n${outcome.error}\nreplay: npx -y pnpm@12 torture ${replay}\n`,
    );
  }
}

function add(name: string, { counts, error, milliseconds }: Outcome): void {
  const total = totals.get(name) ?? { runs: 0, failures: 0, seconds: 0, counts: {} };
  totals.set(name, total);
  total.runs++;
  if (error !== undefined) total.failures++;
  total.seconds += milliseconds / 1000;
  for (const [what, count] of Object.entries(counts ?? {})) {
    const most = what.startsWith('most');
    total.counts[what] = most ? Math.max(total.counts[what] ?? 0, count) : (total.counts[what] ?? 0) + count;
  }
}

for (const [name, { runs: times, failures: failed, seconds, counts }] of totals) {
  const counted = Object.entries(counts).map(([what, count]) => `${what} ${Math.round(count)}`);
  process.stdout.write(
    `${name.padEnd(20)} ${String(times).padStart(3)} runs ${String(failed).padStart(2)} failed ` +
      `${seconds.toFixed(0).padStart(4)} s  ${counted.join(', ')}\n`,
  );
}
process.stdout.write(failures === 0 ? 'nothing failed\n' : `${failures} runs failed\n`);
process.exitCode = failures === 0 ? 0 : 1;
