/**
 * `bench grace`: the lowest layer, `@k42/rcu`. What a thread costs, what a grace period costs and how long it lasts, how
 * many callbacks it carries, and how that grows with processors and with live threads.
 *
 * Each measurement boots a machine of its own. What is compared is interleaved within it: a repeat samples every variant
 * once, ratios are taken within a repeat, and medians over repeats with their spread are what is reported. Everything
 * stands in the table, what was lost as well.
 */
import { type Claim, exactClaim } from '../cli/document.ts';
import { describeEnvironment } from '../cli/environment.ts';
import { formatNumber, formatTable } from '../cli/table.ts';
import { BenchWrongResultError, toBenchError } from '../errors.ts';
import { measureCallbacks } from './grace/callbacks.ts';
import type { Finding, Row } from './grace/finding.ts';
import { FULL, type GraceSizes, QUICK } from './grace/sizes.ts';
import { measureBusy, measureIdle, measureProcessors, measureWaiting } from './grace/synchronize.ts';
import { measureAsyncThreads, measureSyncThreads, measureThreadsAmong } from './grace/threads.ts';
import type { Outcome, Suite, SuiteContext } from './suite.ts';

export const graceSuite: Suite = {
  name: 'grace',
  summary: 'threads, grace periods and callbacks of @k42/rcu: what each costs',
  addOptions: () => {},
  run: (context) => runGrace(context.quick ? QUICK : FULL, context),
};

/** What is said while it runs, and how to measure it. */
export type Measurement = readonly [string, (sizes: GraceSizes) => Promise<Finding>];

const MEASUREMENTS: readonly Measurement[] = [
  ['synchronous threads', measureSyncThreads],
  ['asynchronous threads', measureAsyncThreads],
  ['threads among others', measureThreadsAmong],
  ['synchronize on an idle machine', measureIdle],
  ['waiting', measureWaiting],
  ['synchronize under readers', measureBusy],
  ['numbers of processors', measureProcessors],
  ['callbacks', measureCallbacks],
];

/** @throws BenchError */
export async function runGrace(
  sizes: GraceSizes,
  context: Pick<SuiteContext, 'say'>,
  measurements: readonly Measurement[] = MEASUREMENTS,
): Promise<Outcome> {
  const findings: Finding[] = [];
  try {
    for (const [name, measure] of measurements) {
      context.say(name);
      findings.push(await measure(sizes));
    }
  } catch (error) {
    throw toBenchError(error, process.cwd());
  }
  const rows = findings.flatMap((finding) => finding.rows);
  const faults = findings.flatMap((finding) => finding.faults);
  const correct =
    'Grace periods that ended too early, callbacks lost or out of order (must be none; nothing varies)';
  const claims = [
    exactClaim('grace.faults', correct, faults.length, 'faults', 0),
    ...findings.flatMap((finding) => finding.claims),
  ];
  const document = { suite: 'grace', environment: describeEnvironment(), sizes, runs: rows, claims };
  const text = `${describeRows(rows)}\n${describeClaims(claims)}`;
  if (faults.length === 0) return { document, text };
  return { document, text, failure: new BenchWrongResultError(['grace.faults'], faults) };
}

function describeRows(rows: readonly Row[]): string {
  const cells = rows.map(({ measure, variant, unit, spread: { median, min, max, samples } }) => [
    `${measure}: ${variant}`,
    ...[median, min, max].map(figure),
    unit,
    String(samples),
  ]);
  return formatTable(['what', 'median', 'min', 'max', 'unit', 'samples'], cells);
}

function describeClaims(claims: readonly Claim[]): string {
  const cells = claims.map(({ id, value, spread, unit, direction, target, holds }) => [
    id,
    figure(value),
    spread === null ? '' : `${figure(spread.min)} to ${figure(spread.max)}`,
    unit,
    target === null ? '' : `${direction} ${figure(target)}`,
    holds ? 'yes' : 'NO',
  ]);
  return formatTable(['claim', 'value', 'spread', 'unit', 'target', 'holds'], cells);
}

/** Three significant digits or so. */
function figure(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return formatNumber(value);
  if (Math.abs(value) >= 100) return formatNumber(value, 1);
  return formatNumber(value, Math.abs(value) >= 1 ? 2 : 4);
}
