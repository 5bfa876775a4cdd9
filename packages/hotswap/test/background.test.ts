/**
 * Goal: background work of an object, which is no call, has stopped before its state is taken, goes on after an abort and not after
 * a commit; what cannot stop, or is not valid when it is all there, ends the swap.
 * Method: journals that write back by timers on three processors, and note on a tape when they do (programs/writeBack.ts);
 * freezes that take until a gate is open, or fail on one processor.
 */
import { type Coid, create, destroy, handle, type Implementation } from '@k42/clustered';
import { Machine, spawn } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FreezeError, SwapAbortedError, swap, ValidationError } from '../src/index.ts';
import { expectPending } from './holding.ts';
import {
  clearTape,
  closeGate,
  type Noted,
  noted,
  openAllGates,
  openGate,
  passGate,
  standingAt,
  type What,
} from './programs/tape.ts';
import {
  Async,
  GATE,
  type Journal,
  letFreeze,
  letValidate,
  Sync,
  stopAll,
  type Way,
  written,
} from './programs/writeBack.ts';
import { until } from './support.ts';

const program = new URL('./programs/writeBack.ts', import.meta.url);
const PROCESSORS = [0, 1, 2];
let machine: Machine;

beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, program });
  clearTape();
});
afterEach(async () => {
  openAllGates();
  stopAll();
  await machine.close();
});

const onAll = <R>(name: string, ...args: unknown[]): Promise<R[]> =>
  Promise.all(PROCESSORS.map((number) => machine.call<R>(number, name, args)));

async function journal(implementation: Implementation<Journal>): Promise<Coid<Journal>> {
  const coid = create(implementation);
  await onAll('append', coid, 1);
  return coid;
}

/** Processors of which something has been noted, ascending. */
const processorsOf = (what: What, version?: number): number[] =>
  noted(what)
    .filter(({ detail }) => version === undefined || detail === version)
    .map(({ processor }) => processor)
    .toSorted((a, b) => a - b);

/** Waits until each processor has written back that often more, in some version. */
async function writesBack(version: number, times = 3): Promise<void> {
  const count = (): number[] =>
    PROCESSORS.map(
      (number) =>
        noted('flush').filter(({ processor, detail }) => processor === number && detail === version).length,
    );
  const before = count();
  await until(() => count().every((now, number) => now >= (before[number] as number) + times));
}

const indexOfLast = (notes: readonly Noted[], what: What, processor?: number): number =>
  notes.findLastIndex(
    (each) => each.what === what && (processor === undefined || each.processor === processor),
  );

type Pair = readonly [Implementation<Journal>, Implementation<Journal>];
const KINDS: readonly [string, Pair][] = [
  ['a synchronous interface', Sync as unknown as Pair],
  ['an asynchronous interface', Async],
];

describe.each(KINDS)('background work behind %s', (_name, [One, Two]) => {
  test('stops before anything is exported, for good; the new object begins its own; nothing is lost', async () => {
    const coid = await journal(One);
    await writesBack(1);
    letFreeze('well');
    const report = await swap(coid, Two);
    expect(report.participants).toEqual(PROCESSORS);
    expect(processorsOf('freeze ends', 1)).toEqual(PROCESSORS);
    await onAll('append', coid, 10);
    await writesBack(2);
    const notes = noted();
    const firstExport = notes.findIndex(({ what }) => what === 'export begins');
    for (const number of PROCESSORS) {
      const frozen = indexOfLast(notes, 'freeze ends', number);
      expect(frozen).toBeLessThan(firstExport);
      const lastFlush = notes.findLastIndex(
        ({ what, processor, detail }) => what === 'flush' && processor === number && detail === 1,
      );
      expect(lastFlush).toBeGreaterThanOrEqual(0);
      expect(lastFlush).toBeLessThan(frozen);
    }
    expect(noted('thaw')).toEqual([]);
    await until(() => written(machine.memory) === 33);
    await destroy(coid);
  });

  test('may take its time to stop: the swap waits for it, and what has not been written back goes along', async () => {
    const coid = await journal(One);
    await writesBack(1);
    letFreeze('later');
    closeGate(GATE.FREEZE);
    const swapped = swap(coid, Two);
    await until(() => standingAt(GATE.FREEZE) === 3);
    await expectPending(swapped);
    expect(noted('export begins')).toEqual([]);
    const stopped = noted('flush').length;
    // Calls come meanwhile: they are forwarded or wait, and must not be lost.
    const calls = onAll('append', coid, 10);
    for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    openGate(GATE.FREEZE);
    await swapped;
    await calls;
    expect(
      noted('flush')
        .slice(stopped)
        .filter(({ detail }) => detail === 1),
    ).toEqual([]);
    const notes = noted();
    expect(indexOfLast(notes, 'freeze ends')).toBeLessThan(
      notes.findIndex(({ what }) => what === 'export begins'),
    );
    await onAll('pending', coid);
    await until(() => written(machine.memory) === 33);
    expect(noted('thaw')).toEqual([]);
    await destroy(coid);
  });

  test('goes on after an abort, wherever it had stopped, and stops again for the next swap', async () => {
    const coid = await journal(One);
    await writesBack(1);
    letFreeze('well');
    letValidate('false', 2);
    await expect(swap(coid, Two)).rejects.toMatchObject({ code: 'K42_SWAP_VALIDATION' });
    await until(() => processorsOf('thaw', 1).length === 3);
    expect(processorsOf('thaw', 1)).toEqual(PROCESSORS);
    await onAll('append', coid, 10);
    await writesBack(1);
    expect(written(machine.memory)).toBe(33);
    expect(await onAll('versionHere', coid)).toEqual([1, 1, 1]);
    letValidate('well');
    clearTape();
    await swap(coid, Two);
    expect(processorsOf('freeze ends', 1)).toEqual(PROCESSORS);
    expect(noted('thaw')).toEqual([]);
    await onAll('append', coid, 100);
    await until(() => written(machine.memory) === 333);
    await destroy(coid);
  });

  test('is left alone by a swap that ends before it blocks', async () => {
    const coid = await journal(One);
    await writesBack(1);
    closeGate(GATE.THREAD);
    const thread = spawn(() => passGate(GATE.THREAD));
    await expect(swap(coid, Two, { deadlineMs: 1000 })).rejects.toMatchObject({ phase: 'forward' });
    await writesBack(1);
    expect(noted('freeze begins', 'freeze ends', 'thaw')).toEqual([]);
    openGate(GATE.THREAD);
    await thread;
    await destroy(coid);
  });

  test.each<[Way, number]>([
    ['throws', 0],
    ['throws', 2],
    ['rejects', 0],
    ['rejects', 1],
  ])(
    'that cannot stop (%s on processor %i) ends the swap, and the old object serves on',
    async (way, failing) => {
      const coid = await journal(One);
      await writesBack(1);
      letFreeze(way, failing);
      const error: unknown = await swap(coid, Two).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(FreezeError);
      expect(error).toMatchObject({
        code: 'K42_SWAP_FREEZE',
        coid,
        processor: failing,
        phase: 'block',
        cause: expect.objectContaining({ name: 'RangeError', message: 'freeze asked to fail' }),
      });
      expect(noted('export begins', 'adopt', 'relinquish')).toEqual([]);
      // Who had stopped goes on. Who could not has nothing to be thawed.
      const others = PROCESSORS.filter((number) => number !== failing);
      const frozen = processorsOf('freeze ends', 1).filter((number) => number !== failing);
      await until(() => processorsOf('thaw', 1).length >= frozen.length);
      expect(processorsOf('thaw', 1)).toEqual(frozen);
      expect(others).toEqual(expect.arrayContaining(frozen));
      expect(await onAll('versionHere', coid)).toEqual([1, 1, 1]);
      letFreeze('well');
      clearTape();
      await swap(coid, Two);
      expect(await onAll('versionHere', coid)).toEqual([2, 2, 2]);
      await destroy(coid);
    },
  );

  test('that is about to stop when the swap is given up: clients go on at once, the thaw follows the freeze', async () => {
    const coid = await journal(One);
    await writesBack(1);
    letFreeze('later');
    closeGate(GATE.FREEZE);
    const controller = new AbortController();
    const swapped = swap(coid, Two, { signal: controller.signal });
    await until(() => standingAt(GATE.FREEZE) === 3);
    controller.abort();
    await expect(swapped).rejects.toBeInstanceOf(SwapAbortedError);
    await onAll('append', coid, 10);
    expect(await handle(coid).version()).toBe(1);
    expect(noted('thaw')).toEqual([]);
    // A second swap may begin: its freeze comes when the first is over and undone.
    const second = swap(coid, Two);
    await expectPending(second);
    expect(noted('freeze begins').length).toBe(3);
    openGate(GATE.FREEZE);
    await second;
    for (const number of PROCESSORS) {
      const steps = noted('freeze begins', 'freeze ends', 'thaw')
        .filter(({ processor, detail }) => processor === number && detail === 1)
        .map(({ what }) => what);
      expect(steps).toEqual(['freeze begins', 'freeze ends', 'thaw', 'freeze begins', 'freeze ends']);
    }
    await onAll('pending', coid);
    await until(() => written(machine.memory) === 33);
    expect(await onAll('versionHere', coid)).toEqual([2, 2, 2]);
    await destroy(coid);
  });
});

describe('a deadline while background work is about to stop', () => {
  test('names that, and what has stopped since goes on', async () => {
    const coid = await journal(Async[0]);
    letFreeze('later', 1);
    closeGate(GATE.FREEZE);
    await expect(swap(coid, Async[1], { deadlineMs: 1000 })).rejects.toMatchObject({
      code: 'K42_SWAP_DEADLINE',
      phase: 'block',
      processors: [1],
      hindrances: [expect.objectContaining({ processor: 1, kind: 'freeze' })],
      message: expect.stringContaining('background work'),
    });
    openGate(GATE.FREEZE);
    await until(() => processorsOf('thaw', 1).length === 3);
    await onAll('append', coid, 10);
    await until(() => written(machine.memory) === 33);
    await destroy(coid);
  });
});

describe.each(KINDS)('validation behind %s', (name, [One, Two]) => {
  test('sees all imports of all processors', async () => {
    const coid = await journal(One);
    clearTape();
    if (name.includes('an asynchronous')) {
      closeGate(GATE.IMPORT_ON_1);
      const swapped = swap(coid, Two);
      await until(() => noted('import ends').length === 2 && standingAt(GATE.IMPORT_ON_1) === 1);
      await expectPending(swapped);
      expect(noted('validate')).toEqual([]);
      openGate(GATE.IMPORT_ON_1);
      await swapped;
    } else await swap(coid, Two);
    expect(processorsOf('validate')).toEqual(PROCESSORS);
    expect(noted('validate').map(({ detail }) => detail)).toEqual([3, 3, 3]);
    await destroy(coid);
  });

  const ways: readonly Way[] = name.includes('an asynchronous')
    ? ['throws', 'false', 'rejects', 'false later']
    : ['throws', 'false'];
  test.each(ways)('that fails (%s) on any processor rolls the swap back; a retry works', async (way) => {
    const coid = await journal(One);
    for (const failing of [0, 2]) {
      clearTape();
      letValidate(way, failing);
      const error: unknown = await swap(coid, Two).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ValidationError);
      expect(error).toMatchObject({
        code: 'K42_SWAP_VALIDATION',
        coid,
        processor: failing,
        phase: 'transfer',
      });
      const { cause } = error as Error;
      expect(cause).toMatchObject(way.includes('false') ? { message: /false/ } : { name: 'RangeError' });
      expect(noted('adopt', 'relinquish')).toEqual([]);
      expect(await onAll('versionHere', coid)).toEqual([1, 1, 1]);
    }
    letValidate('well');
    clearTape();
    await swap(coid, Two);
    expect(noted('adopt', 'relinquish').map(({ what, detail }) => [what, detail])).toEqual([
      ['adopt', 2],
      ['relinquish', 1],
    ]);
    await onAll('append', coid, 1);
    await until(() => written(machine.memory) === 6);
    await destroy(coid);
  });
});
