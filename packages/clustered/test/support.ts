/** What several tests need. */

/** Waits, turn by turn, until something holds. @throws after ten seconds */
export async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`not within ten seconds: ${holds}`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
