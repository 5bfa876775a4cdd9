/**
 * PostMark itself: the lifetime of a pool of small files, as of a mail or news server.
 *
 *   T0  seed, draw the source bytes, make the subdirectories, create `number` files
 *   T1  transactions. Each has two halves: read a whole file or append to one; create a file or delete one.
 *       Which, and on which file, is drawn; so a run is a function of its options and its seed alone.
 *   T2  delete all files that remain, in slot order
 *   T3  remove the subdirectories
 *
 * Re-implemented from the definition in words; the counts agree with those of the reference binary (test/golden.test.ts).
 *
 * ## Units of work and turns
 * Each creation, transaction and deletion is one *unit of work*: a thread of its own in the sense of the machine, in a
 * turn of its own of the event loop. PostMark would otherwise be a single loop that hears nothing until it ends; this way
 * messages are served, swaps take place and signals are noticed between any two units. What this costs is paid alike in
 * every mode.
 *
 * ## Hooks
 * The workload knows nothing of processors, threads or swapping. Who runs it may wrap each unit (`runTransaction`), do
 * something between transactions, or while a transaction has a file open.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ContentLedger, type Verification } from './content.ts';
import { type Counts, zeroCounts } from './counts.ts';
import type { BenchFile, BenchFiles } from './files.ts';
import type { JournalWriter } from './journal.ts';
import type { PostmarkOptions } from './options.ts';
import { Pool } from './pool.ts';
import type { Progress } from './progress.ts';
import { Random } from './random.ts';
import { Source } from './source.ts';

export interface WorkloadHooks {
  /** Runs one unit of work (a transaction, a creation or a deletion); settles when it has ended. */
  runTransaction?(work: () => Promise<void>): Promise<void>;
  /** Called after each transaction, outside it, with its index from 0. */
  betweenTransactions?(index: number): void | Promise<void>;
  /** Called inside a transaction that reads or appends, when the file has been opened and not yet been used. */
  whileOpen?(file: BenchFile, path: string): void | Promise<void>;
}

export interface WorkloadSpec {
  readonly options: PostmarkOptions;
  readonly seed: number;
  /** Exists, and is this instance's alone. */
  readonly directory: string;
  readonly files: BenchFiles;
  /** Leave out T2 and T3. */
  readonly keep: boolean;
  /** Compare every byte read, and before T2 every file on disk. */
  readonly verify: boolean;
  readonly hooks?: WorkloadHooks | undefined;
  readonly journal?: JournalWriter | undefined;
  readonly progress?: Progress | undefined;
  /** Units of work per turn of the event loop; 1 unless nobody else needs a turn. */
  readonly unitsPerTurn?: number | undefined;
}

export interface WorkloadResult {
  counts: Counts;
  /** Transactions completed: fewer than asked for if all files had been deleted. */
  transactions: number;
  transactionSeconds: number;
  verification: Verification | null;
}

const UNITS_PER_TURN = 1;
const BIAS_RANGE = 10;
const MICROSECONDS_PER_SECOND = 1e6;

export class Workload {
  readonly #spec: WorkloadSpec;
  readonly #files: BenchFiles;
  readonly #counts: Counts = zeroCounts();
  readonly #random: Random;
  readonly #source: Source;
  readonly #pool: Pool;
  readonly #ledger: ContentLedger | undefined;
  readonly #block: Uint8Array;
  readonly #unitsPerTurn: number;
  #unitsThisTurn = 0;

  constructor(spec: WorkloadSpec) {
    const { number, sizeHighBytes, readBlockBytes, writeBlockBytes } = spec.options;
    this.#spec = spec;
    this.#files = spec.files;
    this.#random = new Random(spec.seed);
    this.#source = new Source(this.#random, sizeHighBytes, writeBlockBytes);
    this.#pool = new Pool(number);
    this.#ledger = spec.verify ? new ContentLedger(this.#source.bytes, this.#pool.slots) : undefined;
    this.#block = new Uint8Array(Math.min(readBlockBytes, sizeHighBytes));
    this.#unitsPerTurn = spec.unitsPerTurn ?? UNITS_PER_TURN;
  }

  async run(): Promise<WorkloadResult> {
    const { number } = this.#spec.options;
    for (const directory of this.#subdirectories()) this.#files.mkdir(directory);
    for (let i = 0; i < number; i++) await this.#unit(() => this.#create());

    const begun = microseconds();
    const transactions = await this.#transactions();
    const transactionSeconds = (microseconds() - begun) / MICROSECONDS_PER_SECOND;
    this.#counts.createdMixed = this.#counts.created - number;

    const { journal, keep } = this.#spec;
    if (journal) await this.#unit(() => journal.close());
    await this.#verifyDisk();
    if (!keep) await this.#deleteAll();
    const verification = this.#ledger?.verification ?? null;
    return { counts: this.#counts, transactions, transactionSeconds, verification };
  }

  async #transactions(): Promise<number> {
    const { options, hooks, progress } = this.#spec;
    for (let index = 0; index < options.transactions; index++) {
      if (this.#counts.created === this.#counts.deletedMixed) return index;
      await this.#unit(() => this.#transaction());
      progress?.transactionDone();
      await hooks?.betweenTransactions?.(index);
    }
    return options.transactions;
  }

  async #transaction(): Promise<void> {
    const { biasRead, biasCreate } = this.#spec.options;
    if (biasRead !== -1) {
      if (this.#random.below(BIAS_RANGE) < biasRead) await this.#read(this.#pool.findUsed(this.#random));
      else await this.#append(this.#pool.findUsed(this.#random));
    }
    if (biasCreate !== -1) {
      if (this.#random.below(BIAS_RANGE) < biasCreate) await this.#create();
      else {
        await this.#delete(this.#pool.findUsed(this.#random));
        this.#counts.deletedMixed++;
      }
    }
    await this.#spec.journal?.append();
  }

  /** Creates a file; does nothing at all when the table is full. */
  async #create(): Promise<void> {
    const { sizeLowBytes, sizeHighBytes, subdirectories } = this.#spec.options;
    const slot = this.#pool.reserve();
    if (slot < 0) return;
    const folder = subdirectories > 1 ? `s${this.#random.below(subdirectories)}/` : '';
    const name = `${folder}${++this.#counts.created}`;
    const sizeBytes = sizeLowBytes + this.#random.below(sizeHighBytes - sizeLowBytes);
    const opened = this.#files.create(this.#path(name));
    const file = opened instanceof Promise ? await opened : opened;
    await this.#using(file, () => this.#write(file, sizeBytes));
    this.#pool.occupy(slot, name, sizeBytes);
    this.#ledger?.wrote(slot, sizeBytes);
  }

  /** Reads a file whole, block by block. */
  async #read(slot: number): Promise<void> {
    const name = this.#pool.name(slot);
    const sizeBytes = this.#pool.size(slot);
    const file = await this.#open(name, false);
    await this.#using(file, async () => {
      for (let position = 0; position < sizeBytes; position += this.#block.length) {
        const remaining = sizeBytes - position;
        const into = remaining < this.#block.length ? this.#block.subarray(0, remaining) : this.#block;
        const answer = file.read(into, position);
        const bytes = typeof answer === 'number' ? answer : await answer;
        this.#counts.bytesRead += bytes;
        this.#ledger?.checkPiece(slot, name, position, into.subarray(0, bytes), into.length);
      }
    });
    this.#counts.read++;
  }

  /** Appends to a file that is not of full size yet; leaves one that is alone, and counts nothing then. */
  async #append(slot: number): Promise<void> {
    const room = this.#spec.options.sizeHighBytes - this.#pool.size(slot);
    if (room <= 0) return;
    const bytes = this.#random.below(room) + 1;
    const file = await this.#open(this.#pool.name(slot), true);
    await this.#using(file, () => this.#write(file, bytes));
    this.#pool.grow(slot, bytes);
    this.#ledger?.wrote(slot, bytes);
    this.#counts.appended++;
  }

  async #delete(slot: number): Promise<void> {
    const done = this.#files.unlink(this.#path(this.#pool.name(slot)));
    if (done instanceof Promise) await done;
    this.#pool.vacate(slot);
    this.#ledger?.deleted(slot);
  }

  async #deleteAll(): Promise<void> {
    for (const slot of this.#pool.used()) {
      await this.#unit(() => this.#delete(slot));
      this.#counts.deletedAlone++;
    }
    for (const directory of this.#subdirectories()) this.#files.rmdir(directory);
  }

  async #verifyDisk(): Promise<void> {
    const ledger = this.#ledger;
    if (ledger === undefined) return;
    const { directory } = this.#spec;
    for (const slot of this.#pool.used()) {
      ledger.checkFile(slot, this.#pool.name(slot), directory);
      await this.#turn();
    }
    ledger.checkNothingElse(this.#pool, directory);
  }

  async #open(name: string, forAppend: boolean): Promise<BenchFile> {
    const path = this.#path(name);
    const opened = this.#files.open(path, forAppend);
    const file = opened instanceof Promise ? await opened : opened;
    const whileOpen = this.#spec.hooks?.whileOpen;
    if (whileOpen) await this.#closeOnError(file, async () => whileOpen(file, path));
    return file;
  }

  /** Writes the first `bytes` source bytes, block by block. */
  async #write(file: BenchFile, bytes: number): Promise<void> {
    let done = 0;
    while (done < bytes) {
      const piece = this.#source.piece(done, bytes);
      const answer = file.append(piece);
      const written = typeof answer === 'number' ? answer : await answer;
      if (written !== piece.length) throw new Error(`${written} of ${piece.length} bytes appended`);
      this.#counts.bytesWritten += written;
      done += written;
    }
  }

  /** Does `work` with an open file, and closes it. */
  async #using(file: BenchFile, work: () => Promise<void>): Promise<void> {
    await this.#closeOnError(file, work);
    const closed = file.close();
    if (closed instanceof Promise) await closed;
  }

  async #closeOnError(file: BenchFile, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // The first failure is the one to report; closing after it often fails for the same reason (a full disk).
      await (async () => file.close())().catch(() => {});
      throw error;
    }
  }

  async #unit(work: () => Promise<void>): Promise<void> {
    const { hooks, progress } = this.#spec;
    if (hooks?.runTransaction) await hooks.runTransaction(work);
    else await work();
    progress?.unitDone();
    await this.#turn();
  }

  async #turn(): Promise<void> {
    if (++this.#unitsThisTurn < this.#unitsPerTurn) return;
    this.#unitsThisTurn = 0;
    await nextTurn();
  }

  *#subdirectories(): Generator<string> {
    const { subdirectories } = this.#spec.options;
    if (subdirectories <= 1) return;
    for (let i = 0; i < subdirectories; i++) yield this.#path(`s${i}`);
  }

  #path(name: string): string {
    return `${this.#spec.directory}/${name}`;
  }
}

/** A clock with microseconds, as K42 patched into its PostMark; the original's ticks once a second. */
function microseconds(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
