/**
 * Program of the tests that swap the standard objects: processors that work on a counter, a histogram and a map until they
 * are stopped, and say what must be in them then; maps that can only be swapped by value, or not at all; and, as the entry of
 * a plain Worker, a thread that joins the machine and is killed in the midst of a change.
 */
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import {
  type Coid,
  defineImplementation,
  handle,
  type Implementation,
  type RootContext,
  type SharedRoot,
} from '@k42/clustered';
import { ByteMap, type Counter, type Histogram, SharedByteMap } from '@k42/clustered/standard';
import type { SwappableRoot } from '@k42/hotswap';
import { currentProcessor, joinMachine, spawn, type Ticket } from '@k42/rcu';
import { randomFrom } from '@k42/tooling/random';

const WORDS = { STOP: 0, ROUNDS: 1 } as const;
const WORDS_BYTES = 64;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function word(which: number): [Int32Array, number] {
  const { memory } = currentProcessor();
  return [memory.i32, memory.block('test/standard-swaps', WORDS_BYTES) / 4 + which];
}

export function setStop(stop: boolean): void {
  Atomics.store(...word(WORDS.STOP), stop ? 1 : 0);
}

/** Rounds of work that all have done together. */
export function rounds(): number {
  return Atomics.load(...word(WORDS.ROUNDS));
}

async function untilStopped(round: () => void): Promise<void> {
  for (let n = 0; Atomics.load(...word(WORDS.STOP)) === 0; n++) {
    // From plain callbacks, and from threads.
    if (n % 2 === 0) round();
    else spawn(round);
    Atomics.add(...word(WORDS.ROUNDS), 1);
    await nextTurn();
  }
}

/** Counts, and gives the sum of it. */
export async function countUntilStopped(coid: Coid<Counter>, seed: number): Promise<number> {
  const counter = handle(coid);
  const random = randomFrom(seed);
  let sum = 0;
  await untilStopped(() => {
    for (let i = 0; i < 20; i++) {
      const by = random(50) === 0 ? random(2e9) - 1e9 : random(3) - 1;
      if (by === 1) counter.inc();
      else if (by === -1) counter.dec();
      else counter.add(by);
      sum += by;
    }
  });
  return sum;
}

/** Whole numbers, so that sums are exact. */
export interface Measured {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

export async function recordUntilStopped(coid: Coid<Histogram>, seed: number): Promise<Measured> {
  const histogram = handle(coid);
  const random = randomFrom(seed);
  let [count, sum, min, max] = [0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  await untilStopped(() => {
    for (let i = 0; i < 10; i++) {
      const value = 1 + random(10 ** (1 + random(6)));
      histogram.record(value);
      count++;
      sum += value;
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
  });
  return { count, sum, min, max };
}

export const COMMON_KEY = 'common';
const KEYS = 20;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : decoder.decode(bytes);

/**
 * Changes keys of its own and reads them back, and counts a common one up; gives what its own keys must be at the end, and how
 * often it counted.
 */
export async function changeUntilStopped(
  coid: Coid<ByteMap>,
  seed: number,
): Promise<{ readonly own: [string, string][]; readonly counted: number }> {
  const map = handle(coid);
  const random = randomFrom(seed);
  const me = currentProcessor().number;
  const own = new Map<string, string>();
  let counted = 0;
  await untilStopped(() => {
    for (let i = 0; i < 5; i++) {
      const key = `${me}:${random(KEYS)}`;
      const found = textOf(map.get(key));
      if (found !== own.get(key)) throw new Error(`seed ${seed}: ${key} is ${found}, not ${own.get(key)}`);
      switch (random(6)) {
        case 0:
          map.delete(key);
          own.delete(key);
          break;
        case 1:
          map.update(COMMON_KEY, (bytes) => encoder.encode(String(Number(textOf(bytes) ?? 0) + 1)));
          counted++;
          break;
        default: {
          const text = String(random(1e9)).repeat(1 + random(40));
          map.set(key, encoder.encode(text));
          own.set(key, text);
        }
      }
    }
  });
  return { own: [...own], counted };
}

export function contentOf(map: ByteMap): [string, string | undefined][] {
  return map.keys().map((key) => [key, textOf(map.get(key))]);
}

type MapRootClass = new (
  context: RootContext,
) => SharedRoot<ByteMap> & { createRep(): ByteMap } & SwappableRoot;
const MapRoot = SharedByteMap.Root as MapRootClass;

type SharedByteMapLike = Implementation<ByteMap, { readonly maxBytes?: number } | undefined>;

/** Cannot know the table of another map. */
export const ByValueByteMap: SharedByteMapLike = defineImplementation({
  name: 'test/byte-map-by-value@1',
  interface: ByteMap,
  stateBytes: SharedByteMap.stateBytes,
  initialise: SharedByteMap.initialise,
  Root: class extends MapRoot {
    static readonly exports: readonly string[] = ['k42/byte-map-entries@1'];
    static readonly imports: readonly string[] = ['k42/byte-map-entries@1'];
  },
});

/** Its import fails after all of it has been done. */
export const FailingByteMap: SharedByteMapLike = defineImplementation({
  name: 'test/byte-map-failing@1',
  interface: ByteMap,
  stateBytes: SharedByteMap.stateBytes,
  initialise: SharedByteMap.initialise,
  Root: class extends MapRoot {
    override importPart(...part: Parameters<SwappableRoot['importPart']>): void {
      super.importPart(...part);
      throw new Error('import asked to fail');
    }
  },
});

// As the entry of a worker

const LARGE_BYTES = 400_000;

export interface Doom {
  readonly ticket: Ticket;
  readonly coid: Coid<ByteMap>;
}

/** Sets a value that is larger than any other. */
export function setLarge(coid: Coid<ByteMap>): void {
  handle(coid).set('large', new Uint8Array(LARGE_BYTES).fill(1));
}

/** From now on this thread ends where it copies such a value: with a lock held, and the entry not yet linked. */
function dieInCopy(): void {
  const { set } = Uint8Array.prototype;
  Uint8Array.prototype.set = function (this: Uint8Array, source: ArrayLike<number>, offset?: number): void {
    if (source.length === LARGE_BYTES) process.exit();
    set.call(this, source, offset);
  };
}

async function live({ ticket, coid }: Doom): Promise<void> {
  const { number } = await joinMachine(ticket);
  parentPort?.postMessage(number);
  dieInCopy();
  setLarge(coid);
}

// Not awaited: joining loads this very module, which would then wait for itself.
if (!isMainThread && (workerData as Partial<Doom> | null)?.ticket?.k42 === 'ticket')
  void live(workerData as Doom);
