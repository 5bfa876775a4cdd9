/**
 * Goal: a swap is the sequence of steps that its description says, on each processor, and no other.
 * Method: reference scenarios, whose logs are compared line by line: phases in capitals as `k42:hotswap:phase` announces them, hooks
 * and calls where the implementation runs them (`programs/tally.ts`): a phase is announced before anything that belongs to it. Between processors the order is not defined: logs are compared
 * processor by processor. Nor is defined who moves the parts in machine memory and who hands over: what is said of that is
 * taken out, and has to be there once.
 */
import type { Machine } from '@k42/rcu';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type SwapOptions, type SwapReport, swap, swapsInProgress } from '../src/index.ts';
import { KINDS, type Kind, versionOf } from './programs/tally.ts';
import { AT, STEP } from './programs/tallyControls.ts';
import {
  bootMachine,
  closeMachine,
  inTime,
  mediatorIn,
  type Outcome,
  outcomeOf,
  Stage,
  turns,
} from './torture/harness.ts';

const ALL = [0, 1, 2];
let machine: Machine;
let stage: Stage;

beforeAll(async () => {
  machine = await bootMachine({ processors: 3 });
});
afterAll(async () => closeMachine(machine));

type Options = Omit<SwapOptions<boolean>, 'argument'>;

function begin(options: Options = {}): Promise<Outcome<SwapReport>> {
  return outcomeOf(swap(stage.coid, versionOf(stage.kind, 2), { argument: false, ...options }));
}

/** What each processor has noted since the last time. */
function logs(goesOn = true): Promise<string[][]> {
  return Promise.all(ALL.map((number) => machine.run<string[]>(number, 'takeLog', [goesOn])));
}

/** The logs of a swap that is over on every processor. */
async function logsOf(swapped: Promise<Outcome<SwapReport>>): Promise<string[][]> {
  await inTime(swapped, 'a swap to end');
  while ((await swapsInProgress()).length !== 0) await turns(1);
  return logs();
}

async function touched(numbers: readonly number[]): Promise<void> {
  if (numbers.length !== 0) await stage.touch(numbers);
  await Promise.all(ALL.map((number) => machine.run(number, 'startLog')));
}

const ANYBODYS = /^(export|import) (root|share \d)$|^(adopt|relinquish)$/;

/** Without what any participant may do. */
function own(log: readonly string[]): string[] {
  return log.filter((line) => !ANYBODYS.test(line));
}

/** What any participant may do is done once: a part by one of them, from export to import; both halves of the hand-over by one. */
function expectOnce(all: readonly (readonly string[])[], parts: readonly string[]): void {
  const done = all.flatMap((log) => log.filter((line) => ANYBODYS.test(line)));
  const expected = parts.flatMap((part) => [`export ${part}`, `import ${part}`]);
  expect(done.toSorted()).toEqual([...expected, 'adopt', 'relinquish'].toSorted());
  for (const log of all) {
    for (const part of parts) expect(log.includes(`import ${part}`)).toBe(log.includes(`export ${part}`));
    expect(log.includes('relinquish')).toBe(log.includes('adopt'));
  }
}

const BEGIN = ['FORWARD'];
const BLOCK = ['BLOCK', 'freeze'];
const moved = (number: number): string[] => [
  'TRANSFER',
  `export rep ${number}`,
  `import rep ${number}`,
  'validate',
  'COMPLETE',
];

/** A thread older than the swap holds FORWARD on processor 1, until the function returned is called. */
async function held(): Promise<() => Promise<void>> {
  stage.controls.set(AT.LINGER_THREAD, 1);
  const thread = machine.call(1, 'lingerInThread');
  await machine.run(1, 'turnsHere', [3]);
  return async () => {
    stage.controls.set(AT.LINGER_THREAD, 0);
    await thread;
  };
}

/** A swap in BLOCK, held there by a call on the old object on processor 1; `end` ends the call. */
async function inBlock(
  options?: Options,
): Promise<{ swapped: Promise<Outcome<SwapReport>>; end: () => void }> {
  const letGo = await held();
  const swapped = begin(options);
  await mediatorIn(stage.coid, 'forward');
  await stage.heardOf([0, 1]);
  stage.controls.set(AT.LINGER_CALL, 1);
  await machine.run(1, 'begin', [stage.coid, 'linger', 0, 0]);
  await letGo();
  await mediatorIn(stage.coid, 'block');
  return { swapped, end: () => stage.controls.set(AT.LINGER_CALL, 0) };
}

describe.each(KINDS)('%s', (kind: Kind) => {
  beforeEach(() => {
    stage = new Stage(machine, kind);
  });

  afterEach(async () => {
    await logs(false);
    stage.letGo();
    expect(await stage.close()).toBe(0);
  });

  test('idle, on one processor', async () => {
    await touched([0]);
    const [log, ...others] = await logsOf(begin());
    expect(log).toEqual([
      'FORWARD',
      'BLOCK',
      'freeze',
      'TRANSFER',
      'export root',
      'export rep 0',
      'export share 0',
      'import root',
      'import rep 0',
      'import share 0',
      'validate',
      'COMPLETE',
      'adopt',
      'relinquish',
    ]);
    expect(others).toEqual([[], []]);
  });

  test('never called: whoever begins it moves the root part', async () => {
    await touched([]);
    const [log, ...others] = await logsOf(begin());
    const transfer = ['TRANSFER', 'export root', 'import root', 'validate'];
    expect(log).toEqual([...BEGIN, ...BLOCK, ...transfer, 'COMPLETE', 'adopt', 'relinquish']);
    expect(others).toEqual([[], []]);
  });

  test('idle, on three processors', async () => {
    await touched(ALL);
    const all = await logsOf(begin());
    expect(all.map(own)).toEqual(ALL.map((number) => [...BEGIN, ...BLOCK, ...moved(number)]));
    expectOnce(all, ['root', 'share 0', 'share 1', 'share 2']);
  });

  test('with a thread on one of two processors: nobody goes on before it has ended', async () => {
    await touched([0, 1]);
    const letGo = await held();
    const swapped = begin();
    await mediatorIn(stage.coid, 'forward');
    await stage.heardOf([0, 1]);
    expect(await logs()).toEqual([BEGIN, BEGIN, []]);
    await letGo();
    const all = await logsOf(swapped);
    expect(all.map(own)).toEqual([[...BLOCK, ...moved(0)], [...BLOCK, ...moved(1)], []]);
    expectOnce(all, ['root', 'share 0', 'share 1']);
  });

  test('with a forwarded call on one of two processors, and one that waits on the other', async () => {
    await touched([0, 1]);
    const { swapped, end } = await inBlock();
    await stage.machine.run(0, 'begin', [stage.coid, 'addAtGate', stage.newCaller(), 1]);
    await machine.run(1, 'turnsHere', [5]);
    expect(await logs()).toEqual([[...BEGIN, ...BLOCK], [...BEGIN, 'linger on version 1', 'BLOCK'], []]);
    end();
    const all = await logsOf(swapped);
    const [first, second] = all.map(own) as [string[], string[]];
    expect(first).toEqual([...moved(0), 'call on version 2']);
    expect(second).toEqual(['linger has ended', 'freeze', ...moved(1)]);
    expectOnce(all, ['root', 'share 0', 'share 1']);
    const outcome = await swapped;
    const { processors, queued, forwarded } = (outcome as { readonly value: SwapReport }).value;
    expect([queued, forwarded]).toEqual([1, 1]);
    for (const number of [0, 1]) {
      const names = processors.get(number)?.spans.map(({ name }) => name) ?? [];
      expect(names.filter((name) => name !== 'stop')).toEqual(['forward', 'block', 'transfer', 'complete']);
      // Held still where there are synchronous methods, in BLOCK and then until the end of TRANSFER.
      expect(names.includes('stop')).toBe(kind === 'sync');
      const stopAt = names.indexOf('stop');
      if (stopAt !== -1) expect(stopAt).toBeGreaterThan(names.indexOf('block'));
    }
  });

  describe('given up', () => {
    test.each([
      ['FORWARD, by deadline', undefined, [...BEGIN, 'ABORTED']],
      ['BLOCK, by a freeze that fails', STEP.FREEZE, [...BEGIN, ...BLOCK, 'ABORTED']],
      [
        'TRANSFER, by an export that fails',
        STEP.EXPORT,
        [...BEGIN, ...BLOCK, 'TRANSFER', 'export root', 'ABORTED', 'thaw'],
      ],
      [
        'TRANSFER, by an import that fails',
        STEP.IMPORT,
        [...BEGIN, ...BLOCK, 'TRANSFER', 'export root', 'import root', 'ABORTED', 'thaw'],
      ],
      [
        'TRANSFER, by a validation that fails',
        STEP.VALIDATE,
        [...BEGIN, ...BLOCK, 'TRANSFER', 'export root', 'import root', 'validate', 'ABORTED', 'thaw'],
      ],
    ] as const)('in %s', async (_name, step, expected) => {
      await touched(step === undefined ? [1] : []);
      if (step === undefined) {
        const letGo = await held();
        const all = await logsOf(begin({ deadlineMs: 50 }));
        expect(all).toEqual([expected, expected, []]);
        await letGo();
        return;
      }
      stage.controls.failAt(step, 1);
      expect(await logsOf(begin())).toEqual([expected, [], []]);
    });

    test('in BLOCK, by a deadline that a call outlasts: it ends on the object that it began on', async () => {
      await touched([0, 1]);
      const { swapped, end } = await inBlock({ deadlineMs: 400 });
      const [first, second] = await logsOf(swapped);
      expect(first).toEqual([...BEGIN, ...BLOCK, 'ABORTED', 'thaw']);
      expect(second).toEqual([...BEGIN, 'linger on version 1', 'BLOCK', 'ABORTED']);
      end();
      await machine.run(1, 'turnsHere', [5]);
      expect((await logs())[1]).toEqual(['linger has ended']);
    });
  });
});

describe('a processor that comes in TRANSFER', () => {
  test('takes no part: its calls wait for the outcome', async () => {
    stage = new Stage(machine, 'calm');
    await touched([0]);
    stage.controls.hold(STEP.EXPORT);
    const swapped = begin();
    await mediatorIn(stage.coid, 'transfer');
    await machine.run(1, 'begin', [stage.coid, 'addAtGate', stage.newCaller(), 1]);
    await machine.run(1, 'turnsHere', [5]);
    expect((await logs())[1]).toEqual(['TRANSFER']);
    stage.controls.open(STEP.EXPORT);
    const [, late] = await logsOf(swapped);
    // It may be the first to come to the hand-over.
    expect(own(late ?? [])).toEqual(['COMPLETE', 'call on version 2']);
    await logs(false);
    expect(await stage.close()).toBe(0);
  });
});
