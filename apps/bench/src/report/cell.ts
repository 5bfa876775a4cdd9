/** What the main job measures, and its report shows. */
import type { Spread } from '../cli/document.ts';
import type { Mode } from '../modes.ts';

/** One mode on one number of processors. */
export interface Cell {
  mode: Mode;
  processors: number;
  /** Transactions per second of all instances together, of each counted repeat. */
  samples: number[];
  throughput: Spread;
  /** Throughput divided by that of `plain` in the same repeat. */
  ratioToPlain: Spread | null;
}
