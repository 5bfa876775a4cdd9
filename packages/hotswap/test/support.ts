/** What several tests need. */
import { objectCounts } from '@k42/clustered';
import type { Machine } from '@k42/rcu';

/** Bytes of machine memory in use, without what the arenas of objects have set aside. */
export function bytesInUse({ memory }: Machine): number {
  const { bytes, reservedBytes } = objectCounts();
  return memory.allocatedBytes - reservedBytes + bytes;
}

/** Waits, turn by turn, until something holds. @throws after ten seconds */
export async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`not within ten seconds: ${holds}`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
