/** A backing store that refuses, stutters, or counts: put in place on the processor that calls. */
import { type BackingStore, NODE_STORE, useStore } from '../../src/internal/backingStore.ts';

export interface Faults {
  /** So many writes succeed, the others fail with `code`. Default: all succeed. */
  readonly writesBeforeFailure?: number;
  /** Default ENOSPC. */
  readonly code?: string;
  /** Reads and writes do at most so many bytes at once. */
  readonly bytesAtOnce?: number;
}

export const calls = { reads: 0, writes: 0 };

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected, write`), { code, errno: -1, syscall: 'write' });
}

/** Makes this processor's disk faulty; `{}` repairs it. */
export function useFaults({
  writesBeforeFailure = Number.POSITIVE_INFINITY,
  code = 'ENOSPC',
  bytesAtOnce = 2 ** 30,
}: Faults): void {
  calls.reads = 0;
  calls.writes = 0;
  const fail = (): void => {
    if (calls.writes++ >= writesBeforeFailure) throw systemError(code);
  };
  const some = (length: number): number => Math.min(length, bytesAtOnce);
  const store: BackingStore = {
    ...NODE_STORE,
    readSync: (fd, into, offset, length, position) => {
      calls.reads++;
      return NODE_STORE.readSync(fd, into, offset, some(length), position);
    },
    read: async (fd, into, offset, length, position) => {
      calls.reads++;
      return NODE_STORE.read(fd, into, offset, some(length), position);
    },
    writeSync: (fd, from, offset, length, position) => {
      fail();
      return NODE_STORE.writeSync(fd, from, offset, some(length), position);
    },
    write: async (fd, from, offset, length, position) => {
      fail();
      return NODE_STORE.write(fd, from, offset, some(length), position);
    },
  };
  useStore(store);
}
