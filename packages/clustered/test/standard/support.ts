/** What the tests of the standard objects share: seeds, random numbers, memory without a machine, and a heap that keeps books. */
import { MachineMemory } from '@k42/rcu';
import type { Heap } from '../../src/internal/byteTable.ts';

/** The seeds of a test, or the one in K42_SEED; a new one each time is among them. */
export function seeds(...numbers: number[]): number[] {
  const { K42_SEED } = process.env;
  return K42_SEED === undefined ? [...numbers, Date.now() % 1_000_000] : [Number(K42_SEED)];
}

/** What a failure says, so that it can be replayed. */
export function replay(seed: number, file: string): string {
  return `replay: K42_SEED=${seed} pnpm --filter @k42/clustered exec vitest run test/standard/${file}`;
}

/** Machine memory of a machine of one processor that does not run. */
export function memoryAlone(bytes: number = 64 * 2 ** 20): MachineMemory {
  return new MachineMemory(MachineMemory.create(bytes, { processors: 1, prove: false, stallMs: 0 }), 0, 1);
}

/** A heap that knows which blocks are out, and refuses to take back what it has not given. */
export class BookedHeap implements Heap {
  readonly out: Map<number, number> = new Map();
  readonly #memory: MachineMemory;

  constructor(memory: MachineMemory) {
    this.#memory = memory;
  }

  allocate(bytes: number): number {
    const offset = this.#memory.allocate(bytes);
    this.out.set(offset, bytes);
    return offset;
  }

  free(offset: number, bytes: number): void {
    if (this.out.get(offset) !== bytes)
      throw new Error(`${bytes} bytes at ${offset} freed, ${this.out.get(offset)} are out there`);
    this.out.delete(offset);
    // What is used after it was freed is to be noticed.
    this.#memory.u8.fill(0xdb, offset, offset + bytes);
    this.#memory.free(offset, bytes);
  }
}
