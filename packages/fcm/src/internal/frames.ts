/**
 * Frames: pages of memory, each with a sequence lock.
 *
 * VERSION is even while a frame is at rest and odd while somebody changes it. A *reader* without any lock
 *
 *     reads VERSION (even), checks OWNER and PAGE, copies, reads VERSION again: unchanged, so the copy is whole
 *
 * A *writer* takes the frame by compare-and-swap from even to odd, checks OWNER and PAGE, changes what it has to, and
 * stores the next even number, or the old one if it has changed nothing. So a frame may be given to another file at any
 * time: whoever comes with a stale idea of it finds another OWNER, another PAGE or another VERSION, and looks again.
 *
 * ## The second look
 * Between the two reads of VERSION lie plain reads, which a processor may reorder with atomic ones. x64 does not reorder
 * loads, so the second look is a load, and a hit writes nothing shared. Elsewhere it is a read-modify-write that adds
 * nothing: the next writer's compare-and-swap then reads what it has written, so the copy comes before that writer's
 * stores by the rules of the memory model. (JavaScript has no fence to do it with.)
 */
import type { MachineMemory } from '@k42/rcu';
import { FcmDeadlineError } from '../errors.ts';
import { FRAME, FRAME_WORDS, NO_OWNER, PAGE_BYTES, POOL_FRAME_HEADERS, WORD_BYTES } from './layout.ts';

/** A frame is held for a copy of one page, some 100 ns; after so many looks its holder is not running. */
const SPINS = 200;
/** Nobody notifies: a frame is too short a thing to wait for in the usual case. */
const SLEEP_MS = 1;
const DEADLINE_MS = 10_000;

/** Filling shared memory byte by byte costs six times as much as copying a page of zeros (measured, V8 14). */
const ZEROS: Uint8Array = new Uint8Array(PAGE_BYTES);

const pause: () => void =
  'pause' in Atomics ? (Atomics as { pause: () => void }).pause.bind(Atomics) : () => {};

const LOADS_ARE_ORDERED: boolean = process.arch === 'x64';

/** VERSION read again after a copy. See "The second look". */
export const secondLook: (words: Int32Array, at: number) => number = LOADS_ARE_ORDERED
  ? (words, at) => Atomics.load(words, at)
  : (words, at) => Atomics.add(words, at, 0);

/** The frames of a pool as one processor sees them. */
export class Frames {
  readonly words: Int32Array;
  /** All of machine memory. A Buffer, because its `copy` needs no `subarray`, which costs more than copying 512 bytes. */
  readonly bytes: Buffer;
  readonly #headers: number;
  readonly #data: number;

  constructor(memory: MachineMemory, poolOffset: number, frames: number) {
    this.words = memory.i32;
    this.bytes = Buffer.from(memory.buffer);
    this.#headers = poolOffset / WORD_BYTES + POOL_FRAME_HEADERS;
    const end = (this.#headers + frames * FRAME_WORDS) * WORD_BYTES;
    this.#data = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES;
  }

  /** Word index of a frame's header. */
  header(frame: number): number {
    return this.#headers + frame * FRAME_WORDS;
  }

  /** Byte offset of a frame's contents in machine memory. */
  start(frame: number): number {
    return this.#data + frame * PAGE_BYTES;
  }

  /** Takes a frame for changing it and gives its version. @throws FcmDeadlineError */
  lock(frame: number): number {
    const at = this.header(frame) + FRAME.VERSION;
    const version = Atomics.load(this.words, at);
    // Acquire: pairs with the store in unlock(). Readers that copy meanwhile find VERSION odd or changed.
    if ((version & 1) === 0 && Atomics.compareExchange(this.words, at, version, version + 1) === version)
      return version;
    return this.#lockSlowly(frame, at);
  }

  #lockSlowly(frame: number, at: number): number {
    const giveUpAt = performance.now() + DEADLINE_MS;
    for (let spin = 0; ; spin++) {
      const version = Atomics.load(this.words, at);
      if ((version & 1) === 0) {
        if (Atomics.compareExchange(this.words, at, version, version + 1) === version) return version;
      } else if (spin < SPINS) {
        pause();
      } else {
        if (performance.now() > giveUpAt) throw new FcmDeadlineError(`frame ${frame}`, DEADLINE_MS);
        Atomics.wait(this.words, at, version, SLEEP_MS);
      }
    }
  }

  /** Lets a frame go that has changed. */
  unlock(frame: number, version: number): void {
    // Release: pairs with the first read of VERSION by readers and the compare-and-swap of writers.
    Atomics.store(this.words, this.header(frame) + FRAME.VERSION, (version + 2) | 0);
  }

  /** Lets a frame go that has not changed: readers that saw this version before may go on. */
  unlockUnchanged(frame: number, version: number): void {
    Atomics.store(this.words, this.header(frame) + FRAME.VERSION, version);
  }

  /** Gives a frame that nobody owns, and whose contents are complete, to a page. */
  publish(frame: number, owner: number, page: number): void {
    const at = this.header(frame);
    const version = this.lock(frame);
    // Plain stores: the frame is locked, and the store in unlock() publishes them.
    this.words[at + FRAME.OWNER] = owner;
    this.words[at + FRAME.PAGE] = page | 0;
    this.words[at + FRAME.DIRTY] = 0;
    this.unlock(frame, version);
  }

  /** Takes a frame from its page; whether it was dirty. Whoever still looks for the page in it will not find it. */
  invalidate(frame: number): boolean {
    const at = this.header(frame);
    const version = this.lock(frame);
    const dirty = this.words[at + FRAME.DIRTY] === 1;
    this.words[at + FRAME.OWNER] = NO_OWNER;
    this.words[at + FRAME.DIRTY] = 0;
    this.unlock(frame, version);
    return dirty;
  }

  /** Clears bytes of a frame, which is locked or owned by nobody. */
  zero(frame: number, from: number, to: number): void {
    const start = this.start(frame);
    if (from === 0 && to === PAGE_BYTES) this.bytes.set(ZEROS, start);
    else if (from < to) this.bytes.set(ZEROS.subarray(from, to), start + from);
  }
}
