/**
 * The object of the suite `objects`: small, with a state in machine memory, as most objects are that somebody makes a
 * million of.
 *
 * Its method works on the Rep alone, so that what a call costs is the way to the Rep. A plain object of the same class is what
 * the calls are compared with.
 */
import {
  type Coid,
  defineImplementation,
  defineInterface,
  type Implementation,
  type Interface,
} from '@k42/clustered';

export interface Item {
  /** Counts calls; gives `by` back. */
  touch(by: number): number;
}

export type ItemCoid = Coid<Item>;

export const Item: Interface<Item> = defineInterface<Item>('bench/item', { touch: 'sync' });

export class ItemRep implements Item {
  calls = 0;

  touch(by: number): number {
    this.calls++;
    return by;
  }
}

const STATE_BYTES = 8;

export const ItemImplementation: Implementation<Item, number> = defineImplementation<Item, number>({
  name: 'bench/item@1',
  interface: Item,
  distribution: 'shared',
  Rep: ItemRep,
  stateBytes: STATE_BYTES,
  initialise: ({ memory, stateOffset }, value) => {
    memory.i32[stateOffset / 4] = value;
  },
});
