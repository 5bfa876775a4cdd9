/**
 * The registry of open files: one file cache manager per device and inode, whichever processor or path opened it.
 *
 * A hash table of chains in machine memory; the links are in the directories themselves, so an entry costs no memory of
 * its own. Everything is under one mutex, held for some hundred nanoseconds (microseconds when an object is created).
 *
 * ## A size must not be older than the entry
 * An opener learns the file's size by `fstat` before it looks the file up. If it finds no entry, somebody else may have
 * opened, changed, written back and closed the file in between, and the size would be wrong. So last closes are counted;
 * if the count has moved since before the `fstat`, it is done again, with the mutex held.
 */
import {
  type Coid,
  create,
  type Implementation,
  reviveCoid,
  type StoredCoid,
  storeCoid,
} from '@k42/clustered';
import { currentProcessor, Mutex, type Processor } from '@k42/rcu';
import type { FileCacheManager } from '../fileCacheManager.ts';
import type { FileStat } from './backingStore.ts';
import { Directory } from './directory.ts';
import { framePool } from './framePool.ts';
import {
  CHAINS_LOG2,
  DIRECTORY,
  REGISTRY,
  REGISTRY_BYTES,
  REGISTRY_CHAINS,
  REGISTRY_NAME,
  UNIT_BYTES,
  WORD_BYTES,
} from './layout.ts';

/** An open file, as one opener holds it. */
export interface Entry {
  readonly coid: Coid<FileCacheManager>;
  /** Offset of its directory. */
  readonly directory: number;
  /** Whether the opener's descriptor now belongs to the directory; if not, the opener closes it. */
  readonly fdTaken: boolean;
}

type FcmImplementation = Implementation<FileCacheManager, number | undefined>;

export class Registry {
  readonly #processor: Processor;
  readonly #words: Int32Array;
  readonly #longs: BigInt64Array;
  readonly #doubles: Float64Array;
  readonly #at: number;
  readonly #mutex: Mutex;

  constructor(processor: Processor) {
    const { memory, owner } = processor;
    this.#processor = processor;
    this.#words = memory.i32;
    this.#longs = memory.i64;
    this.#doubles = memory.f64;
    this.#at = memory.block(REGISTRY_NAME, REGISTRY_BYTES) / WORD_BYTES;
    this.#mutex = new Mutex(memory.i32, this.#at + REGISTRY.MUTEX, owner, {
      name: 'the mutex of the file registry',
    });
  }

  /** Files open on any processor. */
  get openFiles(): number {
    return Atomics.load(this.#words, this.#at + REGISTRY.OPEN_FILES);
  }

  /**
   * The file's manager, with one reference more; made with `implementation` if there is none.
   * @param examine looks at the opened file: may be called twice. @throws what it throws, and what `create` throws
   */
  acquire(
    fd: number,
    writable: boolean,
    implementation: FcmImplementation,
    examine: (fd: number) => FileStat,
  ): Entry {
    // Before the look at the file: pairs with the addition in #unlink().
    const closes = Atomics.load(this.#words, this.#at + REGISTRY.LAST_CLOSES);
    const stat = examine(fd);
    return this.#mutex.withLock(() => {
      const chain = this.#chain(stat);
      const known = this.#find(chain, stat);
      if (known !== 0) return this.#join(known, fd, writable);
      const stale = this.#words[this.#at + REGISTRY.LAST_CLOSES] !== closes;
      return this.#open(chain, stale ? examine(fd) : stat, fd, writable, implementation);
    });
  }

  /** Lets go of a file; whether that was the last reference. Nobody finds the manager any more then. */
  release(directory: number): boolean {
    const at = directory / WORD_BYTES;
    return this.#mutex.withLock(() => {
      const references = (this.#words[at + DIRECTORY.REFERENCES] as number) - 1;
      this.#words[at + DIRECTORY.REFERENCES] = references;
      if (references > 0) return false;
      this.#unlink(at);
      return true;
    });
  }

  /** Word that begins the chain of a file. */
  #chain({ device, inode }: { readonly device: bigint; readonly inode: bigint }): number {
    const mixed = Math.imul(Number(BigInt.asIntN(32, inode ^ (inode >> 32n) ^ (device << 7n))), 0x9e3779b1);
    return this.#at + REGISTRY_CHAINS + (mixed >>> (32 - CHAINS_LOG2));
  }

  /** Word index of the directory of a file; 0 if there is none. */
  #find(chain: number, { device, inode }: FileStat): number {
    for (let unit = this.#words[chain] as number; unit !== 0; ) {
      const at = (unit * UNIT_BYTES) / WORD_BYTES;
      const same =
        this.#longs[(at + DIRECTORY.INODE) / 2] === inode &&
        this.#longs[(at + DIRECTORY.DEVICE) / 2] === device;
      if (same) return at;
      unit = this.#words[at + DIRECTORY.NEXT] as number;
    }
    return 0;
  }

  #join(at: number, fd: number, writable: boolean): Entry {
    const directory = at * WORD_BYTES;
    const stored = this.#doubles[(at + DIRECTORY.COID) / 2] as StoredCoid<FileCacheManager>;
    // The first opener may have been a reader: then this descriptor is the first that can write.
    const view = new Directory(this.#processor, directory, { contended: 0 });
    const fdTaken = writable && view.offerWriteFd(fd);
    this.#words[at + DIRECTORY.REFERENCES] = (this.#words[at + DIRECTORY.REFERENCES] as number) + 1;
    return { coid: reviveCoid(stored), directory, fdTaken };
  }

  #open(
    chain: number,
    { device, inode, sizeBytes }: FileStat,
    fd: number,
    writable: boolean,
    implementation: FcmImplementation,
  ): Entry {
    const pool = framePool();
    const directory = Directory.create(this.#processor, { fd, writable, sizeBytes, tag: pool.nextTag() });
    let coid: Coid<FileCacheManager>;
    try {
      coid = create(implementation, directory);
    } catch (error) {
      Directory.discard(this.#processor, directory);
      throw error;
    }
    const at = directory / WORD_BYTES;
    this.#longs[(at + DIRECTORY.DEVICE) / 2] = device;
    this.#longs[(at + DIRECTORY.INODE) / 2] = inode;
    this.#doubles[(at + DIRECTORY.COID) / 2] = storeCoid(coid);
    this.#words[at + DIRECTORY.REFERENCES] = 1;
    this.#words[at + DIRECTORY.NEXT] = this.#words[chain] as number;
    this.#words[chain] = directory / UNIT_BYTES;
    Atomics.add(this.#words, this.#at + REGISTRY.OPEN_FILES, 1);
    return { coid, directory, fdTaken: true };
  }

  #unlink(at: number): void {
    const unit = (at * WORD_BYTES) / UNIT_BYTES;
    let link = this.#chain({
      device: this.#longs[(at + DIRECTORY.DEVICE) / 2] as bigint,
      inode: this.#longs[(at + DIRECTORY.INODE) / 2] as bigint,
    });
    while (this.#words[link] !== unit) {
      if (this.#words[link] === 0) throw new Error('@k42/fcm invariant: an open file is not in its chain');
      link = ((this.#words[link] as number) * UNIT_BYTES) / WORD_BYTES + DIRECTORY.NEXT;
    }
    this.#words[link] = this.#words[at + DIRECTORY.NEXT] as number;
    // Pairs with the load in acquire(): whoever looked at the file before this looks again.
    Atomics.add(this.#words, this.#at + REGISTRY.LAST_CLOSES, 1);
    Atomics.sub(this.#words, this.#at + REGISTRY.OPEN_FILES, 1);
  }
}

let current: { readonly processor: Processor; readonly registry: Registry } | undefined;

/** The registry as the current processor sees it. @throws NotAttachedError */
export function registry(): Registry {
  const processor = currentProcessor();
  if (current?.processor !== processor) current = { processor, registry: new Registry(processor) };
  return current.registry;
}
