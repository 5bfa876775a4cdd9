/**
 * What a dead processor leaves behind, put in order by the host before the number is used again.
 *
 * - a miss it was in: its bit in the entry's lock, which would keep every swap and destruction out for ever;
 * - an entry it held for writing: the region's mutex knows (`gtt.ts`);
 * - destructions it had begun: the host goes on with them;
 * - its slots and Reps: gone, so that nobody asks whoever has the number next about them. What they kept in machine
 *   memory stays.
 *
 * The host looks at every entry ever given out, some nanoseconds each.
 */
import type { Destruction } from './destruction.ts';
import { STATE } from './layout.ts';
import type { Objects } from './objects.ts';

/** Has the host put in order what dead processors leave. */
export function adoptOrphans(own: Objects, destruction: Destruction): void {
  const { processor, gtt } = own;
  if (processor.number !== 0) return;
  processor.onGone((number) => {
    for (let region = 0; region < processor.processors; region++) gtt.repairWriters(region);
    for (const coid of own.coids()) {
      if (gtt.isReadLockedBy(coid, number)) gtt.forgetReader(coid, number);
      if (gtt.isTouchedBy(coid, number)) forgetSlot(own, coid, number);
      const state = gtt.state(coid);
      const isEnding = state === STATE.DESTROYING || state === STATE.RECLAIMING || state === STATE.RETIRED;
      if (isEnding && gtt.destroyer(coid) === number) destruction.resume(coid);
    }
  });
}

function forgetSlot({ gtt, records }: Objects, coid: number, number: number): void {
  gtt.forgetTouch(coid, number);
  // The lock keeps the record; beyond LIVE nobody asks for Reps any more.
  gtt.readLock(coid);
  try {
    if (gtt.state(coid) === STATE.LIVE) records.forgetRep(gtt.root(coid), number);
  } finally {
    gtt.readUnlock(coid);
  }
}
