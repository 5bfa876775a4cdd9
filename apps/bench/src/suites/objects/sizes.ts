/** How much the suite `objects` measures. */
import type { PopulationSpec } from '../../objects/populations.ts';

export interface ObjectsSizes extends PopulationSpec {
  /** Counted repeats, each on a machine of its own. */
  readonly repeats: number;
}

export const FULL: ObjectsSizes = {
  repeats: 3,
  few: 1_000,
  many: 1_000_000,
  samples: 5,
  cycles: 15,
  cycleObjects: 1_000,
  oneByOne: 200,
  batch: 1_000,
  calls: 2_000_000,
  seed: 42,
};

/** Finishes within 30 seconds, with every claim. */
export const QUICK: ObjectsSizes = {
  ...FULL,
  repeats: 1,
  samples: 5,
  cycles: 9,
  oneByOne: 100,
  calls: 1_000_000,
};
