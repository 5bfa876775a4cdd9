/**
 * A gate in machine memory: whoever comes waits there until all have come, and then all go on together.
 *
 * The word counts who has come. It is zeroed by one who knows that nobody is at the gate: a gate opens once.
 */
const DEADLINE_MS = 10_000;

/** @throws Error if some of the `parties` have not come in time */
export function passGate(words: Int32Array, at: number, parties: number): void {
  // Pairs with the loads below: who sees all parties here also sees what each did before it came.
  const before = Atomics.add(words, at, 1);
  if (before + 1 === parties) {
    Atomics.notify(words, at);
    return;
  }
  const giveUpAt = performance.now() + DEADLINE_MS;
  for (;;) {
    const come = Atomics.load(words, at);
    if (come === parties) return;
    const left = giveUpAt - performance.now();
    if (left <= 0)
      throw new Error(`counter: ${come} of ${parties} processors came to the gate in ${DEADLINE_MS} ms`);
    // Returns at once if somebody has come since the load: only the last one notifies, so an earlier one is slept through.
    Atomics.wait(words, at, come, left);
  }
}
