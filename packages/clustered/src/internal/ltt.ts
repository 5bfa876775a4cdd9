/**
 * The Local Translation Table: this processor's slots, by COID.
 *
 * COIDs in use are small numbers (`coids.ts`), so the table is an array, as long as the highest COID that has been used here.
 * Of very high ones there are few as a rule: they are in a map, and cost more.
 */
import type { AnySlot } from './slots.ts';

/** COIDs from here on are in the map. An array of this length takes 32 MiB, once it has grown so far. */
const NEAR = 2 ** 22;

/**
 * The Reps that are in the slots: `reps[coid]`, and no more, is what `DREF` does. It does not look into the slot, because that
 * look would be one place in the source for slots of all interfaces, of which V8 remembers four.
 *
 * One array for good, whichever processor this JavaScript thread is: V8 takes it for the constant that it is.
 */
const reps: (object | undefined)[] = [];

/** The Rep in the slot of a COID, if it has one in the array. */
export function nearRep(coid: number): object | undefined {
  return reps[coid];
}

export class LocalTranslationTable {
  #near: (AnySlot | undefined)[] = [];
  readonly #far = new Map<number, AnySlot>();

  constructor() {
    reps.length = 0;
  }

  /** Forgets all slots. */
  clear(): void {
    reps.length = 0;
    this.#near = [];
    this.#far.clear();
  }

  get(coid: number): AnySlot | undefined {
    return this.#near[coid] ?? this.#far.get(coid);
  }

  set(coid: number, slot: AnySlot): void {
    if (coid >= NEAR) {
      this.#far.set(coid, slot);
      return;
    }
    // Without holes: an array with a large one would become a dictionary.
    while (this.#near.length <= coid) {
      this.#near.push(undefined);
      reps.push(undefined);
    }
    this.#near[coid] = slot;
  }

  /** Lets `DREF` find the Rep of a slot, if the slot is in the array. */
  setRep(slot: AnySlot, rep: object): void {
    if (this.#near[slot.$coid] === slot) reps[slot.$coid] = rep;
  }

  /** Takes a slot out, if it is still there. */
  remove(slot: AnySlot): void {
    const { $coid: coid } = slot;
    if (this.#far.get(coid) === slot) this.#far.delete(coid);
    if (this.#near[coid] !== slot) return;
    this.#near[coid] = undefined;
    reps[coid] = undefined;
  }

  /** All slots. */
  *slots(): Iterable<AnySlot> {
    for (const slot of this.#near) if (slot !== undefined) yield slot;
    yield* this.#far.values();
  }
}
