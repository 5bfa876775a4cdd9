/**
 * Goal: a swap tells what it did and what it waits for: in its report, in the error at its deadline, to whoever asks meanwhile, on
 * the diagnostics channels, and as a trace.
 * Method: boxes on three processors (programs/boxes.ts), swapped and held up in every way there is; what is said is compared
 * with what was done. For the trace: the fields of the Trace Event Format, by hand.
 */
import { channel } from 'node:diagnostics_channel';
import { type Coid, create, destroy, handle, type Implementation } from '@k42/clustered';
import { Machine } from '@k42/rcu';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Hindrance,
  hindranceToString,
  type PhaseName,
  type ProcessorReport,
  revert,
  SwapDeadlineError,
  type SwapInProgress,
  SwapReport,
  swap,
  swapsInProgress,
  traceOf,
} from '../src/index.ts';
import { HELD_PHASES, holdIn, reached } from './holding.ts';
import { type Box, Boxes, GATE, type StillBox, StillBoxes } from './programs/boxes.ts';
import { closeGate, openAllGates, openGate, standingAt } from './programs/tape.ts';
import { until } from './support.ts';

const program = new URL('./programs/boxes.ts', import.meta.url);
const [One, Two] = Boxes as readonly [Implementation<Box>, Implementation<Box>];
const [Still1, Still2] = StillBoxes;
const PROCESSORS = [0, 1, 2];
let machine: Machine;

beforeEach(async () => {
  machine = await Machine.boot({ processors: 3, program });
  openAllGates();
});
afterEach(async () => {
  openAllGates();
  await machine.close();
});

const onAll = <R>(name: string, ...args: unknown[]): Promise<R[]> =>
  Promise.all(PROCESSORS.map((number) => machine.call<R>(number, name, args)));

async function boxOf<T extends Box>(implementation: Implementation<T>): Promise<Coid<T>> {
  const coid = create(implementation);
  await onAll('put', coid, 1);
  return coid;
}

const now = (): number => performance.timeOrigin + performance.now();
/** Clocks of two threads differ by some of the least that they show. */
const EPSILON_MS = 0.5;

describe('a report', () => {
  test('says what was swapped for what, by whom, and how long each phase took', async () => {
    const coid = await boxOf(One);
    const since = now();
    const report = await machine.run<SwapReport>(1, 'swapHere', [coid, Two.name]);
    const after = now();
    expect(report).toMatchObject({
      coid,
      from: One.name,
      to: Two.name,
      protocol: 'boxes/number@1',
      initiator: 1,
      participants: PROCESSORS,
      forwarded: 0,
      queued: 0,
      bytes: 0,
    });
    expect(report.parts.map(({ part }) => part)).toEqual([{ kind: 'root' }]);
    const { beganAt, milliseconds, phases } = report;
    expect(beganAt).toBeGreaterThanOrEqual(since - EPSILON_MS);
    expect(beganAt + milliseconds).toBeLessThanOrEqual(after + EPSILON_MS);
    for (const name of ['forward', 'block', 'transfer', 'complete'] as const)
      expect(phases[name], name).toBeGreaterThanOrEqual(-EPSILON_MS);
    const sum = phases.forward + phases.block + phases.transfer + phases.complete;
    expect(Math.abs(sum - milliseconds)).toBeLessThan(EPSILON_MS);
    await destroy(coid);
  });

  test('counts what was forwarded and queued, and the longest wait, by processor and in all', async () => {
    const coid = await boxOf(One);
    const box = handle(coid);
    const forwarding = await holdIn('block', coid, () => swap(coid, Two));
    const { forwarded: before } = forwarding.mediator.report;
    const queuedSince = performance.now();
    const queued = [box.which(), box.which(), box.which()];
    const there = machine.call(2, 'which', [coid]);
    await until(() => performance.now() - queuedSince > 50);
    await forwarding.release();
    const report = await forwarding.swapped;
    const waitedMs = performance.now() - queuedSince;
    expect([...(await Promise.all(queued)), await there]).toEqual([Two.name, Two.name, Two.name, Two.name]);
    const own = report.processors.get(0) as ProcessorReport;
    expect(own).toMatchObject({ forwarded: before, queued: 3 });
    expect(before).toBeGreaterThan(0);
    expect(report.processors.get(2)).toMatchObject({ forwarded: 0, queued: 1 });
    expect(report.processors.get(1)).toMatchObject({ forwarded: 0, queued: 0, longestBlockMs: 0 });
    expect(report).toMatchObject({ forwarded: before, queued: 4 });
    expect(own.longestBlockMs).toBeGreaterThan(50);
    expect(own.longestBlockMs).toBeLessThanOrEqual(waitedMs);
    expect(report.longestBlockMs).toBe(
      Math.max(...[...report.processors.values()].map((each) => each.longestBlockMs)),
    );
    expect(report.phases.block).toBeGreaterThan(50 - EPSILON_MS);
    await destroy(coid);
  });

  test('says how long processors were held still; those of asynchronous interfaces never are', async () => {
    const [box, still] = [await boxOf(One), await boxOf(Still1 as Implementation<StillBox>)];
    expect(await swap(box, Two)).toMatchObject({ longestStopMs: 0 });
    const report = await swap(still, Still2);
    for (const { longestStopMs, stoppedMs, spans } of report.processors.values()) {
      const stops = spans.filter(({ name }) => name === 'stop');
      expect(stops.length).toBeGreaterThan(0);
      const lengths = stops.map(({ beganAt, endedAt }) => endedAt - beganAt);
      expect(Math.abs(longestStopMs - Math.max(...lengths))).toBeLessThan(0.01);
      expect(Math.abs(stoppedMs - lengths.reduce((sum, length) => sum + length, 0))).toBeLessThan(0.01);
      expect(report.longestStopMs).toBeGreaterThanOrEqual(longestStopMs);
    }
    await destroy(box);
    await destroy(still);
  });

  test.each([
    ['an asynchronous interface', Boxes],
    ['a synchronous interface', StillBoxes],
  ])('has spans of each processor in order, within the swap: %s', async (_name, implementations) => {
    const [from, to] = implementations as unknown as readonly [Implementation<Box>, Implementation<Box>];
    const coid = await boxOf(from);
    const { beganAt, milliseconds, processors, phases } = await swap(coid, to);
    expect([...processors.keys()].toSorted()).toEqual(PROCESSORS);
    for (const { spans } of processors.values()) {
      const names = spans.filter(({ name }) => name !== 'stop').map(({ name }) => name);
      expect(names.filter((name) => name !== 'transfer')).toEqual(['forward', 'block', 'complete']);
      expect(names).toEqual(['forward', 'block', 'transfer', 'complete']);
      for (const [index, span] of spans.entries()) {
        expect(span.beganAt).toBeLessThanOrEqual(span.endedAt);
        expect(span.beganAt).toBeGreaterThanOrEqual(beganAt - EPSILON_MS);
        expect(span.endedAt).toBeLessThanOrEqual(beganAt + milliseconds + EPSILON_MS);
        if (index > 0) expect(span.beganAt).toBeGreaterThanOrEqual(spans[index - 1]?.beganAt as number);
      }
      // The phases are those of all: BLOCK begins everywhere at one moment.
      const block = spans.find(({ name }) => name === 'block');
      expect(Math.abs((block?.beganAt as number) - (beganAt + phases.forward))).toBeLessThan(EPSILON_MS);
      // A share is done within TRANSFER.
      const transfer = spans.find(({ name }) => name === 'transfer');
      expect(transfer?.endedAt).toBeLessThanOrEqual(
        beganAt + phases.forward + phases.block + phases.transfer + EPSILON_MS,
      );
    }
    await destroy(coid);
  });

  test('can be cloned, with all that it says; a copy can be reverted by the function', async () => {
    const coid = await boxOf(One);
    const report = await swap(coid, Two);
    const copy = structuredClone(report);
    expect(copy).not.toBeInstanceOf(SwapReport);
    expect(copy).toEqual({ ...report });
    expect(copy.processors.get(0)?.spans.length).toBeGreaterThan(0);
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({ coid, from: One.name, phases: report.phases });
    expect((await revert(copy)).to).toBe(One.name);
    await destroy(coid);
  });
});

describe('the error at a deadline', () => {
  async function lateness(swapped: Promise<unknown>): Promise<SwapDeadlineError> {
    const error = await swapped.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SwapDeadlineError);
    const late = error as SwapDeadlineError;
    expect(late.processors).toEqual(late.hindrances.map(({ processor }) => processor));
    for (const hindrance of late.hindrances) expect(late.message).toContain(hindranceToString(hindrance));
    expect(late.message).toContain(`phase ${late.phase}`);
    return late;
  }

  test('names threads, on whichever processors, and how long they have lasted', async () => {
    const coid = await boxOf(One);
    closeGate(GATE.THREAD);
    const threads = [1, 2].map((number) => machine.run(number, 'holdThread'));
    await until(() => standingAt(GATE.THREAD) === 2);
    const error = await lateness(swap(coid, Two, { deadlineMs: 400 }));
    expect(error).toMatchObject({ phase: 'forward', processors: [1, 2] });
    for (const { kind, names, count, milliseconds } of error.hindrances) {
      expect(kind).toBe('threads');
      expect(names).toEqual(['namedThread']);
      expect(count).toBe(1);
      expect(milliseconds).toBeGreaterThan(100);
    }
    openGate(GATE.THREAD);
    await Promise.all(threads);
    await destroy(coid);
  });

  test('names forwarded calls by their methods', async () => {
    const coid = await boxOf(One);
    const { swapped, release } = await holdIn('block', coid, () => swap(coid, Two, { deadlineMs: 400 }));
    const error = await lateness(swapped);
    expect(error).toMatchObject({ phase: 'block', processors: [0] });
    const [hindrance] = error.hindrances as [Hindrance];
    expect(hindrance).toMatchObject({ kind: 'calls', count: 1 });
    expect(hindrance.names).toEqual([expect.stringMatching(/^hold for \d+ ms$/)]);
    expect(error.message).toContain('hold for');
    await release();
    await destroy(coid);
  });

  test('names shares that are not done', async () => {
    const coid = await boxOf(One);
    closeGate(GATE.EXPORT_ON_1);
    const swapped = swap(coid, Two, { deadlineMs: 400 });
    const error = await lateness(swapped);
    expect(error).toMatchObject({ phase: 'transfer', processors: [1] });
    expect(error.hindrances).toEqual([expect.objectContaining({ kind: 'share' })]);
    openGate(GATE.EXPORT_ON_1);
    await destroy(coid);
  });

  test('names processors whose event loop does not run', async () => {
    const coid = await boxOf(One);
    // Not the first swap of the machine, which has every processor load something.
    await swap(coid, Two);
    closeGate(GATE.THREAD);
    const blocked = machine.run(2, 'block');
    await until(() => standingAt(GATE.THREAD) === 1);
    const error = await lateness(swap(coid, One, { deadlineMs: 300 }));
    expect(error).toMatchObject({
      phase: 'forward',
      processors: [2],
      hindrances: [expect.objectContaining({ kind: 'silent' })],
    });
    expect(await machine.call(1, 'which', [coid])).toBe(Two.name);
    openGate(GATE.THREAD);
    await blocked;
    expect(await machine.call(2, 'which', [coid])).toBe(Two.name);
    expect((await swap(coid, One)).participants).toEqual(PROCESSORS);
    await destroy(coid);
  });

  test('names processors that do not come to a stop point, and those that have in vain', async () => {
    const coid = await boxOf(Still1 as Implementation<StillBox>);
    // A forwarded call on processor 0 keeps that one from stopping; the others stop again and again.
    const { swapped, release } = await holdIn('block', coid, () => swap(coid, Still2, { deadlineMs: 500 }));
    const error = await lateness(swapped);
    expect(error.phase).toBe('block');
    const kinds = new Map(error.hindrances.map((hindrance) => [hindrance.processor, hindrance]));
    expect(kinds.get(0)).toMatchObject({ kind: 'calls' });
    for (const number of [1, 2]) {
      const hindrance = kinds.get(number);
      // One that happened to be stopped was ready, and is not named.
      if (hindrance === undefined) continue;
      expect(hindrance.kind).toBe('stop');
      expect(hindrance.count).toBeGreaterThan(0);
      expect(hindrance.milliseconds).toBeGreaterThan(0);
    }
    await release();
    await destroy(coid);
  });
});

describe('swaps in progress', () => {
  const only = (swaps: readonly SwapInProgress[]): SwapInProgress => {
    expect(swaps.length).toBe(1);
    return swaps[0] as SwapInProgress;
  };

  test.each(HELD_PHASES)('are listed with what they wait for: %s', async (phase) => {
    const coid = await boxOf(One);
    expect(await swapsInProgress()).toEqual([]);
    const since = performance.now();
    const { swapped, mediator, release } = await holdIn(phase, coid, () => swap(coid, Two));
    // Its first step may be still to come.
    await until(() => mediator.hindrance().kind !== 'nothing');
    const seen = only(await swapsInProgress());
    expect(seen).toMatchObject({ coid, initiator: 0, phase });
    expect(seen.milliseconds).toBeGreaterThan(0);
    expect(seen.milliseconds).toBeLessThan(performance.now() - since + EPSILON_MS);
    const here = seen.hindrances.find(({ processor }) => processor === 0);
    expect(here?.kind).toBe({ forward: 'threads', block: 'calls', transfer: 'share' }[phase]);
    expect(here?.names.join()).toContain({ forward: 'holdingThread', block: 'hold', transfer: '' }[phase]);
    expect(seen.hindrances.map(({ processor }) => processor)).toEqual(
      seen.hindrances.map(({ processor }) => processor).toSorted(),
    );
    // From any processor.
    const there = await machine.run<SwapInProgress[]>(2, { module: program, name: 'swapsSeenHere' });
    expect(only(there)).toMatchObject({ coid, initiator: 0, phase });
    await release();
    await swapped;
    expect(await swapsInProgress()).toEqual([]);
    await destroy(coid);
  });

  test('of several objects, and a processor that does not answer', async () => {
    const coids = [await boxOf(One), await boxOf(One)];
    await Promise.all(coids.map((coid) => swap(coid, Two)));
    closeGate(GATE.THREAD);
    const blocked = machine.run(1, 'block');
    await until(() => standingAt(GATE.THREAD) === 1);
    const swapped = coids.map((coid) => swap(coid, One));
    for (const coid of coids) await reached(coid, 'forward');
    const seen = await swapsInProgress();
    expect(seen.map(({ coid }) => coid).toSorted()).toEqual(coids.toSorted());
    for (const { hindrances } of seen)
      expect(hindrances.find(({ processor }) => processor === 1)).toMatchObject({ kind: 'silent' });
    openGate(GATE.THREAD);
    await blocked;
    await Promise.all(swapped);
    for (const coid of coids) await destroy(coid);
  });
});

describe('a trace', () => {
  test('of some swaps has a track for each processor, and its phases as in figure 3', async () => {
    const coid = await boxOf(Still1 as Implementation<StillBox>);
    const reports = [await swap(coid, Still2), await swap(coid, Still1)];
    const trace = JSON.parse(JSON.stringify(traceOf(reports))) as {
      displayTimeUnit: string;
      traceEvents: {
        name: string;
        cat: string;
        ph: string;
        ts: number;
        dur?: number;
        pid: number;
        tid: number;
        args: Record<string, unknown>;
      }[];
    };
    expect(trace.displayTimeUnit).toBe('ms');
    const tracks = trace.traceEvents.filter(({ ph }) => ph === 'M');
    expect(tracks.map(({ name, tid, args }) => [name, tid, args.name])).toEqual(
      PROCESSORS.map((number) => ['thread_name', number + 1, `processor ${number}`]),
    );
    const events = trace.traceEvents.filter(({ ph }) => ph !== 'M');
    for (const { ph, ts, dur, pid, tid, cat } of events) {
      expect(ph).toBe('X');
      expect(Number.isFinite(ts) && ts >= 0).toBe(true);
      expect(Number.isFinite(dur) && (dur as number) >= 0).toBe(true);
      expect(pid).toBe(tracks[0]?.pid);
      expect(tracks.map((track) => track.tid)).toContain(tid);
      expect(['phase', 'stop']).toContain(cat);
    }
    // In the order of time, the outer before the inner.
    for (const [index, event] of events.entries()) {
      const previous = events[index - 1];
      if (previous !== undefined) expect(event.ts).toBeGreaterThanOrEqual(previous.ts);
    }
    for (const [index, report] of reports.entries())
      for (const number of PROCESSORS) {
        const own = events.filter(({ tid, args }) => {
          const [from, to] = index === 0 ? [Still1.name, Still2.name] : [Still2.name, Still1.name];
          return tid === number + 1 && args.swap === `${from} → ${to}`;
        });
        const phases = own.filter(({ cat }) => cat === 'phase');
        expect(phases.map(({ name }) => name)).toEqual(['forward', 'block', 'transfer', 'complete']);
        expect(own.some(({ cat, name }) => cat === 'stop' && name === 'stop')).toBe(true);
        for (const { args } of own) expect(args.coid).toBe(coid);
        expect(phases[2]?.args.protocol).toBe(report.protocol);
        // The phases follow each other, and do not overlap but for what two clocks differ.
        for (const [at, phase] of phases.entries()) {
          const next = phases[at + 1];
          if (next !== undefined) expect(phase.ts + (phase.dur as number)).toBeLessThanOrEqual(next.ts + 500);
        }
      }
    expect(Math.min(...events.map(({ ts }) => ts))).toBeLessThan(1000);
    await destroy(coid);
  });

  test('of none is empty', () => {
    expect(traceOf([])).toEqual({ displayTimeUnit: 'ms', traceEvents: [] });
  });
});

describe('diagnostics channels', () => {
  const listening: [ReturnType<typeof channel>, (message: unknown) => void][] = [];
  afterEach(() => {
    for (const [listened, listener] of listening.splice(0)) listened.unsubscribe(listener);
  });

  function listenTo<M>(name: string): M[] {
    const heard: M[] = [];
    const listened = channel(name);
    const listener = (message: unknown): void => {
      heard.push(message as M);
    };
    listened.subscribe(listener);
    listening.push([listened, listener]);
    return heard;
  }

  interface Heard {
    readonly event: 'begin' | 'end';
    readonly report?: SwapReport;
    readonly error?: Error;
  }

  test('k42:hotswap:swap says when one begins, and how it ends', async () => {
    const heard = listenTo<Heard>('k42:hotswap:swap');
    const coid = await boxOf(One);
    const report = await swap(coid, Two);
    const about = { coid, from: One.name, to: Two.name, protocol: 'boxes/number@1', initiator: 0 };
    expect(heard.splice(0)).toEqual([
      { event: 'begin', ...about },
      { event: 'end', ...about, report },
    ]);
    const { swapped, release } = await holdIn('block', coid, () => swap(coid, One, { deadlineMs: 200 }));
    const error = await swapped.catch((thrown: unknown) => thrown);
    const back = { ...about, from: Two.name, to: One.name };
    expect(heard.splice(0)).toEqual([
      { event: 'begin', ...back },
      { event: 'end', ...back, error },
    ]);
    await release();
    // What is refused does not begin.
    await swap(coid, Two, { signal: AbortSignal.abort() }).catch(() => {});
    await swap(coid, Still2 as Implementation<Box>).catch(() => {});
    expect(heard).toEqual([]);
    // Nor does one that another processor begins: it says so itself.
    await machine.run(1, 'swapHere', [coid, One.name]);
    expect(heard).toEqual([]);
    await destroy(coid);
  });

  test('k42:hotswap:phase says on each processor which phases it sees', async () => {
    const heard = listenTo<{ processor: number; coid: number; phase: PhaseName }>('k42:hotswap:phase');
    await onAll('listenToPhases');
    const coid = await boxOf(One);
    await swap(coid, Two);
    const { swapped, release } = await holdIn('block', coid, () => swap(coid, One, { deadlineMs: 200 }));
    await swapped.catch(() => {});
    await release();
    const order: readonly PhaseName[] = ['forward', 'block', 'transfer', 'complete', 'aborted'];
    await until(() => heard.some(({ phase }) => phase === 'aborted'));
    const all = [
      heard,
      ...(await Promise.all([1, 2].map((number) => machine.run<typeof heard>(number, 'phasesHeard')))),
    ];
    for (const [number, own] of all.entries()) {
      expect(new Set(own.map(({ processor, coid: about }) => `${processor} ${about}`))).toEqual(
        new Set([`${number} ${coid}`]),
      );
      const first = own.findIndex(({ phase }) => phase === 'complete');
      expect(first).toBeGreaterThanOrEqual(0);
      const [completed, aborted] = [own.slice(0, first + 1), own.slice(first + 1)].map((half) =>
        half.map(({ phase }) => phase),
      ) as [PhaseName[], PhaseName[]];
      // A phase that was over before the processor looked is not seen; none comes twice, or after a later one.
      for (const half of [completed, aborted]) {
        expect(half[0]).toBe('forward');
        const places = half.map((phase) => order.indexOf(phase));
        expect(places).toEqual([...new Set(places)].toSorted());
      }
      expect(aborted.at(-1)).toBe('aborted');
    }
    await destroy(coid);
  });
});
