/**
 * Collects what comes in a turn, and hands it on in a turn of its own, when no other JavaScript is on the stack.
 */
export class Batch<T> {
  readonly #take: (items: readonly T[]) => void;
  #items: T[] = [];

  constructor(take: (items: readonly T[]) => void) {
    this.#take = take;
  }

  add(item: T): void {
    if (this.#items.length === 0) {
      setImmediate(() => {
        const items = this.#items;
        this.#items = [];
        this.#take(items);
      });
    }
    this.#items.push(item);
  }
}
