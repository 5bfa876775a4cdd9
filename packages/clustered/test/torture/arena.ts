/**
 * The arena against a model: two arenas over one memory, with random allocations, frees on either side, and successors that take
 * over at any time.
 *
 * The model knows which blocks are out, of whom and how large. A block is whole cache lines that nobody else has, zeroed, and
 * nobody writes to it while it is out. What memory says (bytes in use, bits, chunks) is what the model says, and no chunk is added
 * while there is room in another.
 */
import { MachineMemory, type Processor } from '@k42/rcu';
import fc from 'fast-check';
import { Arena } from '../../src/internal/arena.ts';
import {
  CHUNK,
  CHUNK_BYTES,
  CHUNK_HEADER_BYTES,
  LINE_BYTES,
  REGION,
  REGIONS_BYTES,
  REGIONS_NAME,
  regionAt,
} from '../../src/internal/layout.ts';
import { arenaMemory, blocksInUse, type Counts, check, chunksOf } from './harness.ts';

const OWNERS = 2;
const RUNS = 60;
const MEMORY_BYTES = 1 << 24;
/** Larger blocks do not come from chunks. */
const CHUNKED_MAX = 16_384;

type Step =
  | { readonly do: 'allocate'; readonly owner: number; readonly bytes: number; readonly times: number }
  | { readonly do: 'free'; readonly owner: number; readonly which: number; readonly times: number }
  | { readonly do: 'succeed'; readonly owner: number };

const owner = fc.nat(OWNERS - 1);
// A few sizes often, so that chunks fill, and any size now and then.
const size = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(64, 1024, 4096, 16_384) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 40_000 }) },
);
const steps = fc.array<Step>(
  fc.oneof(
    fc.record({ do: fc.constant('allocate'), owner, bytes: size, times: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ do: fc.constant('free'), owner, which: fc.nat(), times: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ do: fc.constant('succeed'), owner }),
  ),
  { minLength: 20, maxLength: 60 },
);

export async function arena(seed: number): Promise<Counts> {
  let allocations = 0;
  fc.assert(
    fc.property(steps, (program) => {
      const model = new Model();
      for (const step of program) model.run(step);
      model.end();
      allocations += model.allocations;
    }),
    { seed, numRuns: RUNS },
  );
  return { runs: RUNS, allocations };
}

interface Block {
  readonly bytes: number;
  readonly owner: number;
}

/** What an arena asks of a processor. */
function part(memory: MachineMemory, number: number): Pick<Processor, 'memory' | 'number'> {
  return { memory, number };
}

class Model {
  allocations = 0;
  readonly #memory = new MachineMemory(
    MachineMemory.create(MEMORY_BYTES, { processors: OWNERS, prove: false, stallMs: 0 }),
    0,
    1,
  );
  readonly #arenas = [0, 1].map((number) => new Arena(part(this.#memory, number)));
  readonly #out = new Map<number, Block>();
  readonly #sizes = new Set<number>();

  run(step: Step): void {
    if (step.do === 'succeed') this.#arenas[step.owner] = new Arena(part(this.#memory, step.owner));
    else if (step.do === 'allocate')
      for (let time = 0; time < step.times; time++) this.#allocate(step.owner, step.bytes);
    else
      for (let time = 0; time < step.times && this.#out.size !== 0; time++)
        this.#free(step.owner, (step.which + time * 7) % this.#out.size);
    this.#compare();
  }

  #allocate(number: number, bytes: number): void {
    const { u8 } = this.#memory;
    const had = this.#chunks(number, bytes).length;
    const hasRoom = had * blocksPerChunk(bytes) > this.#outOf(number, bytes);
    const offset = (this.#arenas[number] as Arena).allocate(bytes);
    this.allocations++;
    if (bytes <= CHUNKED_MAX) this.#sizes.add(blockBytes(bytes));
    check(offset % LINE_BYTES === 0, `A block begins at ${offset}, not on a cache line.`);
    for (const [other, block] of this.#out)
      check(
        offset + bytes <= other || other + block.bytes <= offset,
        `Blocks overlap: ${bytes} bytes at ${offset}, ${block.bytes} at ${other}.`,
      );
    for (let at = offset; at < offset + bytes; at++) check(u8[at] === 0, `A block is not zeroed at ${at}.`);
    if (hasRoom && bytes <= CHUNKED_MAX)
      check(this.#chunks(number, bytes).length <= had, 'A chunk was added though another had room.');
    u8.fill(0xa5, offset, offset + bytes);
    this.#out.set(offset, { bytes, owner: number });
  }

  #free(number: number, index: number): void {
    const [offset, { bytes }] = [...this.#out][index] as [number, Block];
    const { u8 } = this.#memory;
    for (let at = offset; at < offset + bytes; at++)
      check(u8[at] === 0xa5, `Somebody wrote to a block that was out, at ${at}.`);
    this.#out.delete(offset);
    (this.#arenas[number] as Arena).free(offset, bytes);
  }

  /** Memory says what the model says. */
  #compare(): void {
    const { i32 } = this.#memory;
    const chunked = [...this.#out.values()].filter(({ bytes }) => bytes <= CHUNKED_MAX);
    let lines = 0;
    for (const number of [0, 1]) {
      lines += i32[this.#region(number) + REGION.ARENA_LINES] as number;
    }
    const expected = [...this.#out.values()].reduce(
      (sum, { bytes }) => sum + blockBytes(bytes) / LINE_BYTES,
      0,
    );
    check(lines === expected, `${lines} lines are counted as in use, not ${expected}.`);
    const blocks = blocksInUse(arenaMemory(this.#memory));
    check(blocks === chunked.length, `${blocks} blocks are marked as in use, not ${chunked.length}.`);
  }

  /** Frees what is out; at most a chunk of each size stays. */
  end(): void {
    for (let turn = 0; this.#out.size !== 0; turn++) this.#free(turn % OWNERS, 0);
    this.#compare();
    let chunksLeft = 0;
    let reserved = 0;
    for (const number of [0, 1]) {
      const mine = this.#arenas[number] as Arena;
      // Takes in what the other has freed.
      mine.free(mine.allocate(1), 1);
      const chunks = chunksOf(this.#memory.i32, this.#region(number));
      const most = new Set([...this.#sizes, blockBytes(1)]).size;
      check(chunks.length <= most, `${chunks.length} chunks stay for ${most} sizes when all is freed.`);
      chunksLeft += chunks.length;
      reserved += (this.#memory.i32[this.#region(number) + REGION.RESERVED_LINES] as number) * LINE_BYTES;
    }
    check(reserved === chunksLeft * CHUNK_BYTES, `${reserved} bytes are reserved by ${chunksLeft} chunks`);
    this.#compare();
  }

  #region(number: number): number {
    return regionAt(this.#memory.block(REGIONS_NAME, REGIONS_BYTES) / 4, number);
  }

  /** An arena's chunks of a block size. */
  #chunks(number: number, bytes: number): number[] {
    const { i32 } = this.#memory;
    return chunksOf(i32, this.#region(number)).filter(
      (start) => i32[start / 4 + CHUNK.BLOCK_BYTES] === blockBytes(bytes),
    );
  }

  #outOf(number: number, bytes: number): number {
    const same = (block: Block): boolean => blockBytes(block.bytes) === blockBytes(bytes);
    return [...this.#out.values()].filter((block) => block.owner === number && same(block)).length;
  }
}

/** By lines to 1024 bytes, by powers of two beyond. */
function blockBytes(bytes: number): number {
  const lines = Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
  return lines <= 1024 ? lines : 2 ** Math.ceil(Math.log2(bytes));
}

function blocksPerChunk(bytes: number): number {
  return Math.floor((CHUNK_BYTES - CHUNK_HEADER_BYTES) / blockBytes(bytes));
}

/** Memory whose owner dies the next time it gives a block back. */
class MortalMemory extends MachineMemory {
  dies = false;

  override free(offset: number, bytes: number): void {
    if (this.dies) throw new Error('dead');
    super.free(offset, bytes);
  }
}

/** An owner that dies while it takes in what others have freed costs a block at most; the successor has the others. */
export async function arenaDeath(): Promise<Counts> {
  const settings = { processors: OWNERS, prove: false, stallMs: 0 };
  const memory = new MortalMemory(MachineMemory.create(MEMORY_BYTES, settings), 0, 1);
  const [mine, theirs] = [new Arena(part(memory, 0)), new Arena(part(memory, 1))];
  const blocks = Array.from({ length: 30 }, () => mine.allocate(CHUNKED_MAX));
  for (const offset of blocks) theirs.free(offset, CHUNKED_MAX);
  memory.dies = true;
  let died = false;
  try {
    mine.allocate(CHUNKED_MAX);
  } catch {
    died = true;
  }
  memory.dies = false;
  const successor = new Arena(part(memory, 0));
  const offset = successor.allocate(CHUNKED_MAX);
  successor.free(offset, CHUNKED_MAX);
  const lost = blocksInUse(arenaMemory(memory));
  check(lost <= 1, `An owner that died while it took in freed blocks has cost ${lost} blocks.`);
  return { died: Number(died), lost };
}
