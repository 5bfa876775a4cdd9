/** Sets of processors, as the bits of one 64-bit word. */

export function bit(processor: number): bigint {
  return 1n << BigInt(processor);
}

/** The processors in a set, ascending. */
export function members(set: bigint): number[] {
  const numbers: number[] = [];
  for (let number = 0, rest = set; rest !== 0n; number++, rest >>= 1n)
    if ((rest & 1n) === 1n) numbers.push(number);
  return numbers;
}
