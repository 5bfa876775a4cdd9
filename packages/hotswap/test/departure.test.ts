/**
 * Goal: a processor that leaves in order while an object that it has a part of is being swapped takes nothing along: the swap
 * succeeds or is given up, the sum of all parts is exact on either side, and a retry works.
 * Method: a number that is divided over the heaps of all processors (programs/cells.ts); workers of the machine, which are
 * removed, and threads that have joined, which leave, while swaps are held in each phase by gates; then as departures and swaps
 * happen to meet, at offsets of some turns. Replay: K42_SEED=<seed> pnpm --filter @k42/hotswap test test/departure.test.ts
 */
import { Worker } from 'node:worker_threads';
import { type Coid, create, destroy, type Implementation } from '@k42/clustered';
import { currentRoot, implementationOf } from '@k42/clustered/interpose';
import { Machine, spawn } from '@k42/rcu';
import { randomFrom } from '@k42/tooling/random';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type SwapReport, swap } from '../src/index.ts';
import { type HeldPhase, reached } from './holding.ts';
import { Async, type AsyncCells, type CellsFamily, GATE, Sync } from './programs/cells.ts';
import {
  clearTape,
  closeGate,
  noted,
  openAllGates,
  openGate,
  passGate,
  standingAt,
} from './programs/tape.ts';
import { bytesInUse, until } from './support.ts';

const program = new URL('./programs/cells.ts', import.meta.url);
const leaverModule = new URL('./programs/leaver.ts', import.meta.url);
const seed = Number(process.env.K42_SEED ?? Date.now() % 2 ** 31);
const DEADLINE_MS = 8000;
/** What a swap may be given up for when a processor leaves. */
const EXPECTED = new Set(['K42_SWAP_PROCESSOR_GONE']);
let machine: Machine;
let before: number;
let joined: Worker[];
/** Uncaught exceptions of those that left, whoever started them. */
let died: string[];
const noteDeath = ({ name, message }: Error): void => {
  if (name === 'K42Warning' && message.includes('died')) died.push(message);
};

beforeEach(async () => {
  died = [];
  process.on('warning', noteDeath);
  machine = await Machine.boot({ processors: 3, maxProcessors: 5, program });
  openAllGates();
  clearTape();
  before = bytesInUse(machine);
  joined = [];
});
afterEach(async () => {
  openAllGates();
  await machine.close();
  await Promise.all(joined.map((worker) => worker.terminate()));
  process.off('warning', noteDeath);
  expect(died).toEqual([]);
});

interface Leaver {
  readonly number: number;
  /** Leaves, in order; settles when it is gone. */
  leave(): Promise<void>;
}

async function gone(number: number): Promise<void> {
  await until(() => !machine.processors.includes(number));
}

const LEAVERS: Readonly<Record<string, () => Promise<Leaver>>> = {
  'a worker that is removed': async () => {
    const number = await machine.add();
    return { number, leave: () => machine.remove(number) };
  },
  'a thread that has joined': async () => {
    const worker = new Worker(leaverModule, { workerData: machine.ticket() });
    joined.push(worker);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    worker.once('message', resolve);
    worker.on('error', (error: Error) => {
      died.push(String(error.stack));
      reject(error);
    });
    const number = await promise;
    await until(() => machine.processors.includes(number));
    return {
      number,
      async leave() {
        await machine.run(number, 'leaveSoon');
        await gone(number);
      },
    };
  },
};

const add = (processor: number, coid: Coid<AsyncCells>, by: number): Promise<number> =>
  machine.call<number>(processor, 'add', [coid, by]);
const nameOf = (coid: Coid<object>): string => implementationOf(currentRoot(coid)).name;

async function expectTotal(coid: Coid<AsyncCells>, total: number, where = ''): Promise<void> {
  for (const number of machine.processors)
    expect(await machine.call(number, 'total', [coid]), where).toBe(total);
}

/** How a swap has ended: undefined if well. @throws if it ended by anything that is not to be expected */
async function outcome(swapped: Promise<SwapReport>): Promise<string | undefined> {
  try {
    await swapped;
    return undefined;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined || !EXPECTED.has(code)) throw error;
    return code;
  }
}

/** Begins a swap, and holds it in a phase on the processors that stay. */
async function hold(
  phase: HeldPhase,
  coid: Coid<AsyncCells>,
  to: Implementation<AsyncCells>,
): Promise<Promise<SwapReport>[]> {
  if (phase === 'transfer') closeGate(GATE.EXPORT_ON_1);
  else closeGate(GATE.THREAD);
  const thread = phase === 'transfer' ? undefined : spawn(() => passGate(GATE.THREAD));
  const swapped = swap(coid, to, { deadlineMs: DEADLINE_MS, transferDeadlineMs: DEADLINE_MS });
  swapped.catch(() => {});
  const { block } = await reached(coid, phase === 'transfer' ? 'transfer' : 'forward');
  if (phase === 'transfer') await until(() => standingAt(GATE.EXPORT_ON_1) > 0);
  if (phase === 'block') {
    await until(() => !block.notElapsed().includes(1));
    closeGate(GATE.CALL);
    await machine.run(1, 'beginHold', [coid]);
    openGate(GATE.THREAD);
    await thread;
    await reached(coid, 'block');
  }
  // Wrapped, so that awaiting this does not wait for the swap.
  return [swapped];
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

type Pair = readonly [string, CellsFamily<AsyncCells>, readonly HeldPhase[]];
const KINDS: readonly Pair[] = [
  ['an asynchronous interface', Async, ['forward', 'block', 'transfer']],
  // Its processors are stopped in TRANSFER: nobody can ask anybody to leave.
  ['a synchronous interface', Sync as unknown as CellsFamily<AsyncCells>, ['forward', 'block']],
];

describe.each(KINDS)('leaving during a swap of %s', (_name, { Heap, OtherHeap, Shared }, phases) => {
  describe.each(Object.keys(LEAVERS))('%s', (kind) => {
    test.each(phases)('in phase %s', async (phase) => {
      for (const [from, to] of [
        [Heap, OtherHeap],
        [Heap, Shared],
        [Shared, Heap],
      ] as const) {
        const coid = create(from);
        const leaver = await (LEAVERS[kind] as () => Promise<Leaver>)();
        for (const number of [0, 1, 2, leaver.number]) await add(number, coid, 10 ** number);
        const total = 111 + 10 ** leaver.number;
        const [swapped] = (await hold(phase, coid, to)) as [Promise<SwapReport>];
        const left = leaver.leave();
        // It may go at once, or wait for the swap.
        await Promise.race([left, turns(200)]);
        openAllGates();
        const why = await outcome(swapped);
        await left;
        expect(nameOf(coid)).toBe(why === undefined ? to.name : from.name);
        await until(() => machine.processors.length === 3);
        await expectTotal(coid, total, `${from.name} to ${to.name}`);
        const retry = await swap(coid, why === undefined ? from : to, { deadlineMs: DEADLINE_MS });
        expect(retry.participants).not.toContain(leaver.number);
        await expectTotal(coid, total, `${from.name} to ${to.name}, again`);
        await destroy(coid);
      }
      await until(() => bytesInUse(machine) === before);
    });
  });
});

describe('leaving in the midst of a transfer', () => {
  test('while its own export is under way: nothing of it is lost', async () => {
    const coid = create(Async.Heap);
    for (const number of [0, 1, 2]) await add(number, coid, 10 ** number);
    // The export of processor 1 stands at its gate; it is that one that leaves.
    const [swapped] = (await hold('transfer', coid, Async.OtherHeap)) as [Promise<SwapReport>];
    const left = machine.remove(1);
    await Promise.race([left, turns(200)]);
    openAllGates();
    const why = await outcome(swapped);
    await left;
    expect(nameOf(coid)).toBe(why === undefined ? Async.OtherHeap.name : Async.Heap.name);
    await expectTotal(coid, 111);
    await swap(coid, Async.Shared);
    await expectTotal(coid, 111);
    await destroy(coid);
    await until(() => bytesInUse(machine) === before);
  });

  test('when its own share is done, and before the others are', async () => {
    const coid = create(Async.Heap);
    for (const number of [0, 1, 2]) await add(number, coid, 10 ** number);
    const [swapped] = (await hold('transfer', coid, Async.OtherHeap)) as [Promise<SwapReport>];
    await until(() => noted('import ends').some(({ processor }) => processor === 2));
    const left = machine.remove(2);
    await Promise.race([left, turns(200)]);
    openAllGates();
    await outcome(swapped);
    await left;
    await expectTotal(coid, 111);
    await swap(coid, Async.Shares);
    await expectTotal(coid, 111);
    await destroy(coid);
  });
});

describe('an initiator that leaves', () => {
  test.each(['forward', 'block', 'transfer'] as const)(
    'in phase %s: the swap ends, and a retry works',
    async (phase) => {
      const coid = create(Async.Heap);
      const leaver = await (LEAVERS['a thread that has joined'] as () => Promise<Leaver>)();
      for (const number of [0, 1, 2, leaver.number]) await add(number, coid, 10 ** number);
      const total = 111 + 10 ** leaver.number;
      closeGate(phase === 'transfer' ? GATE.EXPORT_ON_1 : GATE.THREAD);
      const thread = phase === 'transfer' ? undefined : machine.call(2, 'holdThread');
      if (phase !== 'transfer') await until(() => standingAt(GATE.THREAD) > 0);
      const swapping = machine.run(leaver.number, 'swapHere', [coid, 'OtherHeap']).catch(() => {});
      const { block } = await reached(coid, phase === 'transfer' ? 'transfer' : 'forward');
      if (phase === 'block') {
        await until(() => !block.notElapsed().includes(1));
        closeGate(GATE.CALL);
        await machine.run(1, 'beginHold', [coid]);
        openGate(GATE.THREAD);
        await thread;
        await reached(coid, 'block');
      }
      const left = leaver.leave();
      await Promise.race([left, turns(200)]);
      openAllGates();
      await left;
      await swapping;
      await thread;
      await until(() => nameOf(coid).startsWith('cells/'));
      await expectTotal(coid, total);
      await swap(coid, Async.Shared, { deadlineMs: DEADLINE_MS, ifInProgress: 'queue' });
      await expectTotal(coid, total);
      await destroy(coid);
      await until(() => bytesInUse(machine) === before);
    },
  );
});

type Meeting = (
  swapping: () => Promise<string | undefined>,
  leaving: () => Promise<void>,
  offset: number,
) => Promise<string | undefined>;

/** What comes first, and when the other one comes. */
const MEETINGS: readonly Meeting[] = [
  async (swapping, leaving, offset) => {
    const swapped = swapping();
    await turns(offset);
    await leaving();
    return swapped;
  },
  async (swapping, leaving, offset) => {
    const left = leaving();
    await turns(offset);
    const why = await swapping();
    await left;
    return why;
  },
  // Just after the swap, whose reclamation is under way, and just after the departure.
  async (swapping, leaving) => {
    const why = await swapping();
    await leaving();
    return why;
  },
  async (swapping, leaving) => {
    await leaving();
    return swapping();
  },
];

describe.each(KINDS)(
  'departures and swaps that meet as they happen to, of %s',
  (_name, { Heap, OtherHeap, Shared }) => {
    test('lose nothing', async () => {
      const random = randomFrom(seed);
      const targets = [OtherHeap, Heap, Shared, Heap];
      const coid = create(Heap);
      let total = 0;
      let givenUp = 0;
      for (let round = 0; round < 16; round++) {
        const where = `round ${round}, seed ${seed}`;
        const kind = random(3) === 0 ? 'a thread that has joined' : 'a worker that is removed';
        const leaver = await (LEAVERS[kind] as () => Promise<Leaver>)();
        for (const number of machine.processors) await add(number, coid, 1 + number);
        total += machine.processors.reduce((sum, number) => sum + 1 + number, 0);
        const to = targets[
          Math.floor(round / MEETINGS.length) % targets.length
        ] as Implementation<AsyncCells>;
        const meeting = MEETINGS[round % MEETINGS.length] as Meeting;
        const why = await meeting(
          () => outcome(swap(coid, to, { deadlineMs: DEADLINE_MS })),
          () => leaver.leave(),
          random(20),
        );
        await until(() => machine.processors.length === 3);
        await expectTotal(coid, total, where);
        if (why === undefined) continue;
        givenUp++;
        await swap(coid, to, { deadlineMs: DEADLINE_MS });
        await expectTotal(coid, total, `${where}, again`);
      }
      // Those that are over before the departure begins, or begin after it, cannot be.
      expect(givenUp).toBeLessThanOrEqual(8);
      await destroy(coid);
      await until(() => bytesInUse(machine) === before);
    }, 120_000);
  },
);
