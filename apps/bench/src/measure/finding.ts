/**
 * What one measurement of a suite finds: rows for people and scripts, and the claims that they bear out or not.
 */
import { type Claim, type Spread, spreadOf } from '../cli/document.ts';

export interface Row {
  /** What is measured, as in the id of its claim. */
  readonly measure: string;
  /** Of it, or what it is compared with. */
  readonly variant: string;
  readonly unit: string;
  readonly spread: Spread;
  readonly samples: readonly number[];
}

export interface Finding {
  readonly rows: readonly Row[];
  readonly claims: readonly Claim[];
  /** What was computed wrong, in words. */
  readonly faults: readonly string[];
}

export function row(measure: string, variant: string, unit: string, samples: readonly number[]): Row {
  return { measure, variant, unit, spread: spreadOf(samples), samples };
}

/** Sample by sample: both lists are in the order of the repeats. */
export function ratios(samples: readonly number[], baselines: readonly number[]): number[] {
  return samples.map((sample, repeat) => sample / (baselines[repeat] as number));
}
