/**
 * The frame pool: where all file caches of a machine get their frames from.
 *
 * Free frames are in one list under a mutex, linked through the frames' headers. In front of it every processor keeps a
 * *magazine* of a few free frames in its own heap, filled and emptied in batches, so that opening and closing small
 * files seldom touches the list (Bonwick and Adams, "Magazines and Vmem", 2001). Frames that were never used are in no
 * list: a counter says where they begin.
 *
 * Because of the magazines a pool can be exhausted on one processor while others still keep a few frames: at most two
 * batches each, and a batch is small against the pool.
 */
import { currentProcessor, InvalidArgumentError, Mutex, type Processor } from '@k42/rcu';
import { FcmConfigurationError, PoolExhaustedError } from '../errors.ts';
import { Frames } from './frames.ts';
import {
  CACHE_LINE_WORDS,
  CONFIGURATION,
  CONFIGURATION_BYTES,
  CONFIGURATION_NAME,
  FRAME,
  MAGAZINE_COUNT,
  NO_OWNER,
  PAGE_BYTES,
  POOL,
  POOL_MAGAZINES,
  POOL_NAME,
  poolBytes,
  WORD_BYTES,
} from './layout.ts';

/** Of machine memory, unless configured. */
const DEFAULT_SHARE = 1 / 4;
const BATCH_MAX = 16;
/** All batches together stay below this share of the pool. */
const BATCHES_SHARE = 1 / 8;

export class FramePool {
  readonly frames: Frames;
  readonly total: number;
  readonly #processor: Processor;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #mutex: Mutex;
  readonly #batch: number;
  readonly #magazine: number[] = [];
  /** Word that tells the others how many frames are in the magazine. */
  readonly #magazineCount: number;
  readonly #lastTag: number;

  constructor(processor: Processor, total: number, configuration: number) {
    const { memory, number, processors } = processor;
    const offset = memory.block(POOL_NAME, poolBytes(total));
    this.total = total;
    this.frames = new Frames(memory, offset, total);
    this.#processor = processor;
    this.#words = memory.i32;
    this.#at = offset / WORD_BYTES;
    this.#mutex = new Mutex(memory.i32, this.#at + POOL.MUTEX, processor.owner, {
      name: 'the mutex of the frame pool',
    });
    this.#batch = Math.max(1, Math.min(BATCH_MAX, Math.floor((total * BATCHES_SHARE) / processors)));
    this.#lastTag = configuration + CONFIGURATION.LAST_TAG;
    this.#magazineCount = this.#at + POOL_MAGAZINES + number * CACHE_LINE_WORDS + MAGAZINE_COUNT;
  }

  /** Makes sure that the next `count` calls of `take` succeed. @throws PoolExhaustedError, and changes nothing */
  reserve(count: number): void {
    const missing = count - this.#magazine.length;
    if (missing > 0) this.#refill(count, missing);
  }

  /** A reserved frame: owned by nobody, of any contents. */
  take(): number {
    const frame = this.#magazine.pop();
    if (frame === undefined) throw new Error('@k42/fcm invariant: a frame was taken that was not reserved');
    this.#tellCount();
    return frame;
  }

  /** A frame. @throws PoolExhaustedError */
  allocate(): number {
    this.reserve(1);
    return this.take();
  }

  /** Gives a frame back that nobody owns any more. */
  release(frame: number): void {
    if (this.#magazine.length >= 2 * this.#batch) this.#spill();
    this.#magazine.push(frame);
    this.#tellCount();
  }

  /** A number for a new file, to mark its frames with. */
  nextTag(): number {
    // Atomic so that no two files get the same; it publishes nothing. NO_OWNER is skipped when the count wraps.
    const tag = (Atomics.add(this.#words, this.#lastTag, 1) + 1) | 0;
    return tag === NO_OWNER ? this.nextTag() : tag;
  }

  /** Frames that hold a page or are about to. Exact while nobody opens, closes or fills; else a moment's estimate. */
  used(): number {
    return this.#mutex.withLock(() => {
      let free = this.#word(POOL.FREE_COUNT) + this.total - this.#word(POOL.NEVER_USED);
      for (let number = 0; number < this.#processor.processors; number++) {
        free += this.#word(POOL_MAGAZINES + number * CACHE_LINE_WORDS + MAGAZINE_COUNT);
      }
      return this.total - free;
    });
  }

  #word(field: number): number {
    return this.#words[this.#at + field] as number;
  }

  #tellCount(): void {
    // Plain: a figure for diagnostics, on a line that only this processor writes.
    this.#words[this.#magazineCount] = this.#magazine.length;
  }

  #refill(needed: number, missing: number): void {
    const words = this.#words;
    this.#mutex.withLock(() => {
      // Plain accesses: the mutex orders them.
      const available = this.#word(POOL.FREE_COUNT) + this.total - this.#word(POOL.NEVER_USED);
      if (available < missing) throw new PoolExhaustedError(needed, this.total);
      for (let left = Math.min(available, Math.max(missing, this.#batch)); left > 0; left--) {
        const head = this.#word(POOL.FREE_HEAD);
        if (head === 0) {
          this.#magazine.push(this.#word(POOL.NEVER_USED));
          words[this.#at + POOL.NEVER_USED] = this.#word(POOL.NEVER_USED) + 1;
          continue;
        }
        this.#magazine.push(head - 1);
        words[this.#at + POOL.FREE_HEAD] = words[this.frames.header(head - 1) + FRAME.NEXT] as number;
        words[this.#at + POOL.FREE_COUNT] = this.#word(POOL.FREE_COUNT) - 1;
      }
      this.#tellCount();
    });
  }

  #spill(): void {
    const words = this.#words;
    this.#mutex.withLock(() => {
      for (let left = this.#batch; left > 0; left--) {
        const frame = this.#magazine.pop() as number;
        words[this.frames.header(frame) + FRAME.NEXT] = this.#word(POOL.FREE_HEAD);
        words[this.#at + POOL.FREE_HEAD] = frame + 1;
        words[this.#at + POOL.FREE_COUNT] = this.#word(POOL.FREE_COUNT) + 1;
      }
      this.#tellCount();
    });
  }
}

let current: { readonly processor: Processor; readonly pool: FramePool } | undefined;

/** The frame pool as the current processor sees it, made now if the machine has none. @throws NotAttachedError */
export function framePool(): FramePool {
  const processor = currentProcessor();
  if (current?.processor === processor) return current.pool;
  return openPool(processor, undefined);
}

/** Sets the size of the machine's pool, or checks that it is that. @throws FcmConfigurationError */
export function configurePool(bytes: number): void {
  if (!Number.isSafeInteger(bytes) || bytes < PAGE_BYTES)
    throw new InvalidArgumentError(`poolBytes must be an integer of at least ${PAGE_BYTES}, not ${bytes}.`);
  openPool(currentProcessor(), Math.floor(bytes / PAGE_BYTES));
}

function openPool(processor: Processor, asked: number | undefined): FramePool {
  const { memory } = processor;
  const configuration = memory.block(CONFIGURATION_NAME, CONFIGURATION_BYTES) / WORD_BYTES;
  const word = configuration + CONFIGURATION.FRAMES;
  const byDefault = Math.max(1, Math.floor((memory.buffer.byteLength * DEFAULT_SHARE) / PAGE_BYTES));
  const wanted = asked ?? byDefault;
  // The first to come decides, for all. It publishes nothing else: memory.block() orders what follows.
  const decided = Atomics.compareExchange(memory.i32, word, 0, wanted) || wanted;
  if (asked !== undefined && asked !== decided) throw new FcmConfigurationError(asked, decided);
  if (current?.processor === processor) return current.pool;
  try {
    current = { processor, pool: new FramePool(processor, decided, configuration) };
  } catch (error) {
    // No room for a pool of that size, on any processor: let another size be tried.
    Atomics.compareExchange(memory.i32, word, decided, 0);
    throw error;
  }
  return current.pool;
}
