/** A module that records that it was loaded, on the thread where it was, before and after it has taken a few turns. */
import { setImmediate as nextTurn } from 'node:timers/promises';

const record = globalThis as { membershipModule?: string[] };
const tag = new URL(import.meta.url).search;
for (let turn = 0; turn < 20; turn++) await nextTurn();
record.membershipModule = [...(record.membershipModule ?? []), tag];

/** The tags under which this thread has loaded the module completely. */
export function loaded(): string[] {
  return record.membershipModule ?? [];
}
