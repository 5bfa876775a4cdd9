/**
 * Goal: a transfer moves every part of an object's state once, wherever it is and whoever has left it there; ownership is
 * handed over once, after the decision and only then; the report says what was moved.
 * Method: one number in a state, in heaps, in shares of processors and of clusters, swapped for one another on real workers,
 * which note every step on a tape in the order of an atomic ticket (programs/cells.ts, programs/tape.ts).
 */
import {
  create,
  DistributedRoot,
  defineImplementation,
  defineInterface,
  destroy,
  handle,
  type Implementation,
  SharedRoot,
} from '@k42/clustered';
import { currentRoot, implementationOf } from '@k42/clustered/interpose';
import { Machine } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Part, type SwappableRoot, type SwapReport, swap } from '../src/index.ts';
import {
  Async,
  type AsyncCells,
  type CellsFamily,
  codeOf,
  GATE,
  letExportLinger,
  letImportFail,
  letValidationFail,
  Sync,
} from './programs/cells.ts';
import {
  clearTape,
  closeGate,
  noted,
  openAllGates,
  openGate,
  standingAt,
  type What,
} from './programs/tape.ts';
import { bytesInUse, until } from './support.ts';

const program = new URL('./programs/cells.ts', import.meta.url);
let machine: Machine;
let before: number;

beforeEach(async () => {
  machine = await Machine.boot({ processors: 4, maxProcessors: 5, program });
  // Makes its block, which stays.
  clearTape();
  before = bytesInUse(machine);
});
afterEach(async () => {
  openAllGates();
  await machine.close();
});

type Cells = Parameters<typeof handle<AsyncCells>>[0];
const add = (processor: number, coid: Cells, by: number): Promise<number> =>
  machine.call<number>(processor, 'add', [coid, by]);
const total = (processor: number, coid: Cells): Promise<number> =>
  machine.call<number>(processor, 'total', [coid]);
const nameOf = (coid: Cells): string => implementationOf(currentRoot(coid)).name;
const codes = (...kinds: What[]): number[] => noted(...kinds).map(({ detail }) => detail);
const sorted = (numbers: readonly number[]): number[] => numbers.toSorted((a, b) => a - b);
const partsOf = ({ parts }: SwapReport): number[] => sorted(parts.map(({ part }) => codeOf(part)));

/** Makes an object to which processors have added 10 to the power of their number; the host only if it is among them. */
async function createOn(
  implementation: Implementation<AsyncCells>,
  processors: readonly number[],
): Promise<Cells> {
  const coid = create(implementation);
  for (const number of processors) await add(number, coid, 10 ** number);
  return coid;
}

async function expectNothingLeft(coid: Cells): Promise<void> {
  await destroy(coid);
  await until(() => bytesInUse(machine) === before);
}

const FAMILIES: readonly [string, CellsFamily<AsyncCells>][] = [
  ['a synchronous interface', Sync as unknown as CellsFamily<AsyncCells>],
  ['an asynchronous interface', Async],
];

describe.each(FAMILIES)('parts of an object of %s', (_name, { Shared, Heap, Shares, Clusters, Barrier }) => {
  test('in one state: the root part, once', async () => {
    const coid = await createOn(Shared, [0, 1, 2, 3]);
    const report = await swap(coid, Heap);
    expect(report.participants).toEqual([0, 1, 2, 3]);
    expect(codes('export begins').filter((code) => code === 0)).toEqual([0]);
    expect(codes('import begins')).toEqual([0]);
    expect(partsOf(report)).toEqual([0]);
    for (const number of [0, 1, 2, 3]) expect(await total(number, coid)).toBe(1111);
    await expectNothingLeft(coid);
  });

  test('in heaps: the Rep of each, by its own processor, by reference', async () => {
    const coid = await createOn(Heap, [0, 2, 3]);
    const report = await swap(coid, Shared);
    expect(report.participants).toEqual([0, 2, 3]);
    // The root part carries nothing, and is not imported.
    expect(sorted(codes('export begins'))).toEqual([0, 100, 102, 103]);
    expect(sorted(codes('import by reference'))).toEqual([100, 102, 103]);
    expect(sorted(codes('import ends'))).toEqual([100, 102, 103]);
    for (const { processor, detail } of noted('export ends', 'import ends'))
      if (detail !== 0) expect(processor).toBe(detail - 100);
    expect(partsOf(report)).toEqual([100, 102, 103]);
    for (const number of [0, 1, 3]) expect(await total(number, coid)).toBe(1101);
    await expectNothingLeft(coid);
  });

  test('in heaps, of processors that have never called the object but got a part in the transfer', async () => {
    const coid = await createOn(Shares, [1, 2, 3]);
    await swap(coid, Heap);
    clearTape();
    const report = await swap(coid, Shared);
    // Whoever claimed a share has it in its heap now.
    expect(partsOf(report).length).toBeGreaterThan(0);
    expect(await total(0, coid)).toBe(1110);
    await swap(coid, Clusters);
    expect(await total(3, coid)).toBe(1110);
    await expectNothingLeft(coid);
  });

  test('in shares: one for each that exists, of processors that have left or died as well', async () => {
    const coid = await createOn(Shares, [1, 2, 3]);
    await machine.remove(3);
    await machine.call(2, 'exitNow').catch(() => {});
    await until(() => machine.processors.length === 2);
    const report = await swap(coid, Shared);
    expect(partsOf(report)).toEqual([201, 202, 203]);
    const exported = codes('export ends').filter((code) => code >= 200);
    expect(sorted(exported)).toEqual([201, 202, 203]);
    expect(await total(1, coid)).toBe(1110);
    // And in the other direction, to where two of them are claimed by those that are left.
    await swap(coid, Shares);
    expect(await total(0, coid)).toBe(1110);
    await expectNothingLeft(coid);
  });

  test('in heaps: what a dead processor had is lost, and whoever has its number now has its own', async () => {
    const coid = await createOn(Heap, [1, 2, 3]);
    await machine.call(3, 'exitNow').catch(() => {});
    await until(() => machine.processors.length === 3);
    while ((await machine.add()) !== 3);
    let report = await swap(coid, Shared);
    expect(partsOf(report)).toEqual(expect.arrayContaining([101, 102]));
    expect(partsOf(report)).not.toContain(103);
    expect(await total(3, coid)).toBe(110);
    await swap(coid, Heap);
    await add(3, coid, 1000);
    report = await swap(coid, Shared);
    expect(partsOf(report)).toContain(103);
    expect(await total(0, coid)).toBe(1110);
    await expectNothingLeft(coid);
  });

  test('in shares of clusters: one for each cluster', async () => {
    const coid = await createOn(Clusters, [0, 1, 2, 3]);
    const report = await swap(coid, Shared);
    expect(partsOf(report)).toEqual([200, 201]);
    expect(sorted(codes('export ends').filter((code) => code >= 200))).toEqual([200, 201]);
    expect(await total(2, coid)).toBe(1111);
    clearTape();
    const back = await swap(coid, Clusters);
    expect(partsOf(back)).toEqual([0]);
    expect(await total(3, coid)).toBe(1111);
    await expectNothingLeft(coid);
  });

  test('of an object nobody has called: the root part, by whoever swaps it', async () => {
    const coid = create(Shared);
    const report = await swap(coid, Heap);
    expect(report.participants).toEqual([0]);
    expect(noted('export ends', 'import ends')).toEqual([
      { what: 'export ends', processor: 0, detail: 0 },
      { what: 'import ends', processor: 0, detail: 0 },
    ]);
    await expectNothingLeft(coid);
  });

  test('that many share are claimed by several, and each once', async () => {
    const coid = create(Shares);
    // Five shares, made by those whose they are.
    await machine.add();
    for (const number of [0, 1, 2, 3, 4]) await add(number, coid, 10 ** number);
    for (let round = 0; round < 10; round++) {
      clearTape();
      const report = await swap(coid, Shares);
      const exported = codes('export ends').filter((code) => code >= 200);
      expect(new Set(exported).size).toBe(exported.length);
      expect(sorted(codes('import ends').filter((code) => code >= 200))).toEqual(sorted(exported));
      expect(partsOf(report)).toEqual(sorted(exported));
      expect(await total(round % 5, coid)).toBe(11_111);
    }
    await expectNothingLeft(coid);
  });

  test('are handed over once in all: adopt, then relinquish, when everything is imported and validated', async () => {
    const coid = await createOn(Heap, [0, 1, 2, 3]);
    for (const next of [Shared, Heap, Shares, Clusters]) {
      clearTape();
      const { participants } = await swap(coid, next);
      const kinds = noted().map(({ what }) => what);
      expect(kinds.filter((what) => what === 'validate').length).toBe(participants.length);
      expect(kinds.slice(-2)).toEqual(['adopt', 'relinquish']);
      expect(kinds.filter((what) => what === 'adopt' || what === 'relinquish').length).toBe(2);
    }
    expect(await total(1, coid)).toBe(1111);
    await expectNothingLeft(coid);
  });

  test.each([
    ['import', letImportFail],
    ['validation', letValidationFail],
  ])('are not handed over if an %s fails on any processor', async (step, letFail) => {
    for (const failing of [0, 3]) {
      const coid = await createOn(Heap, [0, 1, 2, 3]);
      clearTape();
      letFail(failing);
      await expect(swap(coid, Shares)).rejects.toMatchObject({
        code: `K42_SWAP_${step.toUpperCase()}`,
        processor: failing,
      });
      expect(noted('adopt', 'relinquish')).toEqual([]);
      expect(nameOf(coid)).toBe(Heap.name);
      letFail(undefined);
      for (const number of [0, 1, 2, 3]) expect(await total(number, coid)).toBe(1111);
      await swap(coid, Shares);
      expect(noted('adopt', 'relinquish').length).toBe(2);
      await expectNothingLeft(coid);
    }
  });

  test('are all exported before the first import, if the importer asks for that', async () => {
    const lingering = Sync.Heap.name === Heap.name;
    for (const [next, waits] of [
      [Barrier, true],
      [Shared, false],
    ] as const) {
      const coid = await createOn(Heap, [0, 1, 2, 3]);
      clearTape();
      // On processor 1 the export of its Rep takes longer than all the rest. (The root part goes to anybody.)
      if (lingering) letExportLinger(1, 3, waits ? 100 : 1500);
      else closeGate(GATE.EXPORT_ON_1);
      const swapped = swap(coid, next);
      if (!lingering) {
        await until(() => new Set(codes('export ends')).size >= 3 && standingAt(GATE.EXPORT_ON_1) > 0);
        if (waits)
          for (let turn = 0; turn < 200; turn++) await new Promise<void>((done) => setImmediate(done));
        else await until(() => noted('import ends').length >= 3);
        expect(noted('import begins').length).toBe(waits ? 0 : 3);
        openGate(GATE.EXPORT_ON_1);
      }
      await swapped;
      const steps = noted('export ends', 'import begins').map(({ what }) => what);
      const firstImport = steps.indexOf('import begins');
      const lastExport = steps.lastIndexOf('export ends');
      expect(firstImport > lastExport).toBe(waits);
      expect(await total(2, coid)).toBe(1111);
      letExportLinger(-1, 0, 0);
      await expectNothingLeft(coid);
    }
  });
});

// Parts on one processor

interface Thing {
  ping(): Promise<string>;
}
interface StillThing extends Thing {
  pong(): string;
}
const AsyncThing = defineInterface<Thing>('parts/async-thing', { ping: 'async' });
const SyncThing = defineInterface<StillThing>('parts/sync-thing', { ping: 'async', pong: 'sync' });

interface Hooks {
  readonly exportPart: (part: Part) => unknown;
  readonly importPart?: (part: Part, exported: unknown) => unknown;
  readonly validate?: () => unknown;
  readonly bytesOf?: (part: Part, exported: unknown) => number;
}

let things = 0;

/** An implementation with just these hooks. */
function thing(served: typeof AsyncThing | typeof SyncThing, hooks: Hooks): Implementation<Thing> {
  const { validate, bytesOf } = hooks;
  const name = `parts/thing-${things++}@1`;
  class ThingRoot extends SharedRoot<StillThing> implements SwappableRoot {
    static readonly exports = ['parts/anything@1'];
    static readonly imports = ['parts/anything@1'];

    protected override createRep(): StillThing {
      return { ping: async () => name, pong: () => name };
    }

    exportPart(_protocol: string, part: Part): unknown {
      return hooks.exportPart(part);
    }

    importPart(_protocol: string, part: Part, exported: unknown): unknown {
      return hooks.importPart?.(part, exported);
    }
  }
  const optional: Partial<SwappableRoot> = {
    ...(validate !== undefined && { validate: () => validate() }),
    ...(bytesOf !== undefined && {
      bytesOf: (_protocol: string, part: Part, exported: unknown) => bytesOf(part, exported),
    }),
  };
  Object.assign(ThingRoot.prototype, optional);
  return defineImplementation({
    name,
    interface: served as never,
    Root: ThingRoot as never,
  }) as unknown as Implementation<Thing>;
}

describe('hooks', () => {
  test('that export nothing have nothing imported', async () => {
    const imported: Part[] = [];
    const coid = create(thing(AsyncThing, { exportPart: () => undefined }));
    await handle(coid).ping();
    const report = await swap(
      coid,
      thing(AsyncThing, {
        exportPart: () => undefined,
        importPart: (part) => imported.push(part),
      }),
    );
    expect(imported).toEqual([]);
    expect(report).toMatchObject({ parts: [], bytes: 0 });
  });

  test('that export null, 0 and an empty string have them imported', async () => {
    for (const value of [null, 0, '', false]) {
      const imported: unknown[] = [];
      const coid = create(thing(AsyncThing, { exportPart: () => value }));
      await swap(
        coid,
        thing(AsyncThing, { exportPart: () => 0, importPart: (_part, exported) => imported.push(exported) }),
      );
      expect(imported).toEqual([value]);
    }
  });

  test.each<[string, unknown, number]>([
    ['a string', 'four', 8],
    ['a view', new Float64Array(5), 40],
    ['part of a buffer', new Uint8Array(new ArrayBuffer(100), 10, 7), 7],
    ['a buffer', new ArrayBuffer(100), 100],
    ['a shared buffer', new SharedArrayBuffer(16), 16],
    ['something by reference', { much: new ArrayBuffer(1000) }, 0],
  ])('have %s counted in bytes', async (_what, exported, bytes) => {
    const coid = create(
      thing(AsyncThing, { exportPart: ({ kind }) => (kind === 'root' ? exported : undefined) }),
    );
    const report = await swap(coid, thing(AsyncThing, { exportPart: () => undefined }));
    expect(report.bytes).toBe(bytes);
    expect(report.parts).toEqual([
      {
        part: { kind: 'root' },
        processor: 0,
        bytes,
        exportMs: expect.any(Number),
        importMs: expect.any(Number),
      },
    ]);
    const [moved] = report.parts;
    expect(moved?.exportMs).toBeGreaterThanOrEqual(0);
    expect(moved?.importMs).toBeGreaterThanOrEqual(0);
    expect(report.processors.get(0)?.parts).toEqual(report.parts);
  });

  test('may count bytes themselves, part by part', async () => {
    const asked: [Part['kind'], unknown][] = [];
    const coid = create(
      thing(AsyncThing, {
        exportPart: ({ kind }) => kind,
        bytesOf: ({ kind }, exported) => {
          asked.push([kind, exported]);
          return kind === 'root' ? 1000 : 234;
        },
      }),
    );
    await handle(coid).ping();
    const report = await swap(coid, thing(AsyncThing, { exportPart: () => undefined }));
    expect(asked.toSorted()).toEqual([
      ['rep', 'rep'],
      ['root', 'root'],
    ]);
    expect(report.bytes).toBe(1234);
  });

  test.each<[string, Hooks, Hooks, string]>([
    ['an export', { exportPart: async () => 1 }, { exportPart: () => 1 }, 'K42_SWAP_EXPORT'],
    [
      'an import',
      { exportPart: () => 1 },
      { exportPart: () => 1, importPart: async () => {} },
      'K42_SWAP_IMPORT',
    ],
    [
      'a validation',
      { exportPart: () => 1 },
      { exportPart: () => 1, validate: async () => true },
      'K42_SWAP_VALIDATION',
    ],
  ])('of a synchronous interface are refused if %s is asynchronous', async (_what, from, to, code) => {
    const [old, next] = [thing(SyncThing, from), thing(SyncThing, to)];
    const coid = create(old);
    const root = currentRoot(coid);
    await expect(swap(coid, next)).rejects.toMatchObject({
      code,
      processor: 0,
      phase: 'transfer',
      message: expect.stringContaining('synchronous'),
      cause: expect.objectContaining({ name: 'TypeError' }),
    });
    expect(currentRoot(coid)).toBe(root);
    expect(await handle(coid).ping()).toBe(old.name);
  });

  test('that fail while others of the same processor go on: those end before anything of theirs is freed', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const old = thing(AsyncThing, {
      exportPart: async ({ kind }) => {
        if (kind === 'root') throw new RangeError('no root part today');
        await gate;
        return 1;
      },
    });
    const coid = create(old);
    await handle(coid).ping();
    const swapped = swap(coid, thing(AsyncThing, { exportPart: () => 1 }));
    let failed = false;
    swapped.catch(() => {
      failed = true;
    });
    for (let turn = 0; turn < 50; turn++) await new Promise<void>((done) => setImmediate(done));
    expect(failed).toBe(false);
    open();
    await expect(swapped).rejects.toMatchObject({
      code: 'K42_SWAP_EXPORT',
      message: expect.stringContaining('the root part'),
      cause: expect.objectContaining({ name: 'RangeError', message: 'no root part today' }),
    });
    expect(await handle(coid).ping()).toBe(old.name);
  });
});

test('an implementation without the hooks its protocols promise fails in the transfer, and goes on', async () => {
  const hookless = defineImplementation<Thing>({
    name: 'parts/hookless@1',
    interface: AsyncThing,
    Root: class extends DistributedRoot<Thing> {
      static readonly exports = ['parts/anything@1'];

      protected override createRep(): Thing {
        return { ping: async () => 'hookless' };
      }
    },
  });
  const coid = create(hookless);
  await expect(swap(coid, thing(AsyncThing, { exportPart: () => 1 }))).rejects.toThrow(/exportPart/);
  expect(await handle(coid).ping()).toBe('hookless');
});
