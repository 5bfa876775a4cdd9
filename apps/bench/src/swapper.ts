/**
 * Swaps the managers of files in use, all the time.
 *
 * The journal's manager goes shared, distributed, shared and so on for as long as the initiator's transactions run, the
 * next swap beginning when the last has ended. All processors append to the journal, so all take part.
 *
 * Of the instance's own files every fiftieth that is read or appended to is swapped while it is open, there and back. The swap waits for
 * the transaction that found the file open, so the transaction must not wait for the swap: it goes on using the file,
 * in turns, and the swap ends after it. Until then the swapper holds the file open itself; a manager that nobody holds
 * would be destroyed in the middle of its swap.
 */
import { type CachedFile, DistributedFcm, openFile, openFileSync, SharedFcm } from '@k42/fcm';
import { type SwapReport, swap } from '@k42/hotswap';
import type { InstanceSpec, SwapRecord } from './instanceTypes.ts';
import { OwnFile } from './postmark/cachedFiles.ts';
import type { BenchFile } from './postmark/files.ts';

/** The processor that swaps the journal. */
const INITIATOR = 0;
const OWN_FILES_PER_SWAP = 50;

export class Swapper {
  readonly #spec: InstanceSpec;
  readonly #records: SwapRecord[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #swapping = new Set<string>();
  #failure: { readonly error: unknown } | undefined;
  #stopped = false;
  #ownFiles = 0;

  constructor(spec: InstanceSpec) {
    this.#spec = spec;
  }

  /** Told of every transaction that has ended. The journal is swapped from the first one to the last. */
  transactionEnded(index: number): void {
    const { processor, journal, options } = this.#spec;
    if (processor !== INITIATOR) return;
    if (index === 0) this.#run(() => this.#swapJournal(journal));
    if (index === options.transactions - 1) this.#stopped = true;
  }

  /** Told of every own file that a transaction has opened. */
  ownFileOpened(file: BenchFile, path: string): void {
    if (++this.#ownFiles % OWN_FILES_PER_SWAP !== 0 || this.#swapping.has(path)) return;
    if (!(file instanceof OwnFile)) return;
    file.useInTurns();
    const held = openFileSync(path, 'r');
    this.#run(() => this.#swapOwn(held, path));
  }

  /** Waits for the swaps under way; what became of all of them. @throws what the first that failed threw */
  async close(): Promise<SwapRecord[]> {
    this.#stopped = true;
    while (this.#running.size > 0) await Promise.all(this.#running);
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#records;
  }

  #run(work: () => Promise<void>): void {
    const running = work()
      .catch((error: unknown) => {
        this.#failure ??= { error };
        this.#stopped = true;
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #swapJournal(path: string): Promise<void> {
    const held = await openFile(path, 'r');
    try {
      for (let round = 0; !this.#stopped; round++) {
        const report = await swap(held.coid, round % 2 === 0 ? DistributedFcm : SharedFcm);
        this.#record('journal', report);
      }
    } finally {
      await held.close();
    }
  }

  async #swapOwn(held: CachedFile, path: string): Promise<void> {
    this.#swapping.add(path);
    try {
      this.#record('own', await swap(held.coid, DistributedFcm));
      this.#record('own', await swap(held.coid, SharedFcm));
    } finally {
      this.#swapping.delete(path);
      await held.close();
    }
  }

  #record(file: SwapRecord['file'], { participants, forwarded, queued, milliseconds }: SwapReport): void {
    this.#records.push({ file, participants: participants.length, forwarded, queued, milliseconds });
  }
}
