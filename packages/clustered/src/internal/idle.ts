/**
 * Dropping Reps nobody calls: a clock with one hand.
 *
 * Nothing counts calls, so a Rep is found idle by taking it out of its slot: whoever calls meanwhile misses and has it put
 * back. Where after a while the slot still has the default object, and no thread of before lives any more, nobody uses the
 * Rep, and its Root may let go of it.
 */
import { setTimeout } from 'node:timers/promises';
import { whenThreadsElapsed } from '@k42/rcu';
import type { Objects } from './objects.ts';
import { type AnySlot, installedRep } from './slots.ts';

interface Candidate {
  readonly slot: AnySlot;
  readonly word: bigint;
}

/** Drops the Reps of this processor that are not called for so long; how many. */
export async function dropIdle(own: Objects, idleMs: number): Promise<number> {
  const candidates = [...takeOut(own)];
  await setTimeout(idleMs, undefined, { ref: false });
  await new Promise<void>((resolve) => whenThreadsElapsed(resolve));
  let dropped = 0;
  for (const candidate of candidates) if (drop(own, candidate)) dropped++;
  return dropped;
}

/** Resets the slots whose Rep is the one its Root keeps. */
function* takeOut(own: Objects): Iterable<Candidate> {
  const { ltt, gtt, records } = own;
  for (const slot of ltt.slots()) {
    if (slot.$open !== undefined && !slot.$open.isOver) continue;
    const word = gtt.root(slot.$coid);
    const rep = records.viewIfAny(word)?.repIfAny();
    if (rep === undefined || rep !== installedRep(slot)) continue;
    own.reset(slot);
    yield { slot, word };
  }
}

function drop({ ltt, gtt, records }: Objects, { slot, word }: Candidate): boolean {
  if (ltt.get(slot.$coid) !== slot || gtt.root(slot.$coid) !== word) return false;
  const root = records.viewIfAny(word);
  if (root === undefined || root.repIfAny() === installedRep(slot)) return false;
  return (slot.$open === undefined || slot.$open.isOver) && root.dropRep();
}
