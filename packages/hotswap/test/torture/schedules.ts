/**
 * All orders in which moves can be made.
 *
 * A *line* is a list of moves that are made in this order; a schedule is an interleaving of the lines.
 */

/** How many interleavings there are of lines of these lengths. */
export function countOf(lengths: readonly number[]): number {
  let [count, total] = [1, 0];
  for (const length of lengths)
    for (let place = 1; place <= length; place++) count = (count * ++total) / place;
  return Math.round(count);
}

/** Every interleaving, once. */
export function* interleavings<M>(lines: readonly (readonly M[])[]): Generator<readonly M[]> {
  const left = lines.filter((line) => line.length !== 0);
  if (left.length === 0) {
    yield [];
    return;
  }
  for (const line of left) {
    const [move, ...rest] = line as [M, ...M[]];
    for (const after of interleavings(left.map((other) => (other === line ? rest : other))))
      yield [move, ...after];
  }
}
