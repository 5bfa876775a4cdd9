/**
 * Goal: a swap does what its options say: it is over by its deadline and given up at its signal, in whichever phase it is; it queues
 * if it is to; it brings its implementation with it; it can be reverted. Whatever it fails for, the old object serves on and a
 * retry works.
 * Method: swaps that are held in each phase by gates (holding.ts); modules that nobody imports but a swap, one that loads on
 * the host only, and one that takes its time (programs).
 */
import { type Coid, create, destroy, handle, type Implementation } from '@k42/clustered';
import { currentRoot, implementationOf } from '@k42/clustered/interpose';
import { Machine, spawn } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  QueueOverflowError,
  revert,
  SwapAbortedError,
  SwapDeadlineError,
  SwapDestroyedError,
  SwapInProgressError,
  SwapModuleError,
  type SwapOptions,
  type SwapReport,
  swap,
} from '../src/index.ts';
import { expectPending, HELD_PHASES, holdIn, reached } from './holding.ts';
import {
  type Box,
  Boxes,
  defineBox,
  GATE,
  introduce,
  ofItself,
  StillBoxes,
  whenAdopting,
} from './programs/boxes.ts';
import { closeGate, openAllGates, openGate, passGate, standingAt } from './programs/tape.ts';
import { bytesInUse, until } from './support.ts';

const program = new URL('./programs/boxes.ts', import.meta.url);
const moduleOf = (name: string): URL => new URL(`./programs/${name}.ts`, import.meta.url);
const [One, Two, Three, Four] = Boxes as readonly [
  Implementation<Box>,
  Implementation<Box>,
  Implementation<Box>,
  Implementation<Box>,
];
let machine: Machine;
let before: number;

beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, maxProcessors: 4, program });
  openAllGates();
  before = bytesInUse(machine);
});
afterEach(async () => {
  whenAdopting(() => {});
  openAllGates();
  await machine.close();
});

const onAll = <R>(name: string, ...args: unknown[]): Promise<R[]> =>
  Promise.all(machine.processors.map((number) => machine.call<R>(number, name, args)));
const nameOf = (coid: Coid<object>): string => implementationOf(currentRoot(coid)).name;
const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

/** A box that all processors have put something in: 3. */
async function boxOf(implementation: Implementation<Box>): Promise<Coid<Box>> {
  const coid = create(implementation);
  await onAll('put', coid, 1);
  return coid;
}

async function expectServes(
  coid: Coid<Box>,
  implementation: { readonly name: string },
  sum: number,
): Promise<void> {
  expect(nameOf(coid)).toBe(implementation.name);
  expect(await onAll('which', coid)).toEqual(machine.processors.map(() => implementation.name));
  expect(await onAll('sum', coid)).toEqual(machine.processors.map(() => sum));
}

async function expectNothingLeft(coid: Coid<object>): Promise<void> {
  await destroy(coid);
  await until(() => bytesInUse(machine) === before);
}

describe('deadlineMs', () => {
  test.each(HELD_PHASES)('passes in phase %s: the old object serves on, and a retry works', async (phase) => {
    const coid = await boxOf(One);
    const { swapped, release } = await holdIn(phase, coid, () => swap(coid, Two, { deadlineMs: 150 }));
    const error = await caught(swapped);
    expect(error).toBeInstanceOf(SwapDeadlineError);
    expect(error).toMatchObject({ code: 'K42_SWAP_DEADLINE', coid, phase });
    if (phase !== 'transfer') expect(error).toMatchObject({ processors: [0] });
    await expectServes(coid, One, 3);
    await release();
    expect((await swap(coid, Two)).to).toBe(Two.name);
    await expectServes(coid, Two, 3);
    await expectNothingLeft(coid);
  });

  test('counts from the call: what a module takes to load is gone from the rest', async () => {
    const coid = await boxOf(One);
    closeGate(GATE.MODULE);
    closeGate(GATE.THREAD);
    const since = performance.now();
    const swapped = swap(coid, { module: moduleOf('slowBox'), name: 'box-slow@1' }, { deadlineMs: 60_000 });
    await until(() => standingAt(GATE.MODULE) === 2);
    await until(() => performance.now() - since > 300);
    const thread = spawn(() => passGate(GATE.THREAD));
    const loadingMs = performance.now() - since;
    openGate(GATE.MODULE);
    const { block } = await reached(coid, 'forward');
    expect(block.deadlineMs).toBeLessThan(60_000 - loadingMs + 1);
    openGate(GATE.THREAD);
    await thread;
    await swapped;
    await expectServes(coid, { name: 'box-slow@1' }, 3);
  });

  test('passes while a module loads', async () => {
    const coid = await boxOf(One);
    const root = currentRoot(coid);
    closeGate(GATE.MODULE);
    const slow = { module: moduleOf('slowBox'), name: 'box-slow@1' };
    const error = await caught(swap(coid, slow, { deadlineMs: 100 }));
    expect(error).toBeInstanceOf(SwapDeadlineError);
    expect(error).toMatchObject({
      code: 'K42_SWAP_DEADLINE',
      phase: 'prepare',
      message: expect.stringContaining('slowBox'),
    });
    expect(currentRoot(coid)).toBe(root);
    openGate(GATE.MODULE);
    await swap(coid, slow);
    await expectServes(coid, { name: 'box-slow@1' }, 3);
  });

  test('passes while a miss on the object is in progress', async () => {
    // What a processor has to load for its first swap it could not load now.
    const first = create(One);
    await swap(first, Two);
    await expectNothingLeft(first);
    const coid = create(One);
    await machine.call(2, 'put', [coid, 1]);
    closeGate(GATE.MISS);
    const missing = machine.call(1, 'put', [coid, 1]);
    await until(() => standingAt(GATE.MISS) === 1);
    const error = await caught(swap(coid, Two, { deadlineMs: 100 }));
    expect(error).toMatchObject({
      code: 'K42_SWAP_DEADLINE',
      phase: 'prepare',
      message: expect.stringContaining('misses'),
    });
    expect(nameOf(coid)).toBe(One.name);
    openGate(GATE.MISS);
    await missing;
    await swap(coid, Two);
    await expectServes(coid, Two, 2);
    await expectNothingLeft(coid);
  });
});

describe('signal', () => {
  test('raised before: nothing has changed', async () => {
    const coid = await boxOf(One);
    const root = currentRoot(coid);
    const reason = new Error('changed my mind');
    const error = await caught(swap(coid, Two, { signal: AbortSignal.abort(reason) }));
    expect(error).toBeInstanceOf(SwapAbortedError);
    expect(error).toMatchObject({ code: 'K42_SWAP_ABORTED', coid, phase: 'prepare' });
    expect((error as Error).cause).toBe(reason);
    expect(currentRoot(coid)).toBe(root);
    await expectNothingLeft(coid);
  });

  test('raised while a module loads: nothing has changed', async () => {
    const coid = await boxOf(One);
    const root = currentRoot(coid);
    closeGate(GATE.MODULE);
    const controller = new AbortController();
    const slow = { module: moduleOf('slowBox'), name: 'box-slow@1' };
    const swapped = caught(swap(coid, slow, { signal: controller.signal }));
    await until(() => standingAt(GATE.MODULE) === 2);
    controller.abort('enough');
    expect(await swapped).toMatchObject({ code: 'K42_SWAP_ABORTED', phase: 'prepare', cause: 'enough' });
    expect(currentRoot(coid)).toBe(root);
  });

  test.each(HELD_PHASES)('raised in phase %s: the old object serves on, and a retry works', async (phase) => {
    const coid = await boxOf(One);
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    const { swapped, release } = await holdIn(phase, coid, () =>
      swap(coid, Two, { signal: controller.signal }),
    );
    controller.abort(reason);
    const error = await caught(swapped);
    expect(error).toBeInstanceOf(SwapAbortedError);
    expect(error).toMatchObject({ code: 'K42_SWAP_ABORTED', coid, phase });
    expect((error as Error).cause).toBe(reason);
    // At once, and not when what held it has let go.
    await expectServes(coid, One, 3);
    await release();
    await swap(coid, Two);
    await expectServes(coid, Two, 3);
    await expectNothingLeft(coid);
  });

  test('raised when the swap is decided: it has no effect', async () => {
    const coid = create(One);
    await handle(coid).put(3);
    const controller = new AbortController();
    let adopted = 0;
    whenAdopting(() => {
      adopted++;
      controller.abort('too late');
    });
    await swap(coid, Two, { signal: controller.signal });
    expect(adopted).toBe(1);
    controller.abort('much too late');
    await expectServes(coid, Two, 3);
    await expectNothingLeft(coid);
  });

  test('is not listened to any more when the swap is over', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>): void => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
      listeners--;
      remove(...args);
    };
    const coid = await boxOf(One);
    for (const next of [Two, One, Two]) await swap(coid, next, { signal });
    await until(() => listeners === 0);
  });
});

describe('ifInProgress', () => {
  test('refuse, which is the default: the second is refused in every phase, the first goes through', async () => {
    for (const phase of HELD_PHASES) {
      const coid = await boxOf(One);
      const { swapped, release } = await holdIn(phase, coid, () => swap(coid, Two));
      for (const options of [undefined, { ifInProgress: 'refuse' } as const]) {
        const error = await caught(swap(coid, Three, options));
        expect(error).toBeInstanceOf(SwapInProgressError);
        expect(error).toMatchObject({ code: 'K42_SWAP_IN_PROGRESS', coid, phase: 'prepare' });
      }
      await expect(machine.run(1, 'swapHere', [coid, Three.name])).rejects.toMatchObject({
        code: 'K42_SWAP_IN_PROGRESS',
      });
      await release();
      expect((await swapped).to).toBe(Two.name);
      await expectServes(coid, Two, 3);
      await expectNothingLeft(coid);
    }
  });

  test('queue: all go through, one after the other, and the last one asked for is there in the end', async () => {
    const coid = await boxOf(One);
    const { swapped, release } = await holdIn('forward', coid, () => swap(coid, Two));
    const queued = [Three, One, Four, Three].map((next) => swap(coid, next, { ifInProgress: 'queue' }));
    await Promise.all(queued.map(expectPending));
    await release();
    const reports = await Promise.all([swapped, ...queued]);
    expect(reports.map(({ from, to }) => [from, to])).toEqual([
      [One.name, Two.name],
      [Two.name, Three.name],
      [Three.name, One.name],
      [One.name, Four.name],
      [Four.name, Three.name],
    ]);
    await expectServes(coid, Three, 3);
    await expectNothingLeft(coid);
  });

  test('queue, from several processors: all go through, each from what the one before it has left', async () => {
    const coid = await boxOf(One);
    const { swapped, release } = await holdIn('block', coid, () => swap(coid, Two));
    const queued = [0, 1, 2, 1, 2].map((number, index) =>
      machine.run<SwapReport>(number, 'swapHere', [
        coid,
        (Boxes[index % 4] as Implementation<Box>).name,
        { ifInProgress: 'queue' },
      ]),
    );
    await Promise.all(queued.map(expectPending));
    await release();
    const reports = await Promise.all([swapped, ...queued]);
    // In the order in which they began they make a chain.
    const chain = reports.toSorted((a, b) => a.beganAt - b.beganAt);
    for (const [index, { from }] of chain.entries())
      expect(from).toBe(index === 0 ? One.name : chain[index - 1]?.to);
    await expectServes(coid, { name: (chain.at(-1) as SwapReport).to }, 3);
    await expectNothingLeft(coid);
  });

  test('queue: the deadline and the signal count while it waits, and it touches nothing', async () => {
    const coid = await boxOf(One);
    const { swapped, release } = await holdIn('forward', coid, () => swap(coid, Two));
    const controller = new AbortController();
    const late = caught(swap(coid, Three, { ifInProgress: 'queue', deadlineMs: 100 }));
    const aborted = caught(swap(coid, Three, { ifInProgress: 'queue', signal: controller.signal }));
    expect(await late).toMatchObject({
      code: 'K42_SWAP_DEADLINE',
      phase: 'prepare',
      message: expect.stringContaining('the swap before it'),
    });
    controller.abort('enough');
    expect(await aborted).toMatchObject({ code: 'K42_SWAP_ABORTED', phase: 'prepare', cause: 'enough' });
    await release();
    await swapped;
    await expectServes(coid, Two, 3);
    await expectNothingLeft(coid);
  });

  test('queue: when the one before fails, and when the object is destroyed', async () => {
    const coid = await boxOf(One);
    const first = await holdIn('forward', coid, () => swap(coid, Two, { deadlineMs: 200 }));
    const second = swap(coid, Three, { ifInProgress: 'queue' });
    await expect(first.swapped).rejects.toMatchObject({ code: 'K42_SWAP_DEADLINE' });
    await first.release();
    expect(await second).toMatchObject({ from: One.name, to: Three.name });
    const third = await holdIn('block', coid, () => swap(coid, One));
    const fourth = caught(swap(coid, Two, { ifInProgress: 'queue' }));
    const gone = destroy(coid);
    await expect(third.swapped).rejects.toMatchObject({ code: 'K42_SWAP_DESTROYED' });
    await third.release();
    await gone;
    expect(await fourth).toMatchObject({ code: 'K42_OBJECT_GONE' });
    await until(() => bytesInUse(machine) === before);
  });
});

describe('queueBound', () => {
  test('so many calls may wait on a processor; one more gives the swap up, and all are answered', async () => {
    for (const [calls, overflows] of [
      [7, false],
      [8, true],
    ] as const) {
      const coid = await boxOf(One);
      const { swapped, release } = await holdIn('transfer', coid, () => swap(coid, Two, { queueBound: 7 }));
      const answers = Array.from({ length: calls }, () => handle(coid).which());
      if (overflows) {
        const error = await caught(swapped);
        expect(error).toBeInstanceOf(QueueOverflowError);
        expect(error).toMatchObject({ code: 'K42_SWAP_QUEUE_OVERFLOW', coid, processor: 0 });
        expect((error as Error).message).toContain('7');
        expect(await Promise.all(answers)).toEqual(answers.map(() => One.name));
        await release();
      } else {
        await Promise.all(answers.map(expectPending));
        await release();
        expect((await swapped).queued).toBe(7);
        expect(await Promise.all(answers)).toEqual(answers.map(() => Two.name));
      }
      await expectNothingLeft(coid);
    }
  });
});

describe('options that make no sense', () => {
  test('are refused before anything has changed, by name', async () => {
    const coid = create(One);
    const root = currentRoot(coid);
    for (const [name, value] of [
      ['deadlineMs', 0],
      ['deadlineMs', -1],
      ['deadlineMs', 1.5],
      ['deadlineMs', Number.NaN],
      ['deadlineMs', Number.POSITIVE_INFINITY],
      ['deadlineMs', 2 ** 31],
      ['deadlineMs', '100'],
      ['maxPauseMs', 0],
      ['transferDeadlineMs', 0],
      ['queueBound', 0],
      ['queueBound', 0.5],
      ['ifInProgress', 'wait'],
      ['ifInProgress', true],
      ['module', 'file:///somewhere.ts'],
      ['signal', {}],
    ] as const) {
      const options = { [name]: value } as SwapOptions<void>;
      await expect(swap(coid, Two, options), `${name} = ${value}`).rejects.toMatchObject({
        code: 'K42_INVALID_ARGUMENT',
        message: expect.stringContaining(name),
      });
      expect(currentRoot(coid)).toBe(root);
    }
    expect(await handle(coid).which()).toBe(One.name);
  });

  test('so are what is no implementation, another interface, and an object that is not there', async () => {
    const coid = await boxOf(One);
    for (const wanted of [{}, { module: 'file:///x.ts', name: 'x' }, { module: new URL('file:///x.ts') }])
      await expect(swap(coid, wanted as unknown as Implementation<Box>)).rejects.toMatchObject({
        code: 'K42_INVALID_ARGUMENT',
      });
    await expect(swap(coid, StillBoxes[1] as Implementation<Box>)).rejects.toMatchObject({
      code: 'K42_INVALID_ARGUMENT',
      message: expect.stringContaining('boxes/still-box'),
    });
    await expectServes(coid, One, 3);
    await destroy(coid);
    await expect(swap(coid, Two)).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
  });
});

describe('modules', () => {
  test('are loaded only now, on every processor, and on those that come later', async () => {
    const coid = await boxOf(One);
    expect(await onAll('isDefined', 'box-late@1')).toEqual([false, false, false]);
    const report = await swap(coid, { module: moduleOf('lateBox'), name: 'box-late@1' });
    expect(report).toMatchObject({ from: One.name, to: 'box-late@1', participants: [0, 1, 2] });
    expect(await onAll('isDefined', 'box-late@1')).toEqual([true, true, true]);
    await expectServes(coid, { name: 'box-late@1' }, 3);
    const fourth = await machine.add();
    expect(await machine.call(fourth, 'which', [coid])).toBe('box-late@1');
    await expectNothingLeft(coid);
  });

  test('may be asked for by any processor', async () => {
    const coid = await boxOf(One);
    const module = moduleOf('lateBox').href;
    await machine.run(2, 'swapHere', [coid, { module, name: 'box-late@1' }]);
    await expectServes(coid, { name: 'box-late@1' }, 3);
  });

  test('that are missing, or throw on one processor, or lack the name: nothing has changed, and a good one works', async () => {
    const coid = await boxOf(One);
    const [root, bytes] = [currentRoot(coid), bytesInUse(machine)];
    for (const [module, name, says] of [
      [moduleOf('noSuchBox'), 'box-late@1', /noSuchBox/],
      [moduleOf('brokenBox'), 'box-broken@1', /this module is for the host/],
      [moduleOf('lateBox'), 'box-never@1', /box-never@1/],
    ] as const) {
      const error = await caught(swap(coid, { module, name }));
      expect(error).toBeInstanceOf(SwapModuleError);
      expect(error).toMatchObject({
        code: 'K42_SWAP_MODULE',
        coid,
        phase: 'prepare',
        message: expect.stringMatching(says),
      });
      if (name !== 'box-never@1') expect((error as Error).cause).toBeInstanceOf(Error);
      expect([currentRoot(coid), bytesInUse(machine)]).toEqual([root, bytes]);
      await expectServes(coid, One, 3);
    }
    await swap(coid, { module: moduleOf('lateBox'), name: 'box-late@1' });
    await expectServes(coid, { name: 'box-late@1' }, 3);
    // Who comes later does not stumble over the broken ones.
    const fourth = await machine.add();
    expect(await machine.call(fourth, 'which', [coid])).toBe('box-late@1');
    await expectNothingLeft(coid);
  });

  test('may be named in the options', async () => {
    const coid = await boxOf(One);
    // Of a name that this thread has defined by itself, and the others find in the module.
    const { LateBox } = (await import(moduleOf('lateBox').href)) as { LateBox: Implementation<Box> };
    await swap(coid, LateBox, { module: moduleOf('lateBox') });
    await expectServes(coid, LateBox, 3);
  });

  const Unknown = defineBox('box-unknown@1');
  test('of which a participant knows nothing: it says so, and the old object serves on', async () => {
    const coid = create(One);
    await handle(coid).put(1);
    await machine.call(1, 'put', [coid, 2]);
    const error = await caught(swap(coid, Unknown));
    expect(error).toBeInstanceOf(SwapModuleError);
    expect(error).toMatchObject({ code: 'K42_SWAP_MODULE', coid, processor: 1, phase: 'forward' });
    expect((error as Error).message).toContain('box-unknown@1');
    await expectServes(coid, One, 3);
    await swap(coid, Two);
    await expectServes(coid, Two, 3);
    await expectNothingLeft(coid);
  });
});

describe('reverting', () => {
  test('by the report, with the state by then; and reverting that', async () => {
    const coid = await boxOf(One);
    const there = await swap(coid, Two);
    await onAll('put', coid, 10);
    const back = await there.revert();
    expect(back).toMatchObject({ from: Two.name, to: One.name });
    await expectServes(coid, One, 33);
    expect(await back.revert({ deadlineMs: 5000 })).toMatchObject({ from: One.name, to: Two.name });
    await expectServes(coid, Two, 33);
    await expectNothingLeft(coid);
  });

  test('of a copy, and on another processor, by the function', async () => {
    const coid = await boxOf(One);
    const report = await machine.run<SwapReport>(2, 'swapHere', [coid, Two.name]);
    await onAll('put', coid, 10);
    await revert(report);
    await expectServes(coid, One, 33);
    const again = await swap(coid, Three);
    await machine.run(1, 'revertHere', [structuredClone(again)]);
    await expectServes(coid, One, 33);
    await expectNothingLeft(coid);
  });

  test('takes options, and fails as any swap', async () => {
    const coid = await boxOf(One);
    const report = await swap(coid, Two);
    await expect(report.revert({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'K42_SWAP_ABORTED',
    });
    await expect(report.revert({ deadlineMs: 0 })).rejects.toMatchObject({ code: 'K42_INVALID_ARGUMENT' });
    await expectServes(coid, Two, 3);
    const copy = { ...structuredClone(report), from: 'box-nobody-has@1' } as SwapReport;
    await expect(revert(copy)).rejects.toMatchObject({ code: 'K42_SWAP_MODULE' });
    await destroy(coid);
    await expect(report.revert()).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
  });
});

describe('from inside', () => {
  test('a swap that a call on the object begins and does not wait for goes through when the call is over', async () => {
    const coid = await boxOf(One);
    introduce(coid);
    expect(await handle(coid).swapItself(Two.name)).toBe(false);
    expect(await ofItself()).toMatchObject({ from: One.name, to: Two.name });
    // The call ended on the old object, and what it did last is not lost.
    await expectServes(coid, Two, 4);
    await expectNothingLeft(coid);
  });
});

describe('destroy', () => {
  test.each(HELD_PHASES)('in phase %s gives the swap up first; calls made before it end', async (phase) => {
    const coid = await boxOf(One);
    const box = handle(coid);
    const { swapped, release } = await holdIn(phase, coid, () => swap(coid, Two));
    const asked = box.which();
    const gone = destroy(coid);
    const error = await caught(swapped);
    expect(error).toBeInstanceOf(SwapDestroyedError);
    expect(error).toMatchObject({ code: 'K42_SWAP_DESTROYED', coid, phase });
    expect(await asked).toBe(One.name);
    await release();
    await gone;
    await expect(async () => box.which()).rejects.toMatchObject({ code: 'K42_OBJECT_GONE' });
    await until(() => bytesInUse(machine) === before);
  });

  test('by another processor in the midst of it, and a swap of it from there', async () => {
    const coid = await boxOf(One);
    const swapping = machine.run(1, 'swapHere', [coid, Two.name]).catch((error: unknown) => error);
    await destroy(coid);
    const outcome = await swapping;
    if (outcome instanceof Error)
      expect(['K42_SWAP_DESTROYED', 'K42_OBJECT_GONE']).toContain((outcome as Error & { code: string }).code);
    await until(() => bytesInUse(machine) === before);
  });
});
