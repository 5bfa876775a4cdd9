/**
 * Goal: the corners of the protocol: order, latecomers, crossing calls, busy processors, deadlines, deaths.
 * Method: gates in machine memory hold a call or a transfer open, so that each corner is reached for certain.
 */

import { type Coid, create, destroy, handle } from '@k42/clustered';
import { currentRoot, implementationOf, rootView } from '@k42/clustered/interpose';
import { Machine, spawn } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type PhaseName, swap } from '../src/index.ts';
import { phaseName } from '../src/internal/swapBlock.ts';
import { MediatorRoot } from '../src/mediator.ts';
import { DistributedCounter, SharedCounter } from './programs/counters.ts';
import {
  callFromExports,
  GATE,
  isGateClosed,
  NosyPartner,
  PartnerV1,
  PartnerV2,
  RecorderV1,
  RecorderV2,
  setGate,
} from './programs/recorders.ts';

const program = new URL('./programs/recorders.ts', import.meta.url);
const counters = new URL('./programs/counters.ts', import.meta.url);
let machine: Machine;

beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, program });
  await machine.load(counters);
});
afterEach(async () => {
  setGate(GATE.CALL, false);
  setGate(GATE.EXPORT, false);
  await machine.close();
});

const onAll = <R>(name: string, ...args: unknown[]): Promise<R[]> =>
  Promise.all([0, 1, 2].map((number) => machine.run<R>(number, name, args)));
const nameOf = (coid: Coid<object>): string => implementationOf(currentRoot(coid)).name;
/** Turns of the event loop until a swap of the object has interposed its Mediator and come to a phase. */
async function reached(coid: Coid<object>, phase: PhaseName): Promise<MediatorRoot> {
  for (;;) {
    const root = nameOf(coid) === 'hotswap/mediator@1' ? rootView(currentRoot(coid)) : undefined;
    if (root instanceof MediatorRoot && phaseName(root.block.phase()) === phase) return root;
    await turn();
  }
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('asynchronous interfaces', () => {
  test('keep the order of every caller over thirty swaps, with calls in flight and queued', async () => {
    const coid = create(RecorderV1);
    setGate(GATE.CALL, true);
    const lists = onAll<number[]>('recordUntilGate', coid);
    // The first transfer is held open until calls queue.
    setGate(GATE.EXPORT, true);
    const first = swap(coid, RecorderV2);
    const mediator = await reached(coid, 'transfer');
    while (mediator.queued === 0) await turn();
    setGate(GATE.EXPORT, false);
    let { queued } = await first;
    for (let round = 1; round < 30; round++) {
      queued += (await swap(coid, round % 2 === 0 ? RecorderV2 : RecorderV1)).queued;
    }
    setGate(GATE.CALL, false);
    for (const list of await lists) {
      expect(list.length).toBeGreaterThan(0);
      expect(list).toEqual(Array.from(list, (_, n) => n));
    }
    expect(queued).toBeGreaterThan(0);
  });

  test('a processor first touched in TRANSFER queues its call, and gets its result from the new object', async () => {
    const coid = create(RecorderV1);
    await handle(coid).record(0);
    setGate(GATE.EXPORT, true);
    const swapped = swap(coid, RecorderV2);
    const here = handle(coid);
    // In TRANSFER calls on the participant queue too; the export stands at its gate.
    let early = false;
    await reached(coid, 'transfer');
    const queuedHere = here.record(2).then((value) => {
      early = true;
      return value;
    });
    await machine.run(1, 'startRecording', [coid, 1]);
    for (let i = 0; i < 20; i++) await turn();
    expect(early).toBe(false);
    setGate(GATE.EXPORT, false);
    expect(await queuedHere).toBe(2);
    expect(await machine.run(1, 'finishRecording')).toBe(1);
    const report = await swapped;
    expect(report).toMatchObject({ participants: [0], queued: 2 });
    expect(await here.list()).toEqual([0, 2]);
    expect(await machine.run(1, 'listHere', [coid])).toEqual([1]);
  });

  test('a processor first touched in BLOCK keeps the order of its calls, also of one made just after the decision', async () => {
    const coid = create(RecorderV1);
    await handle(coid).record(0);
    setGate(GATE.CALL, true);
    const control = new AbortController();
    // A thread from before keeps FORWARD on until a call that has been forwarded is under way.
    const thread = Promise.withResolvers<void>();
    const before = spawn(() => thread.promise);
    const swapped = swap(coid, RecorderV2, { signal: control.signal }).catch((error: unknown) => error);
    await reached(coid, 'forward');
    for (let i = 0; i < 20; i++) await turn();
    const held = handle(coid).waitForGate();
    thread.resolve();
    await before;
    await reached(coid, 'block');
    await machine.run(1, 'startRecording', [coid, 1]);
    // Its step has run by the time it answers again.
    for (let i = 0; i < 5; i++) await machine.run(1, 'listNothing');
    const second = machine.run(1, 'recordWhenSwung', [coid, 2]);
    while (!isGateClosed(GATE.EXPORT)) await turn();
    control.abort();
    await second;
    expect(await swapped).toMatchObject({ code: 'K42_SWAP_ABORTED' });
    expect(await machine.run(1, 'listHere', [coid])).toEqual([1, 2]);
    setGate(GATE.CALL, false);
    await held;
  });

  test('a tracked call holds the swap up until it ends; one that outlasts the deadline aborts it', async () => {
    const coid = create(RecorderV1);
    await handle(coid).record(0);
    setGate(GATE.CALL, true);
    const swapped = swap(coid, RecorderV2, { deadlineMs: 300 });
    await reached(coid, 'forward');
    const held = handle(coid).waitForGate();
    const error = await swapped.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'K42_SWAP_DEADLINE', processors: [0] });
    expect(nameOf(coid)).toBe('test/recorder@1');
    setGate(GATE.CALL, false);
    await held;
    expect((await swap(coid, RecorderV2)).to).toBe('test/recorder@2');
  });

  test('an export that never ends passes the transfer deadline; queued calls go to the old object', async () => {
    const coid = create(RecorderV1);
    await handle(coid).record(0);
    setGate(GATE.EXPORT, true);
    const swapped = swap(coid, RecorderV2, { transferDeadlineMs: 50, deadlineMs: 5000 });
    const caught = swapped.catch((thrown: unknown) => thrown);
    await reached(coid, 'transfer');
    const queued = handle(coid).record(1);
    // Clients do not wait for the late export, nor does whoever awaits the swap.
    expect(await queued).toBe(1);
    expect(await caught).toMatchObject({ code: 'K42_SWAP_DEADLINE', phase: 'transfer' });
    expect(await handle(coid).list()).toEqual([0, 1]);
    // But nothing it may touch is reclaimed before it has ended, here by a destruction.
    let gone = false;
    const destroyed = destroy(coid).then(() => {
      gone = true;
    });
    for (let i = 0; i < 20; i++) await turn();
    expect(gone).toBe(false);
    setGate(GATE.EXPORT, false);
    await destroyed;
  });
});

describe('objects that call each other', () => {
  test('are swapped at once, again and again, without deadlock: marked calls get through', async () => {
    const coids = [create(PartnerV1), create(PartnerV1)] as const;
    await onAll('introducePartners', coids);
    const visits = Promise.all([
      onAll<number>('visitMany', coids[0], 60, 6),
      onAll<number>('visitMany', coids[1], 60, 6),
    ]);
    for (let round = 0; round < 20; round++) {
      const target = round % 2 === 0 ? PartnerV2 : PartnerV1;
      await Promise.all(coids.map((coid) => swap(coid, target, { deadlineMs: 8000 })));
    }
    const made = (await visits).flat().reduce((sum, count) => sum + count, 0);
    const counted = (await Promise.all(coids.map((coid) => onAll<number>('countHere', coid)))).flat();
    expect(counted.reduce((sum, count) => sum + count, 0)).toBe(made);
  });
});

describe('an export that calls another object', () => {
  test('gets through where that object serves, and is refused where it is transferring its own state', async () => {
    const [recorder, nosy] = [create(RecorderV1), create(NosyPartner)];
    await handle(recorder).record(0);
    await handle(nosy).visit(0);
    callFromExports(recorder);
    expect((await swap(nosy, PartnerV1)).to).toBe('test/partner@1');
    await swap(nosy, NosyPartner);
    setGate(GATE.EXPORT, true);
    const recorderSwap = swap(recorder, RecorderV2);
    await reached(recorder, 'transfer');
    await expect(swap(nosy, PartnerV1)).rejects.toMatchObject({
      code: 'K42_SWAP_EXPORT',
      cause: expect.objectContaining({ code: 'K42_SWAP_REENTRY' }),
    });
    expect(nameOf(nosy)).toBe('test/partner-nosy@1');
    setGate(GATE.EXPORT, false);
    await recorderSwap;
    expect(await handle(recorder).list()).toEqual([0, -1, -1]);
  });
});

describe('stop points', () => {
  test('meet processors whose turns last ten milliseconds', async () => {
    const coid = create(SharedCounter);
    await onAll('countInHere', coid);
    setGate(GATE.CALL, true);
    const busy = [1, 2].map((number) => machine.run<number>(number, 'busyTurns', [10]));
    for (let round = 0; round < 4; round++) {
      const report = await swap(coid, round % 2 === 0 ? DistributedCounter : SharedCounter, {
        maxPauseMs: 60,
      });
      expect(report.participants).toEqual([0, 1, 2]);
    }
    setGate(GATE.CALL, false);
    for (const turns of await Promise.all(busy)) expect(turns).toBeGreaterThan(0);
  });
});

describe('deaths', () => {
  test('a processor that dies before the transfer drops out, and the swap goes through without it', async () => {
    const coid = create(RecorderV1);
    for (const number of [0, 1, 2]) await machine.call(number, 'recordOne', [coid, number]);
    setGate(GATE.CALL, true);
    const lingering = machine.call(1, { module: program, name: 'lingerInThread' }, []);
    lingering.catch(() => {});
    await machine.run(1, 'listHere', [coid]);
    const swapped = swap(coid, RecorderV2);
    await reached(coid, 'forward');
    machine.run(1, 'exitNow').catch(() => {});
    expect((await swapped).participants).toEqual([0, 2]);
    await expect(lingering).rejects.toMatchObject({ code: 'K42_PROCESSOR_GONE' });
    expect(await machine.call(2, 'recordOne', [coid, 7])).toBe(7);
  });
});
