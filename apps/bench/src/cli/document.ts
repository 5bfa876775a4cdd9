/**
 * The JSON document: what `--json` writes, exactly once, to standard output.
 *
 * A claim is a sentence that a measurement can refute. It carries the measured value, the target, in which direction the
 * value must lie from it, and the spread of the samples behind the value (null where nothing varies, such as a count of
 * faults). What is reported without having to reach anything has the target null, and holds.
 */
import { max, median, min } from 'simple-statistics';
import type { Environment } from './environment.ts';

export type Direction = 'at least' | 'at most' | 'exactly' | 'reported';

export interface Spread {
  min: number;
  median: number;
  max: number;
  samples: number;
}

export interface Claim {
  id: string;
  statement: string;
  value: number;
  unit: string;
  target: number | null;
  direction: Direction;
  spread: Spread | null;
  holds: boolean;
}

export interface BenchDocument {
  suite: string;
  environment: Environment;
  runs: readonly object[];
  claims: readonly Claim[];
  /** Where the files are, with `--keep`. */
  directory?: string;
  /** What else a suite reports. */
  [extra: string]: unknown;
}

/** A claim about something that is counted: it must be exactly `target`. */
export function exactClaim(
  id: string,
  statement: string,
  value: number,
  unit: string,
  target: number,
): Claim {
  return { id, statement, value, unit, target, direction: 'exactly', spread: null, holds: value === target };
}

/** A claim about something that is measured: the median of the samples against the target. */
export function measuredClaim(
  id: string,
  statement: string,
  samples: readonly number[],
  unit: string,
  direction: 'at least' | 'at most',
  target: number,
): Claim {
  const spread = spreadOf(samples);
  const value = spread.median;
  const holds = direction === 'at least' ? value >= target : value <= target;
  return { id, statement, value, unit, target, direction, spread, holds };
}

/** Something that is measured and has nothing to reach yet. The statement says which direction is better. */
export function reportedClaim(
  id: string,
  statement: string,
  samples: readonly number[],
  unit: string,
): Claim {
  const spread = spreadOf(samples);
  return {
    id,
    statement,
    value: spread.median,
    unit,
    target: null,
    direction: 'reported',
    spread,
    holds: true,
  };
}

/** @param samples at least one */
export function spreadOf(samples: readonly number[]): Spread {
  const values = [...samples];
  return { min: min(values), median: median(values), max: max(values), samples: values.length };
}
