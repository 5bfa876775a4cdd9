/**
 * Golden counts: what the reference binary, PostMark 1.51, counts. Bytes are exact sums.
 */
import { type Counts, zeroCounts } from './counts.ts';
import { DEFAULT_OPTIONS, type PostmarkOptions } from './options.ts';

export interface GoldenRow {
  readonly options: PostmarkOptions;
  readonly counts: Counts;
}

export const GOLDEN_ROWS: readonly GoldenRow[] = [
  row({}, [764, 264, 243, 257, 528, 236, 1_430_770, 4_662_068]),
  row({ seed: 1 }, [761, 261, 253, 247, 522, 239, 1_501_831, 4_551_080]),
  row({ number: 200, transactions: 10_000 }, [5180, 4980, 4941, 5016, 160, 5020, 33_042_712, 35_033_845]),
];

/** The golden counts of an instance that deletes its files in the end, if there are any. */
export function goldenCounts(options: PostmarkOptions, seed: number): Counts | undefined {
  const keys = Object.keys(options) as (keyof PostmarkOptions)[];
  const wanted = { ...options, seed };
  return GOLDEN_ROWS.find((golden) => keys.every((key) => golden.options[key] === wanted[key]))?.counts;
}

function row(changed: Partial<PostmarkOptions>, numbers: readonly number[]): GoldenRow {
  const keys = Object.keys(zeroCounts()) as (keyof Counts)[];
  const entries = keys.map((key, i) => [key, numbers[i] as number]);
  return { options: { ...DEFAULT_OPTIONS, ...changed }, counts: Object.fromEntries(entries) as Counts };
}
