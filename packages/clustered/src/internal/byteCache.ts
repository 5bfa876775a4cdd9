/**
 * A processor's private cache of what it has read from a byte table.
 *
 * Bounded by the bytes of its values and keys (with a fixed charge for an entry); when it is full, what was put in first goes
 * out first. Whether an entry still holds is not decided here.
 */

export interface Cached {
  /** Never given away, only copies of it. Undefined: the key had no value. */
  readonly bytes: Uint8Array | undefined;
  readonly stripe: number;
  readonly versionLow: number;
  readonly versionHigh: number;
}

/** About what an entry takes beyond key and value. */
const ENTRY_BYTES = 128;

export class ByteCache {
  readonly #entries = new Map<string, Cached>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(key: string): Cached | undefined {
    return this.#entries.get(key);
  }

  /**
   * Puts an entry in, or in the place of the one of that key. One that would fill more than a quarter is not kept; whether it
   * is, is the answer.
   */
  put(key: string, entry: Cached): boolean {
    const bytes = chargeOf(key, entry);
    if (bytes > this.#maxBytes / 4) {
      this.#drop(key);
      return false;
    }
    const before = this.#entries.get(key);
    this.#bytes += bytes - (before === undefined ? 0 : chargeOf(key, before));
    this.#entries.set(key, entry);
    if (this.#bytes > this.#maxBytes) this.#shrink();
    return true;
  }

  #shrink(): void {
    for (const oldest of this.#entries.keys()) {
      this.#drop(oldest);
      if (this.#bytes <= this.#maxBytes) return;
    }
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= chargeOf(key, entry);
  }
}

function chargeOf(key: string, { bytes }: Cached): number {
  return ENTRY_BYTES + 2 * key.length + (bytes?.length ?? 0);
}
