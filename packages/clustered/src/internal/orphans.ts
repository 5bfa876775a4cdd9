/**
 * What a dead processor leaves half done, put in order by the host before the number is used again.
 *
 * - a miss it was in: its bit in the entry's lock, which would keep every swap and destruction out for ever;
 * - an entry it held for writing: the region's mutex knows (`gtt.ts`);
 * - destructions it had begun: the host goes on with them.
 *
 * The host looks at every entry ever given out, some ten nanoseconds each. (What is noted of slots and Reps is taken back by
 * whoever has the number next, `objects.ts`.) It must have this package for that: whoever has it first sees to it.
 */
import type { Destruction } from './destruction.ts';
import { STATE } from './layout.ts';
import type { Objects } from './objects.ts';

/** On the host: puts in order what dead processors leave, and what those have left that were gone before it could. */
export function adoptOrphans(own: Objects, destruction: Destruction): void {
  const { processor } = own;
  if (processor.number !== 0) return;
  processor.onGone((number) => adopt(own, destruction, [number]));
  const absent = Array.from({ length: processor.processors }, (_, number) => number);
  adopt(
    own,
    destruction,
    absent.filter((number) => !processor.isLive(number)),
  );
}

function adopt(own: Objects, destruction: Destruction, gone: readonly number[]): void {
  const { gtt, processor } = own;
  for (let region = 0; region < processor.processors; region++) gtt.repairWriters(region);
  for (const coid of own.coids()) {
    for (const number of gone) if (gtt.isReadLockedBy(coid, number)) gtt.forgetReader(coid, number);
    const state = gtt.state(coid);
    const isEnding = state === STATE.DESTROYING || state === STATE.RECLAIMING || state === STATE.RETIRED;
    if (isEnding && gone.includes(gtt.destroyer(coid))) destruction.resume(coid);
  }
}
