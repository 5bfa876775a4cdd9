/**
 * A suite that is a list of measurements: each of them finds rows and claims, and all together are the outcome.
 *
 * What was computed wrong in any of them is a *fault*. Faults are counted in a claim of their own, `<suite>.faults`, which
 * stands first and must be zero; one fault fails the run.
 */
import { type Claim, exactClaim } from '../cli/document.ts';
import { describeEnvironment } from '../cli/environment.ts';
import { formatNumber, formatTable } from '../cli/table.ts';
import { BenchWrongResultError, toBenchError } from '../errors.ts';
import type { Outcome, SuiteContext } from '../suites/suite.ts';
import type { Finding, Row } from './finding.ts';

/** What is said while it runs, and how to measure it. */
export type Measurement<Sizes> = readonly [string, (sizes: Sizes) => Promise<Finding>];

export interface Measured<Sizes> {
  readonly suite: string;
  /** Statement of the claim that there are no faults. */
  readonly faults: string;
  readonly sizes: Sizes;
  readonly measurements: readonly Measurement<Sizes>[];
}

/** Measures one after the other. @throws BenchError */
export async function runMeasurements<Sizes>(
  { suite, faults: statement, sizes, measurements }: Measured<Sizes>,
  context: Pick<SuiteContext, 'say'>,
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
  const id = `${suite}.faults`;
  const claims = [
    exactClaim(id, statement, faults.length, 'faults', 0),
    ...findings.flatMap((finding) => finding.claims),
  ];
  const document = { suite, environment: describeEnvironment(), sizes, runs: rows, claims };
  const text = `${describeRows(rows)}\n${describeClaims(claims)}`;
  if (faults.length === 0) return { document, text };
  return { document, text, failure: new BenchWrongResultError([id], faults) };
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
