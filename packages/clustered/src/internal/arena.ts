/**
 * Arenas: object memory, allocated by each processor from its own part and freed by anybody.
 *
 * A chunk of machine memory belongs to one processor number and is cut into blocks of one size. Allocating takes a block
 * from one of the owner's chunks and touches nothing shared but a count. Freeing on the owner puts it back; elsewhere the
 * block is pushed on a stack of the owner's arena, which the owner empties when it allocates next. A chunk without a block
 * in use goes back to machine memory, unless it is the last of its size that has room. Large blocks come from machine memory
 * directly.
 *
 * ## What outlives the owner
 * Which blocks are in use is noted in machine memory, a bit each in the chunk's header, written by the owner alone. The
 * free lists in its heap are made from that: whoever has the number next finds the chunks, and every block without a bit is
 * free. A block that was being allocated when its processor died stays in use for ever: at most one per death.
 *
 * Why not a library: what is published for shared buffers has one list for all threads, and knows no owners.
 */
import type { Processor } from '@k42/rcu';
import {
  ARENA_MAP_NAME,
  CHUNK,
  CHUNK_BYTES,
  CHUNK_HEADER_BYTES,
  LINE_BYTES,
  REGION,
  REGIONS_BYTES,
  REGIONS_NAME,
  regionAt,
  UNIT_BYTES,
} from './layout.ts';

/** Larger blocks are machine memory's business. */
const BLOCK_BYTES_MAX = 16_384;
const CHUNK_LINES = CHUNK_BYTES / LINE_BYTES;

/** A chunk of this arena, as its owner knows it. */
interface Chunk {
  readonly start: number;
  readonly size: Size;
  /** Blocks in use. */
  used: number;
  /** Offsets of blocks that were used before and are free now. */
  readonly free: number[];
  /** Where blocks begin that have never been used. */
  fresh: number;
  /** Its neighbours in the chain that machine memory knows. */
  previous: Chunk | undefined;
  next: Chunk | undefined;
}

/** The chunks of one block size that have room. */
interface Size {
  readonly blockBytes: number;
  readonly roomy: Chunk[];
}

export class Arena {
  readonly #memory: Processor['memory'];
  readonly #number: number;
  readonly #map: number;
  readonly #regions: number;
  /** First word of this processor's lines among the regions. */
  readonly #region: number;
  readonly #chunks = new Map<number, Chunk>();
  readonly #sizes: Size[] = [];
  #first: Chunk | undefined;

  constructor({ memory, number }: Pick<Processor, 'memory' | 'number'>) {
    this.#memory = memory;
    this.#number = number;
    this.#map = memory.block(ARENA_MAP_NAME, Math.ceil(memory.buffer.byteLength / CHUNK_BYTES) * 4) / 4;
    this.#regions = memory.block(REGIONS_NAME, REGIONS_BYTES) / 4;
    this.#region = regionAt(this.#regions, number);
    this.#adopt();
  }

  /** At least `bytes` zeroed bytes on cache lines of their own. @throws OutOfMachineMemoryError */
  allocate(bytes: number): number {
    const blockBytes = blockSize(bytes);
    if (blockBytes > BLOCK_BYTES_MAX) return this.#allocateLarge(blockBytes);
    const { i32, u8 } = this.#memory;
    // Pairs with the compare-and-swap in #return(); a plain look is enough to notice, sooner or later.
    if (i32[this.#region + REGION.ARENA_RETURNED] !== 0) this.#takeReturned();
    const size = this.#size(blockBytes);
    const chunk = size.roomy.at(-1) ?? this.#addChunk(size);
    let offset = chunk.free.pop();
    if (offset === undefined) {
      // Never used since the chunk was zeroed.
      offset = chunk.fresh;
      chunk.fresh += blockBytes;
    } else {
      u8.fill(0, offset, offset + blockBytes);
    }
    chunk.used++;
    if (!hasRoom(chunk)) size.roomy.pop();
    this.#mark(chunk, offset, true);
    // Others subtract what they free.
    Atomics.add(i32, this.#region + REGION.ARENA_LINES, blockBytes / LINE_BYTES);
    return offset;
  }

  #allocateLarge(blockBytes: number): number {
    const offset = this.#memory.allocate(blockBytes);
    this.#countLarge(blockBytes / LINE_BYTES);
    return offset;
  }

  /** Whoever frees one counts it in its own lines. */
  #countLarge(lines: number): void {
    Atomics.add(this.#memory.i32, this.#region + REGION.ARENA_LINES, lines);
    Atomics.add(this.#memory.i32, this.#region + REGION.RESERVED_LINES, lines);
  }

  /** Whether `free` would know what to do, as far as it can be seen from here. */
  couldFree(offset: number, bytes: number): boolean {
    if (
      !Number.isInteger(offset) ||
      offset <= 0 ||
      offset % LINE_BYTES !== 0 ||
      offset >= this.#memory.u8.length
    )
      return false;
    if (!Number.isInteger(bytes) || bytes <= 0) return false;
    const start = this.#chunkOf(offset);
    const blockBytes = blockSize(bytes);
    if (blockBytes > BLOCK_BYTES_MAX) return start === 0;
    return start !== 0 && this.#memory.i32[start / 4 + CHUNK.BLOCK_BYTES] === blockBytes;
  }

  /** Frees a block of any processor's arena; `bytes` as it was asked for. Nobody may reach the block any more. */
  free(offset: number, bytes: number): void {
    const blockBytes = blockSize(bytes);
    if (blockBytes > BLOCK_BYTES_MAX) {
      this.#memory.free(offset, blockBytes);
      this.#countLarge(-blockBytes / LINE_BYTES);
      return;
    }
    const { i32 } = this.#memory;
    const start = this.#chunkOf(offset);
    const owner = i32[start / 4 + CHUNK.OWNER] as number;
    if (start === 0 || i32[start / 4 + CHUNK.BLOCK_BYTES] !== blockBytes)
      throw new Error(`@k42/clustered invariant: no arena has a block of ${bytes} bytes at ${offset}`);
    const region = regionAt(this.#regions, owner);
    Atomics.sub(i32, region + REGION.ARENA_LINES, blockBytes / LINE_BYTES);
    if (owner === this.#number) this.#reuse(offset);
    else this.#return(region + REGION.ARENA_RETURNED, offset);
  }

  /** Pushes a block on its owner's stack. The owner takes the stack whole: no block can come back in between. */
  #return(head: number, offset: number): void {
    const { i32 } = this.#memory;
    for (;;) {
      const first = Atomics.load(i32, head);
      i32[offset / 4] = first;
      // Publishes the link: pairs with the exchange in #takeReturned().
      if (Atomics.compareExchange(i32, head, first, offset / UNIT_BYTES) === first) return;
    }
  }

  /** What has been taken off the stack stands in TAKING until it is in the lists: whoever has the number next looks there. */
  #takeReturned(): void {
    const { i32 } = this.#memory;
    const taking = this.#region + REGION.ARENA_TAKING;
    let unit = this.#takeStack(taking);
    while (unit !== 0) {
      const offset = unit * UNIT_BYTES;
      unit = i32[offset / 4] as number;
      // Before it is put back, as its chunk may go then: whoever dies in between loses this one block.
      Atomics.store(i32, taking, unit);
      this.#reuse(offset);
    }
  }

  /** Empties the stack; gives its first unit. */
  #takeStack(taking: number): number {
    const { i32 } = this.#memory;
    const head = this.#region + REGION.ARENA_RETURNED;
    for (;;) {
      const first = Atomics.load(i32, head);
      Atomics.store(i32, taking, first);
      // Pairs with #return(): the links of what is taken are there.
      if (Atomics.compareExchange(i32, head, first, 0) === first) return first;
    }
  }

  /** Takes a block of this arena back. */
  #reuse(offset: number): void {
    const chunk = this.#chunks.get(this.#chunkOf(offset)) as Chunk;
    const { size } = chunk;
    const hadRoom = hasRoom(chunk);
    this.#mark(chunk, offset, false);
    chunk.used--;
    chunk.free.push(offset);
    if (!hadRoom) size.roomy.push(chunk);
    else if (chunk.used === 0 && size.roomy.length > 1) this.#removeChunk(chunk);
  }

  #mark(chunk: Chunk, offset: number, used: boolean): void {
    if (!this.#setBit(chunk.start, offset, used))
      throw new Error(`@k42/clustered invariant: block ${offset} was ${used ? 'in use' : 'free'} already`);
  }

  /** Notes in its chunk whether a block is in use; whether that is new. Plain: only the owner writes these bits. */
  #setBit(start: number, offset: number, used: boolean): boolean {
    const { i32 } = this.#memory;
    const index = (offset - start - CHUNK_HEADER_BYTES) / (i32[start / 4 + CHUNK.BLOCK_BYTES] as number);
    const at = start / 4 + CHUNK.BITS + (index >>> 5);
    const bits = i32[at] as number;
    const bit = 1 << (index & 31);
    i32[at] = used ? bits | bit : bits & ~bit;
    return i32[at] !== bits;
  }

  #size(blockBytes: number): Size {
    // Sizes are few; by lines while small, and by powers of two beyond.
    const index = blockBytes <= 1024 ? blockBytes / LINE_BYTES : 16 + Math.log2(blockBytes / 1024);
    this.#sizes[index] ??= { blockBytes, roomy: [] };
    return this.#sizes[index];
  }

  #addChunk(size: Size): Chunk {
    const { i32 } = this.#memory;
    const start = this.#memory.allocate(CHUNK_BYTES);
    const next = this.#first;
    const fresh = start + CHUNK_HEADER_BYTES;
    const chunk: Chunk = { start, size, used: 0, free: [], fresh, previous: undefined, next };
    i32[start / 4 + CHUNK.OWNER] = this.#number;
    i32[start / 4 + CHUNK.BLOCK_BYTES] = size.blockBytes;
    i32[start / 4 + CHUNK.NEXT] = next === undefined ? 0 : next.start / UNIT_BYTES;
    // Read by whoever frees a block of the chunk, after it has got the block by something that was published later.
    i32[this.#map + Math.floor(start / CHUNK_BYTES)] = start / UNIT_BYTES;
    // The chunk is whole before the chain leads to it: pairs with #adopt() of a successor.
    Atomics.store(i32, this.#region + REGION.ARENA_CHUNKS, start / UNIT_BYTES);
    Atomics.add(i32, this.#region + REGION.RESERVED_LINES, CHUNK_LINES);
    if (next !== undefined) next.previous = chunk;
    this.#first = chunk;
    this.#chunks.set(start, chunk);
    size.roomy.push(chunk);
    return chunk;
  }

  #removeChunk(chunk: Chunk): void {
    const { i32 } = this.#memory;
    const { start, size, previous, next } = chunk;
    const nextUnit = next === undefined ? 0 : next.start / UNIT_BYTES;
    // Out of the chain first: a successor must not find a chunk that is somebody else's memory by then.
    if (previous === undefined) Atomics.store(i32, this.#region + REGION.ARENA_CHUNKS, nextUnit);
    else Atomics.store(i32, previous.start / 4 + CHUNK.NEXT, nextUnit);
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    this.#chunks.delete(start);
    size.roomy.splice(size.roomy.indexOf(chunk), 1);
    i32[this.#map + Math.floor(start / CHUNK_BYTES)] = 0;
    Atomics.sub(i32, this.#region + REGION.RESERVED_LINES, CHUNK_LINES);
    this.#memory.free(start, CHUNK_BYTES);
  }

  /** Where the chunk begins that a block is in: in the same granule or the one before, as both are of one size; 0 for none. */
  #chunkOf(offset: number): number {
    const { i32 } = this.#memory;
    const granule = Math.floor(offset / CHUNK_BYTES);
    const here = (i32[this.#map + granule] as number) * UNIT_BYTES;
    if (here !== 0 && here <= offset) return here;
    if (granule === 0) return 0;
    const before = (i32[this.#map + granule - 1] as number) * UNIT_BYTES;
    return before !== 0 && offset - before < CHUNK_BYTES ? before : 0;
  }

  /** Takes over the chunks of an earlier processor of this number. */
  #adopt(): void {
    const { i32 } = this.#memory;
    this.#adoptReturned();
    let last: Chunk | undefined;
    let unit = Atomics.load(i32, this.#region + REGION.ARENA_CHUNKS);
    while (unit !== 0) {
      const start = unit * UNIT_BYTES;
      const size = this.#size(i32[start / 4 + CHUNK.BLOCK_BYTES] as number);
      const chunk: Chunk = {
        start,
        size,
        used: 0,
        free: [],
        fresh: start + CHUNK_BYTES,
        previous: last,
        next: undefined,
      };
      const blocks = blocksPerChunk(size.blockBytes);
      for (let index = 0; index < blocks; index++) {
        const bits = i32[start / 4 + CHUNK.BITS + (index >>> 5)] as number;
        if ((bits & (1 << (index & 31))) !== 0) chunk.used++;
        else chunk.free.push(start + CHUNK_HEADER_BYTES + index * size.blockBytes);
      }
      if (last === undefined) this.#first = chunk;
      else last.next = chunk;
      this.#chunks.set(start, chunk);
      if (hasRoom(chunk)) size.roomy.push(chunk);
      last = chunk;
      unit = i32[start / 4 + CHUNK.NEXT] as number;
    }
    for (const chunk of [...this.#chunks.values()])
      if (chunk.used === 0 && chunk.size.roomy.length > 1) this.#removeChunk(chunk);
  }

  /** What others had given back, also what the earlier one was just putting into its lists: a block may be in both. */
  #adoptReturned(): void {
    const { i32 } = this.#memory;
    const taking = this.#region + REGION.ARENA_TAKING;
    for (const first of [Atomics.load(i32, taking), this.#takeStack(taking)]) {
      for (let unit = first; unit !== 0; unit = i32[(unit * UNIT_BYTES) / 4] as number) {
        const start = this.#chunkOf(unit * UNIT_BYTES);
        if (start === 0)
          throw new Error(`@k42/clustered invariant: a block at ${unit * UNIT_BYTES} without a chunk`);
        this.#setBit(start, unit * UNIT_BYTES, false);
      }
    }
    Atomics.store(i32, taking, 0);
  }
}

/** Bytes a block really has. Its offset is on a cache line. */
function blockSize(bytes: number): number {
  const lines = Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
  return lines <= 1024 ? lines : 2 ** Math.ceil(Math.log2(bytes));
}

function blocksPerChunk(blockBytes: number): number {
  return Math.floor((CHUNK_BYTES - CHUNK_HEADER_BYTES) / blockBytes);
}

function hasRoom(chunk: Chunk): boolean {
  return chunk.free.length !== 0 || chunk.fresh + chunk.size.blockBytes <= chunk.start + CHUNK_BYTES;
}
