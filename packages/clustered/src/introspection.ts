/**
 * What objects there are, and what they use. For people, tests and tools: everything here is a moment's picture.
 */
import { STATE } from './internal/layout.ts';
import type { Objects } from './internal/objects.ts';
import { objectNames, objects, toStored } from './internal/system.ts';
import type { Coid } from './objects.ts';

/** A live object. */
export interface ObjectInfo {
  readonly coid: Coid<object>;
  readonly sequence: number;
  /** Well-known names. */
  readonly names: readonly string[];
  readonly interface: string;
  readonly implementation: string;
  /** The processor whose region the COID is of. */
  readonly home: number;
  /** Processors that have a slot of it, ascending. */
  readonly touched: readonly number[];
  /** Processors on which it has a Rep now. */
  readonly reps: readonly number[];
  readonly stateBytes: number;
  /** `switching` while another object stands in for it, as during a hot swap. */
  readonly state: 'live' | 'switching' | 'destroying';
}

export interface ObjectCounts {
  /** Objects that live or are being destroyed. */
  readonly objects: number;
  /** Their Reps, on all processors. */
  readonly reps: number;
  /** Bytes of machine memory in use for them: records, states, shares. */
  readonly bytes: number;
  /** Bytes of machine memory set aside for objects, in use or not: arenas and table pages. */
  readonly reservedBytes: number;
}

/**
 * All objects of the machine, in the order of their COIDs. Goes through the table as it is iterated, some hundred
 * nanoseconds for each; what is made or destroyed meanwhile may be there or not.
 * @throws NotAttachedError
 */
export function* liveObjects(): Iterable<ObjectInfo> {
  const own = objects();
  const names = new Map<number, string[]>();
  for (const { name, stored } of objectNames().all()) {
    const known = names.get(stored);
    if (known === undefined) names.set(stored, [name]);
    else known.push(name);
  }
  for (const coid of own.coids()) {
    const info = describe(own, coid, names);
    if (info !== undefined) yield info;
  }
}

/** How many objects and Reps there are, and what they take. Looks at every COID ever given out. @throws NotAttachedError */
export function objectCounts(): ObjectCounts {
  const own = objects();
  let count = 0;
  for (const coid of own.coids()) {
    const state = own.gtt.state(coid);
    if (state === STATE.LIVE || state === STATE.DESTROYING || state === STATE.RECLAIMING) count++;
  }
  return { objects: count, ...own.usage() };
}

/** Without any lock: what was read counts if the entry says the same afterwards, because then the record was its own. */
function describe(
  { gtt, records, members: present }: Objects,
  coid: number,
  names: ReadonlyMap<number, readonly string[]>,
): ObjectInfo | undefined {
  for (;;) {
    const [state, sequence, word] = [gtt.state(coid), gtt.sequence(coid), gtt.root(coid)];
    if (state !== STATE.LIVE && state !== STATE.DESTROYING) return undefined;
    const record = records.peek(word);
    const touched = gtt.touched(coid);
    if (gtt.state(coid) !== state || gtt.sequence(coid) !== sequence || gtt.root(coid) !== word) continue;
    return {
      coid: coid as Coid<object>,
      sequence,
      names: names.get(toStored(coid, sequence)) ?? [],
      interface: records.nameOf(record.interface),
      implementation: records.nameOf(record.implementation),
      home: gtt.format.region(coid),
      touched: present.of(touched),
      reps: present.of(record.reps),
      stateBytes: record.stateBytes,
      state: state === STATE.DESTROYING ? 'destroying' : record.standsIn ? 'switching' : 'live',
    };
  }
}
