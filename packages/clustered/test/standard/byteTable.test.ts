/**
 * Goal: a byte table does what a Map does, is whole after a death at any point, and loses no memory.
 * Method: random histories beside a Map; every operation killed before each of its stores, in the repair too; a heap that
 * keeps books. Replay: a failure names its seed.
 */
import { type MachineMemory, OutOfMachineMemoryError } from '@k42/rcu';
import { type Random, randomFrom } from '@k42/tooling/random';
import { describe, expect, test } from 'vitest';
import { KEY_LENGTH_MAX } from '../../src/internal/byteKeys.ts';
import { BUDGET_UNIT_BYTES, STRIPE, STRIPES, TABLE_BYTES } from '../../src/internal/byteLayout.ts';
import { ByteTable, type Heap } from '../../src/internal/byteTable.ts';
import { BookedHeap, memoryAlone, replay, seeds } from './support.ts';

type Model = Map<string, string>;

/** A table and the ways to get at it by text. */
class Subject {
  readonly memory: MachineMemory;
  readonly heap: BookedHeap;
  readonly offset: number;
  readonly table: ByteTable;

  constructor(options: { maxBytes?: number; memory?: MachineMemory; seed?: number } = {}) {
    const { maxBytes = Number.POSITIVE_INFINITY, memory = memoryAlone(), seed = 0 } = options;
    this.memory = memory;
    this.heap = new BookedHeap(memory);
    this.offset = ByteTable.create(memory, this.heap, seed);
    this.table = new ByteTable(memory, this.offset, this.heap, maxBytes);
  }

  get(text: string): string | undefined {
    const { table } = this;
    const key = table.key(text);
    return decoded(table.read(table.stripeOf(key), key));
  }

  content(): Model {
    const model: Model = new Map();
    for (let index = 0; index < STRIPES; index++) {
      for (const key of this.table.keys(this.table.stripeAt(index))) {
        expect(model.has(key), `${key} is there twice`).toBe(false);
        model.set(key, this.get(key) as string);
      }
    }
    return model;
  }

  expectContent(model: Model): void {
    expect(new Map([...this.content()].sort())).toEqual(new Map([...model].sort()));
    expect(this.table.size()).toBe(model.size);
    let units = 0;
    for (const [key, value] of model) {
      const keyBytes = /^[\0-\xff]*$/.test(key) ? key.length : 2 * key.length;
      units += Math.ceil((keyBytes + value.length) / BUDGET_UNIT_BYTES);
    }
    let counted = 0;
    for (let index = 0; index < STRIPES; index++)
      counted += this.memory.i32[this.table.stripeAt(index) + STRIPE.UNITS] as number;
    expect(counted, 'what keys and values come to').toBe(units);
  }

  /** Blocks that are out and that the table can still reach. */
  reachable(): number {
    const reached = Array.from({ length: STRIPES }, (_none, index) => this.table.stripeAt(index)).filter(
      (stripe) => this.memory.i32[stripe + STRIPE.BUCKETS] !== 0,
    );
    return 1 + reached.length + this.table.size();
  }
}

const encoded = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const decoded = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1');

const set = (table: ByteTable, text: string, value: string): void => {
  const key = table.key(text);
  table.write(table.stripeOf(key), key, encoded(value));
};
const remove = (table: ByteTable, text: string): boolean => {
  const key = table.key(text);
  return table.remove(table.stripeOf(key), key);
};
const clear = (table: ByteTable): void => {
  for (let index = 0; index < STRIPES; index++) table.clear(table.stripeAt(index));
};

/** Keys of one stripe and, as far as wanted, any others. */
function keysOfOneStripe(table: ByteTable, count: number): string[] {
  const keys: string[] = [];
  const stripe = table.stripeOf(table.key('0'));
  for (let i = 0; keys.length < count; i++)
    if (table.stripeOf(table.key(`${i}`)) === stripe) keys.push(`${i}`);
  return keys;
}

const ODD_KEYS = [
  '',
  '\0',
  'é',
  '日本',
  '\u{1f600}',
  '\ud83d',
  '\ude00',
  '\ud800\ud800',
  '__proto__',
  'x'.repeat(KEY_LENGTH_MAX),
];

function randomKey(random: Random, of: number): string {
  return random(10) === 0 ? (ODD_KEYS[random(ODD_KEYS.length)] as string) : `key:${random(of)}`;
}

describe('beside a Map', () => {
  test.each(seeds(1, 2, 3))('seed %i', (seed) => {
    const random = randomFrom(seed);
    const subject = new Subject({ seed });
    const { table } = subject;
    const model: Model = new Map();
    const keys = 1 + random(4000);
    for (let step = 0; step < 20_000; step++) {
      const key = randomKey(random, keys);
      switch (random(20)) {
        case 0:
          expect(remove(table, key), replay(seed, 'byteTable.test.ts')).toBe(model.delete(key));
          break;
        case 1:
          expect(table.equals(table.stripeOf(table.key(key)), table.key(key), undefined)).toBe(
            !model.has(key),
          );
          break;
        case 2:
          if (random(1000) === 0) {
            clear(table);
            model.clear();
          }
          break;
        case 3:
        case 4:
        case 5:
        case 6:
        case 7:
        case 8:
        case 9: {
          expect(subject.get(key), replay(seed, 'byteTable.test.ts')).toBe(model.get(key));
          break;
        }
        default: {
          const value = `${step}`.repeat(random(random(8) === 0 ? 200 : 10));
          set(table, key, value);
          model.set(key, value);
        }
      }
      if (step % 1000 === 0) subject.expectContent(model);
    }
    subject.expectContent(model);
    for (const [key, value] of model) {
      const k = table.key(key);
      expect(table.equals(table.stripeOf(k), k, encoded(value))).toBe(true);
      expect(table.equals(table.stripeOf(k), k, encoded(`${value}!`))).toBe(false);
    }
    expect(subject.heap.out.size).toBe(subject.reachable());
    table.dispose();
    expect(subject.heap.out.size).toBe(0);
  });

  test('many entries: chains stay short, since the bucket arrays grow', () => {
    const subject = new Subject();
    const count = 100_000;
    for (let i = 0; i < count; i++) set(subject.table, `entry ${i}`, `${i}`);
    expect(subject.table.size()).toBe(count);
    for (let i = 0; i < count; i += 997) expect(subject.get(`entry ${i}`)).toBe(`${i}`);
    let buckets = 0;
    for (const bytes of subject.heap.out.values())
      if (bytes >= 64 && Math.log2(bytes) % 1 === 0) buckets += bytes / 4;
    expect(buckets).toBeGreaterThanOrEqual(count);
    subject.table.dispose();
    expect(subject.heap.out.size).toBe(0);
  });
});

/** Somebody who dies before his n-th step, a step being a store or a call of the heap, and does nothing after it. */
class Fate {
  steps = 0;
  readonly #last: number;

  constructor(last: number) {
    this.#last = last;
  }

  step(): void {
    if (this.steps >= this.#last) throw new Death();
    this.steps++;
  }
}

class Death extends Error {}

class MortalTable extends ByteTable {
  readonly #fate: Fate;

  constructor(memory: MachineMemory, offset: number, heap: Heap, fate: Fate) {
    super(memory, offset, {
      allocate: (bytes) => {
        fate.step();
        return heap.allocate(bytes);
      },
      free: (block, bytes) => {
        fate.step();
        heap.free(block, bytes);
      },
    });
    this.#fate = fate;
  }

  protected override publish(word: number, value: number): void {
    this.#fate.step();
    super.publish(word, value);
  }

  protected override put(word: number, value: number): void {
    this.#fate.step();
    super.put(word, value);
  }
}

/** Runs something as somebody who dies; true if he did. */
function dies(subject: Subject, last: number, act: (table: ByteTable) => void): boolean {
  try {
    act(new MortalTable(subject.memory, subject.offset, subject.heap, new Fate(last)));
    return false;
  } catch (thrown) {
    if (thrown instanceof Death) return true;
    throw thrown;
  }
}

interface Scene {
  readonly name: string;
  /** Entries that are there at the beginning, all in one stripe. */
  readonly entries: number;
  readonly act: (table: ByteTable, keys: readonly string[]) => void;
  /** Every content that there may be after a death in it. */
  readonly outcomes: (keys: readonly string[], before: Model) => Model[];
}

const replacing = (before: Model, key: string, value: string): Model => new Map(before).set(key, value);
const without = (before: Model, ...keys: string[]): Model =>
  new Map([...before].filter(([key]) => !keys.includes(key)));

/** Sixteen entries fill the first bucket array. */
const SCENES: readonly Scene[] = [
  {
    name: 'the first entry',
    entries: 0,
    act: (table, [key]) => set(table, key as string, 'new'),
    outcomes: ([key], before) => [before, replacing(before, key as string, 'new')],
  },
  {
    name: 'one more entry',
    entries: 5,
    act: (table, keys) => set(table, keys[5] as string, 'new'),
    outcomes: (keys, before) => [before, replacing(before, keys[5] as string, 'new')],
  },
  {
    name: 'an entry that makes the buckets grow',
    entries: 16,
    act: (table, keys) => set(table, keys[16] as string, 'new'),
    outcomes: (keys, before) => [before, replacing(before, keys[16] as string, 'new')],
  },
  {
    name: 'buckets that grow a second time',
    entries: 32,
    act: (table, keys) => set(table, keys[32] as string, 'new'),
    outcomes: (keys, before) => [before, replacing(before, keys[32] as string, 'new')],
  },
  {
    name: 'another value',
    entries: 12,
    act: (table, keys) => set(table, keys[3] as string, 'another value, which is longer'.repeat(4)),
    outcomes: (keys, before) => [
      before,
      replacing(before, keys[3] as string, 'another value, which is longer'.repeat(4)),
    ],
  },
  {
    name: 'a deletion',
    entries: 12,
    act: (table, keys) => void remove(table, keys[3] as string),
    outcomes: (keys, before) => [before, without(before, keys[3] as string)],
  },
];

describe('a death before each store', () => {
  test.each(SCENES)('$name', ({ entries, act, outcomes }) => {
    let deaths = 0;
    let losses = 0;
    const seen = new Set<number>();
    for (let last = 0; ; last++) {
      // Each repair is killed at some point, too, and then done by another.
      for (let lastOfRepair = 0; ; lastOfRepair++) {
        const subject = new Subject();
        const keys = keysOfOneStripe(subject.table, entries + 1);
        const before: Model = new Map(keys.slice(0, entries).map((key) => [key, `value of ${key}`]));
        for (const [key, value] of before) set(subject.table, key, value);
        const died = dies(subject, last, (table) => act(table, keys));
        const stripe = subject.table.stripeOf(subject.table.key(keys[0] as string));
        const diedAgain = died && dies(subject, lastOfRepair, (table) => table.repair(stripe));
        if (died) subject.table.repair(stripe);
        const content = subject.content();
        const outcome = outcomes(keys, before).findIndex((model) => isSame(model, content));
        expect(outcome, `after ${last} and ${lastOfRepair} steps there is ${[...content]}`).not.toBe(-1);
        seen.add(outcome);
        subject.expectContent(content);
        const lost = subject.heap.out.size - subject.reachable();
        expect(lost).toBeGreaterThanOrEqual(0);
        expect(lost).toBeLessThanOrEqual(diedAgain ? 2 : died ? 1 : 0);
        if (!diedAgain) losses += lost;
        // And it goes on.
        for (const key of keys) set(subject.table, key, 'later');
        subject.expectContent(new Map(keys.map((key) => [key, 'later'])));
        if (!died) {
          expect(deaths).toBeGreaterThan(5);
          // Between having a block and noting it, and between clearing the note and giving it back.
          expect(losses).toBeLessThanOrEqual(5);
          expect(seen.size).toBe(2);
          return;
        }
        deaths++;
        if (!diedAgain) break;
      }
    }
  });

  test('clearing: what is left is a part of what there was', () => {
    for (let last = 0; ; last++) {
      const subject = new Subject();
      const keys = keysOfOneStripe(subject.table, 6);
      for (const key of keys) set(subject.table, key, `value of ${key}`);
      const stripe = subject.table.stripeOf(subject.table.key(keys[0] as string));
      const died = dies(subject, last, (table) => table.clear(stripe));
      subject.table.repair(stripe);
      const content = subject.content();
      for (const [key, value] of content) expect(value).toBe(`value of ${key}`);
      subject.expectContent(content);
      expect(subject.heap.out.size - subject.reachable()).toBeLessThanOrEqual(died ? 1 : 0);
      if (!died) return;
    }
  });

  test('a dead holder whom nobody has noticed: the table is disposed of all the same', () => {
    for (let last = 0; ; last++) {
      const subject = new Subject();
      const keys = keysOfOneStripe(subject.table, 17);
      for (const key of keys.slice(1)) set(subject.table, key, 'value');
      const died = dies(subject, last, (table) => set(table, keys[0] as string, 'value'));
      subject.table.dispose();
      expect(subject.heap.out.size).toBeLessThanOrEqual(died ? 1 : 0);
      if (!died) return;
    }
  });
});

function isSame(one: Model, other: Model): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
}

describe('versions', () => {
  const versionOf = ({ table }: Subject, key: string): readonly [number, number] => {
    const stripe = table.stripeOf(table.key(key));
    return [table.versionLow(stripe), table.versionHigh(stripe)];
  };

  test('every change of a stripe raises its version, and no other', () => {
    const subject = new Subject();
    const [a, b] = keysOfOneStripe(subject.table, 2) as [string, string];
    const changes: ((table: ByteTable) => void)[] = [
      (table) => set(table, a, '1'),
      (table) => set(table, a, '1'),
      (table) => set(table, b, '2'),
      (table) => void remove(table, a),
      (table) => clear(table),
    ];
    for (const change of changes) {
      const before = versionOf(subject, a);
      change(subject.table);
      expect(versionOf(subject, a)).not.toEqual(before);
    }
    const before = versionOf(subject, a);
    remove(subject.table, a);
    expect(versionOf(subject, a)).toEqual(before);
  });

  test('the version is raised before anything changes', () => {
    for (let last = 0; ; last++) {
      const subject = new Subject();
      set(subject.table, 'key', 'old');
      const before = versionOf(subject, 'key');
      const died = dies(subject, last, (table) => set(table, 'key', 'new'));
      if (subject.get('key') === 'new') expect(versionOf(subject, 'key')).not.toEqual(before);
      if (!died) return;
    }
  });

  test('a version that has run through all of its low word does not come back', () => {
    const subject = new Subject();
    const stripe = subject.table.stripeOf(subject.table.key('key'));
    subject.memory.i32[stripe + STRIPE.VERSION_LOW] = -1;
    set(subject.table, 'key', '1');
    expect(versionOf(subject, 'key')).toEqual([0, 1]);
    // Nor where the one who raised it has died between the two words.
    const seen = new Set<string>();
    for (let last = 0; ; last++) {
      subject.memory.i32[stripe + STRIPE.VERSION_LOW] = -1;
      seen.add(`${versionOf(subject, 'key')}`);
      if (!dies(subject, last, (table) => set(table, 'key', '2'))) break;
      subject.table.repair(stripe);
    }
    expect(seen.size).toBeGreaterThan(1);
  });
});

describe('limits', () => {
  test('a budget: what exceeds it is refused and changes nothing', () => {
    const subject = new Subject({ maxBytes: 256 });
    set(subject.table, 'a', 'x'.repeat(127));
    expect(() => set(subject.table, 'b', 'x'.repeat(128))).toThrowError(
      expect.objectContaining({ code: 'K42_BYTE_MAP_FULL', maxBytes: 256, wantedBytes: 264 }),
    );
    expect(() => set(subject.table, 'a', 'x'.repeat(256))).toThrowError(
      expect.objectContaining({ code: 'K42_BYTE_MAP_FULL' }),
    );
    subject.expectContent(new Map([['a', 'x'.repeat(127)]]));
    set(subject.table, 'b', 'x'.repeat(127));
    set(subject.table, 'a', 'y');
    set(subject.table, 'c', 'x'.repeat(119));
    // Smaller is always possible, and full is not over.
    set(subject.table, 'c', 'z'.repeat(119));
    expect(() => set(subject.table, 'd', '')).toThrowError(expect.objectContaining({ wantedBytes: 264 }));
    remove(subject.table, 'a');
    set(subject.table, 'd', '');
    clear(subject.table);
    set(subject.table, 'e', 'x'.repeat(255));
    subject.expectContent(new Map([['e', 'x'.repeat(255)]]));
  });

  test('a key that is too long, or no string', () => {
    const { table } = new Subject();
    expect(() => table.key('x'.repeat(KEY_LENGTH_MAX + 1))).toThrowError(
      expect.objectContaining({ code: 'K42_KEY_TOO_LONG', length: 8193, maxLength: 8192 }),
    );
    // @ts-expect-error: no string
    expect(() => table.key(7)).toThrowError(expect.objectContaining({ code: 'K42_INVALID_ARGUMENT' }));
  });

  test('memory at its end: refused, nothing changed; buckets that cannot grow refuse nothing', () => {
    const subject = new Subject({ memory: memoryAlone(2 ** 20) });
    const model: Model = new Map();
    const fill = (size: number): void => {
      for (let i = 0; ; i++) {
        const key = `${size}:${i}`;
        try {
          set(subject.table, key, 'x'.repeat(size));
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(OutOfMachineMemoryError);
          subject.expectContent(model);
          return;
        }
        model.set(key, 'x'.repeat(size));
      }
    };
    fill(4000);
    fill(10);
    expect(subject.heap.out.size).toBe(subject.reachable());
    for (const key of model.keys()) expect(remove(subject.table, key)).toBe(true);
    subject.expectContent(new Map());
    subject.table.dispose();
    expect([subject.heap.out.size, subject.memory.allocatedBytes]).toEqual([0, 0]);
  });

  test('an empty table takes its stripes and nothing else', () => {
    const { heap } = new Subject();
    expect([...heap.out.values()]).toEqual([TABLE_BYTES]);
  });
});
