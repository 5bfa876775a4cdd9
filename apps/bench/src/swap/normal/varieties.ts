/**
 * The objects whose normal calls are timed: eight implementations that can be exchanged, twice.
 *
 * The classes are those of the suite `dispatch`, whose method does as little as a method can do. What V8 learns about calls
 * through handles belongs to their interface, so there are two interfaces with the same implementations: the objects of the
 * one are swapped, those of the other never, and neither learns from the other. What an object knows is its number; a swap
 * that loses it, or takes another's, shows.
 */
import {
  type Coid,
  create,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
  type Interface,
  type RepClass,
  SharedRoot,
} from '@k42/clustered';
import type { Part, SwappableRoot } from '@k42/hotswap';
import { type Shift, VARIETIES, type Variety } from '../../dispatch/shift.ts';

export type ShiftImplementation = Implementation<Shift, number>;

/** Objects in a list: as many slots and Reps as make a pass touch memory, as few as can be swapped in no time. */
export const OBJECTS = 64;

const PROTOCOL = 'bench/number@1';
const STATE_BYTES = 4;

function implement(
  served: Interface<Shift>,
  { implementation, Plain }: Variety,
  index: number,
): ShiftImplementation {
  // Given a context it has the number that is there.
  const Rep: RepClass<Shift> = Plain;
  class NumberedRoot extends SharedRoot<Shift> implements SwappableRoot {
    static readonly exports: readonly string[] = [PROTOCOL];
    static readonly imports: readonly string[] = [PROTOCOL];

    protected override createRep(): Shift {
      return new Rep(this.context);
    }

    exportPart(_protocol: string, part: Part): unknown {
      const { memory, stateOffset } = this.context;
      return part.kind === 'root' ? memory.i32[stateOffset / 4] : undefined;
    }

    importPart(_protocol: string, _part: Part, number: unknown): void {
      const { memory, stateOffset } = this.context;
      memory.i32[stateOffset / 4] = number as number;
    }
  }
  return defineImplementation<Shift, number>({
    name: `${served.name}-${index + 1}@1`,
    interface: served,
    Root: NumberedRoot,
    stateBytes: STATE_BYTES,
    initialise: implementation.initialise,
  });
}

function implementAll(name: string): ShiftImplementation[] {
  const served = defineInterface<Shift>(name, { shift: 'sync', number: 'sync' });
  return VARIETIES.map((variety, index) => implement(served, variety, index));
}

/** In the order in which they are met. */
export const SWAPPED: readonly ShiftImplementation[] = implementAll('bench/swap-swapped');
export const STILL: readonly ShiftImplementation[] = implementAll('bench/swap-still');

export function createObjects(implementation: ShiftImplementation): Coid<Shift>[] {
  return Array.from({ length: OBJECTS }, (_, place) => create(implementation, place));
}

export function plainObjects({ Plain }: Variety): Shift[] {
  return Array.from({ length: OBJECTS }, () => new Plain());
}

/** How many of these objects do not know their place in the list. */
export function strayObjects(coids: readonly Coid<Shift>[]): number {
  return coids.filter((coid, place) => handle(coid).number() !== place).length;
}
