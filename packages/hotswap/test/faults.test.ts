/**
 * Goal: whatever fails in a swap, and wherever, the old object serves on, the error says what failed and where, nothing is left
 * behind, a retry works, and no call is lost, doubled or out of order.
 * Method: an object whose hooks fail on demand (`programs/tally.ts`) is called from three processors in every way there is, while its
 * swaps are made to fail: hook by hook, at each part, on each processor; for want of a module; by processors whose event loops do
 * not run; by deadlines in each phase; by signals at random moments.
 */
import type { Machine } from '@k42/rcu';
import { randomFrom } from '@k42/tooling/random';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type SwapOptions, type SwapReport, swap, swapsInProgress } from '../src/index.ts';
import { KINDS, type Kind, versionOf } from './programs/tally.ts';
import { AT, STEP, type Step } from './programs/tallyControls.ts';
import { bootMachine, closeMachine, inTime, mediatorIn, outcomeOf, Stage, until } from './torture/harness.ts';

const ALL = [0, 1, 2];
const SEED = Number(process.env.K42_SEED ?? Date.now() % 2 ** 31);
let stage: Stage;

type Options = Omit<SwapOptions<boolean>, 'argument'>;

/** A swap to the version that does not serve. */
async function swapOver(options: Options = {}): Promise<SwapReport> {
  const target = versionOf(stage.kind, stage.version.endsWith('@1') ? 2 : 1);
  return inTime(swap(stage.coid, target, { argument: false, ...options }), 'a swap to end');
}

async function failure(options?: Options): Promise<Error> {
  const outcome = await outcomeOf(swapOver(options));
  if ('value' in outcome) throw new Error('The swap went through.');
  return outcome.error as Error;
}

/** After a failed swap: the same object serves, everywhere. */
async function unchanged(version: string): Promise<void> {
  expect(stage.version).toBe(version);
  await stage.servedVersion();
  expect(await swapsInProgress()).toEqual([]);
}

describe.each(KINDS)('%s', (kind: Kind) => {
  let machine: Machine;

  beforeAll(async () => {
    machine = await bootMachine({ processors: 3 });
  });

  afterAll(async () => closeMachine(machine));

  beforeEach(async () => {
    stage = new Stage(machine, kind);
    await stage.touch(ALL);
    stage.startCallers(ALL);
  });

  afterEach(async () => {
    stage.letGo();
    try {
      await swapOver();
      await stage.stopCallers();
      await stage.audit();
      expect(await stage.close()).toBe(0);
    } finally {
      stage.stop();
    }
  });

  describe.each([
    ['freeze', STEP.FREEZE, 'K42_SWAP_FREEZE'],
    ['export', STEP.EXPORT, 'K42_SWAP_EXPORT'],
    ['import', STEP.IMPORT, 'K42_SWAP_IMPORT'],
    ['validation', STEP.VALIDATE, 'K42_SWAP_VALIDATION'],
  ] as const)('a failing %s', (_name, step: Step, code: string) => {
    const modes = kind === 'calm' ? ['at once', 'later'] : ['at once'];
    test.each(modes)('each in turn, %s, until none fails', async (mode) => {
      stage.controls.set(AT.FAULT_LATER, mode === 'later' ? 1 : 0);
      let failed = 0;
      for (;;) {
        const { version } = stage;
        stage.controls.failAt(step, failed + 1);
        const outcome = await outcomeOf(swapOver());
        const hasFailed = stage.controls.hasFailed;
        stage.controls.failNoMore();
        if ('value' in outcome) {
          expect(hasFailed).toBe(false);
          break;
        }
        failed++;
        expect(outcome.error).toMatchObject({
          code,
          cause: expect.objectContaining({ message: `step ${step} asked to fail` }),
        });
        await unchanged(version);
      }
      // A root, three Reps, three shares; freezes and validations once on each processor.
      expect(failed).toBe(step === STEP.EXPORT || step === STEP.IMPORT ? 7 : 3);
      expect(stage.version).toMatch(/@2$/);
    });

    test.each(ALL)('on processor %i says so', async (number) => {
      stage.controls.failAt(step, 1, number);
      const { version } = stage;
      expect(await failure()).toMatchObject({ code, processor: number, coid: stage.coid });
      stage.controls.failNoMore();
      await unchanged(version);
    });
  });

  describe('a module', () => {
    const later = (query: string, version: number): { readonly module: URL; readonly name: string } => ({
      module: new URL(`./programs/laterTally.ts?${query}`, import.meta.url),
      name: `${kind === 'calm' ? 'test/calm-tally' : 'test/tally'}@${version}`,
    });

    test.each([0, 1, 2])('that does not load on processor %i', async (number) => {
      const { version, coid, controls } = stage;
      // Versions are defined once in a thread, and the host's thread plays all these tests.
      const wanted = 100 + number + (kind === 'calm' ? 0 : 10);
      controls.set(AT.LATER_VERSION, wanted);
      controls.set(AT.NOT_ON, 1 + number);
      const { module, name } = later(`${kind}-not-on-${number}`, wanted);
      const outcome = await outcomeOf(swap(coid, { module, name }, { argument: false }));
      expect(outcome).toMatchObject({
        error: {
          code: 'K42_SWAP_MODULE',
          phase: 'prepare',
          message: expect.stringContaining('asked not to load'),
        },
      });
      await unchanged(version);
      // The others may be at it still.
      await until(
        () => controls.get(AT.LATER_LOADED) === 3,
        () => 'everybody to have tried to load a module',
      );
      // Where it has been loaded it stays; a retry is another module, or a mended one in other threads.
      controls.set(AT.NOT_ON, 0);
      controls.set(AT.LATER_VERSION, wanted + 100);
      const mended = later(`${kind}-on-${number}`, wanted + 100);
      expect((await swap(coid, mended, { argument: false })).to).toBe(mended.name);
      expect(await stage.servedVersion()).toBe(wanted + 100);
    });

    test('that is nowhere, or that defines something else', async () => {
      const { version, coid } = stage;
      const nowhere = new URL('./programs/nowhere.ts', import.meta.url);
      const other = new URL('./programs/tallyControls.ts', import.meta.url);
      for (const module of [nowhere, other]) {
        const outcome = await outcomeOf(swap(coid, { module, name: 'test/nothing@1' }, { argument: false }));
        expect(outcome).toMatchObject({ error: { code: 'K42_SWAP_MODULE', phase: 'prepare' } });
        await unchanged(version);
      }
    });
  });

  describe('an event loop that does not run', () => {
    beforeEach(async () => {
      // The first swap of a machine has modules loaded: that is waited for before anything else.
      await swapOver();
    });

    test('longer than the deadline: the error names its processor', async () => {
      const { version } = stage;
      const busy = machine.run(1, 'busy', [2000]);
      expect(await failure({ deadlineMs: 500 })).toMatchObject({
        code: 'K42_SWAP_DEADLINE',
        message: expect.stringContaining('processor 1'),
        processors: expect.arrayContaining([1]),
      });
      // The others serve meanwhile.
      expect(stage.version).toBe(version);
      await busy;
      await unchanged(version);
    });

    test('for seconds, and then does: the swap goes through', async () => {
      const busy = machine.run(1, 'busy', [2000]);
      const report = await swapOver();
      expect(report.participants).toEqual(ALL);
      expect(report.milliseconds).toBeGreaterThan(1000);
      // Nobody was held still for it.
      expect(report.longestStopMs).toBeLessThan(500);
      await busy;
    });
  });

  describe('a deadline that passes', () => {
    test('in FORWARD, by a thread', async () => {
      const { version, controls } = stage;
      controls.set(AT.LINGER_THREAD, 1);
      const thread = machine.call(1, 'lingerInThread');
      await machine.run(1, 'turnsHere', [3]);
      expect(await failure({ deadlineMs: 300 })).toMatchObject({
        code: 'K42_SWAP_DEADLINE',
        phase: 'forward',
        processors: [1],
        hindrances: [expect.objectContaining({ kind: 'threads', names: ['lingerInThread'] })],
      });
      controls.set(AT.LINGER_THREAD, 0);
      await thread;
      await unchanged(version);
    });

    test('in BLOCK, by a forwarded call', async () => {
      const { version, controls } = stage;
      // FORWARD lasts until the call has been made.
      controls.set(AT.LINGER_THREAD, 1);
      controls.set(AT.LINGER_CALL, 1);
      const thread = machine.call(2, 'lingerInThread');
      await machine.run(2, 'turnsHere', [3]);
      const failing = failure({ deadlineMs: 800 });
      await mediatorIn(stage.coid, 'forward');
      await stage.heardOf([0, 1, 2]);
      await machine.run(1, 'begin', [stage.coid, 'linger', 0, 0]);
      controls.set(AT.LINGER_THREAD, 0);
      expect(await failing).toMatchObject({
        code: 'K42_SWAP_DEADLINE',
        phase: 'block',
        processors: expect.arrayContaining([1]),
        hindrances: expect.arrayContaining([
          expect.objectContaining({ kind: 'calls', processor: 1, count: 1 }),
        ]),
      });
      controls.set(AT.LINGER_CALL, 0);
      await thread;
      await unchanged(version);
    });

    test('in TRANSFER, by an export', async () => {
      const { version, controls } = stage;
      if (kind === 'calm') controls.hold(STEP.EXPORT);
      else controls.arm(STEP.EXPORT, 1);
      const failing = failure({ transferDeadlineMs: 300 });
      expect(await failing).toMatchObject({
        code: 'K42_SWAP_DEADLINE',
        phase: 'transfer',
        processors: expect.arrayContaining([1]),
      });
      controls.open(STEP.EXPORT);
      await unchanged(version);
    });

    test('in BLOCK, by a freeze', async () => {
      const { version, controls } = stage;
      if (kind === 'calm') controls.hold(STEP.FREEZE);
      else controls.arm(STEP.FREEZE, 1);
      const failing = await failure({ deadlineMs: 300 });
      expect(failing).toMatchObject({
        code: 'K42_SWAP_DEADLINE',
        phase: 'block',
        processors: expect.arrayContaining([1]),
      });
      controls.open(STEP.FREEZE);
      await unchanged(version);
    });
  });

  test('a signal raised at random moments: through or given up, on all processors', async () => {
    const random = randomFrom(SEED);
    let [through, aborted] = [0, 0];
    for (let round = 0; round < 40; round++) {
      const { version } = stage;
      const abort = new AbortController();
      const timer = setTimeout(() => abort.abort(new Error('enough')), random(8));
      const outcome = await outcomeOf(swapOver({ signal: abort.signal }));
      clearTimeout(timer);
      if ('value' in outcome) {
        through++;
        expect(stage.version, `seed ${SEED}, round ${round}`).not.toBe(version);
      } else {
        aborted++;
        expect(outcome.error, `seed ${SEED}, round ${round}`).toMatchObject({
          code: 'K42_SWAP_ABORTED',
          cause: expect.objectContaining({ message: 'enough' }),
        });
        expect(stage.version, `seed ${SEED}, round ${round}`).toBe(version);
      }
      await stage.servedVersion();
    }
    expect(through + aborted).toBe(40);
    expect(aborted, `seed ${SEED}`).toBeGreaterThan(0);
  });
});
