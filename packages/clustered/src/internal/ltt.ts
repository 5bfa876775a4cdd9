/**
 * The Local Translation Table: this processor's slots, by COID, a page at a time.
 *
 * The table is as dense as the COIDs in use: pages nobody has used here are all the same empty one.
 */
import { PAGE_ENTRIES, PAGE_LOG2, PAGE_MASK, REGION_PAGES } from './layout.ts';
import type { AnySlot } from './slots.ts';

export type Page = (AnySlot | undefined)[];

function emptyPage(): Page {
  return new Array<AnySlot | undefined>(PAGE_ENTRIES).fill(undefined);
}

/** Never written to. */
const EMPTY: Page = emptyPage();

/**
 * The table of this JavaScript thread, whichever processor it is: `pages[coid >>> PAGE_LOG2][coid & PAGE_MASK]`. One array
 * for good, because V8 then knows it when it compiles `DREF`, which reads it.
 */
export const pages: Page[] = [];

export class LocalTranslationTable {
  constructor(processors: number) {
    pages.length = 0;
    for (let page = 0; page < processors * REGION_PAGES; page++) pages.push(EMPTY);
  }

  /** Forgets all slots. */
  clear(): void {
    pages.fill(EMPTY);
  }

  get(coid: number): AnySlot | undefined {
    const slot = pages[coid >>> PAGE_LOG2]?.[coid & PAGE_MASK];
    // What is no COID at all may lead to the slot of one.
    return slot?.$coid === coid ? slot : undefined;
  }

  set(coid: number, slot: AnySlot): void {
    const page = coid >>> PAGE_LOG2;
    if (pages[page] === EMPTY) pages[page] = emptyPage();
    (pages[page] as Page)[coid & PAGE_MASK] = slot;
  }

  /** Takes a slot out, if it is still there. */
  remove(slot: AnySlot): void {
    const page = pages[slot.$coid >>> PAGE_LOG2];
    const at = slot.$coid & PAGE_MASK;
    if (page?.[at] === slot) page[at] = undefined;
  }

  /** All slots, in the order of their COIDs. */
  *slots(): Iterable<AnySlot> {
    for (const page of pages) {
      if (page === EMPTY) continue;
      for (const slot of page) if (slot !== undefined) yield slot;
    }
  }
}
