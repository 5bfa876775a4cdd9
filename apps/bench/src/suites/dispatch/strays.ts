/** Calls that reached another object than the one they were meant for, as faults. */
export function strayFaults(measure: string, strays: number): string[] {
  return strays === 0 ? [] : [`${measure}: ${strays} handles lead to another object than theirs`];
}
