/**
 * How loops are timed: begin, count what was done, divide. And the order in which variants are sampled.
 *
 * For the programs on processors too: it imports nothing.
 */

/**
 * Nanoseconds for each of `count` calls since `begun` (of `performance.now()`).
 * @param done what the calls returned, added up: it keeps V8 from dropping them, and shows that they took place.
 */
export function nanosecondsEach(begun: number, count: number, done: number): number {
  const milliseconds = performance.now() - begun;
  if (done !== count) throw new Error(`timing: ${done} of ${count} calls took place`);
  return (milliseconds * 1e6) / count;
}

/** `list` from element `by` on, and then what was before it: an order that changes from repeat to repeat. */
export function rotated<T>(list: readonly T[], by: number): T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

/** One more sample of each variant, in an order that rotates with the number of samples so far. */
export async function sampleEach<V extends string>(
  samples: Record<V, number[]>,
  measure: Record<V, () => number | Promise<number>>,
): Promise<void> {
  const variants = Object.keys(samples) as V[];
  const [first] = variants;
  if (first === undefined) return;
  for (const variant of rotated(variants, samples[first].length))
    samples[variant].push(await measure[variant]());
}

/**
 * So many samples of each variant, interleaved.
 * @param warmUps repeats before, which do not count
 */
export async function sampleRepeats<V extends string>(
  measure: Record<V, () => number | Promise<number>>,
  { repeats, warmUps }: { readonly repeats: number; readonly warmUps: number },
): Promise<Record<V, number[]>> {
  const variants = Object.keys(measure) as V[];
  const noSamples = (): Record<V, number[]> =>
    Object.fromEntries<number[]>(variants.map((variant) => [variant, []])) as Record<V, number[]>;
  for (let repeat = 0; repeat < warmUps; repeat++) await sampleEach(noSamples(), measure);
  const samples = noSamples();
  for (let repeat = 0; repeat < repeats; repeat++) await sampleEach(samples, measure);
  return samples;
}
