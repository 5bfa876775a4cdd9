/**
 * Threads, begun and ended: what they cost beside a call of the same function, and among how many others.
 */
import { measuredClaim } from '../../cli/document.ts';
import { type GraceProgram, onMachine } from '../../graceMachine.ts';
import { type Finding, ratios, row } from '../../measure/finding.ts';
import type { GraceSizes } from './sizes.ts';

/** Where it is measured: a fresh worker. The host waits meanwhile. */
const WORKER = 1;

/** An empty synchronous thread, beside the bare call. */
export async function measureSyncThreads(sizes: GraceSizes): Promise<Finding> {
  const spec = { repeats: sizes.repeats, threads: sizes.syncThreads };
  const samples = await onWorker((program) => program.run(WORKER, 'timeSyncThreads', [spec]));
  const measure = 'thread-sync';
  const statement =
    'An empty synchronous thread, from spawn to its end, on an otherwise idle processor, atomic stores included ' +
    '(lower is better; median and spread over repeats)';
  return {
    rows: [
      row(measure, 'bare call', 'ns', samples.bare),
      row(measure, 'thread, processor idle', 'ns', samples.idle),
      row(measure, 'thread, another one live', 'ns', samples.live),
      row(measure, 'bare call, eight functions in turn', 'ns', samples.bareOfMany),
      row(measure, 'thread, eight functions in turn', 'ns', samples.idleOfMany),
    ],
    claims: [measuredClaim('grace.thread-sync', statement, samples.idle, 'ns', 'at most', 60)],
    faults: [],
  };
}

/** An empty asynchronous thread, beside the bare call awaited. */
export async function measureAsyncThreads(sizes: GraceSizes): Promise<Finding> {
  const spec = { repeats: sizes.repeats, threads: sizes.asyncThreads };
  const samples = await onWorker((program) => program.run(WORKER, 'timeAsyncThreads', [spec]));
  const measure = 'thread-async';
  const ratio = ratios(samples.idle, samples.bare);
  const statement =
    'Time of `await spawn(f)` over that of `await f()`, f asynchronous and empty, on an otherwise idle processor ' +
    '(ours over theirs, lower is better; median and spread over interleaved repeats)';
  return {
    rows: [
      row(measure, 'bare call, awaited', 'ns', samples.bare),
      row(measure, 'thread, processor idle', 'ns', samples.idle),
      row(measure, 'thread, another one live', 'ns', samples.live),
      row(measure, 'bare call that awaits once', 'ns', samples.bareAwaiting),
      row(measure, 'thread that awaits once', 'ns', samples.idleAwaiting),
      row(measure, 'thread over bare call', 'x', ratio),
      row(measure, 'the same, another one live', 'x', ratios(samples.live, samples.bare)),
      row(measure, 'the same, awaiting once', 'x', ratios(samples.idleAwaiting, samples.bareAwaiting)),
    ],
    claims: [measuredClaim('grace.thread-async', statement, ratio, 'ratio', 'at most', 2)],
    faults: [],
  };
}

/** A thread among few and many others. */
export async function measureThreadsAmong(sizes: GraceSizes): Promise<Finding> {
  const spec = { live: sizes.live, repeats: sizes.liveRepeats, threads: sizes.asyncThreads / 10 };
  const samples = await onWorker((program) => program.run(WORKER, 'timeThreadsAmong', [spec]));
  const rows = samples.flatMap(({ live, ...of }) => {
    const among = `threads-among ${live.toLocaleString('en-US')}`;
    return [
      row(among, 'synchronous thread', 'ns', of.sync),
      row(among, 'asynchronous thread', 'ns', of.async),
      row(among, 'opened, each', 'ns', of.opened),
      row(among, 'opened as no threads, each', 'ns', of.openedBare),
      row(among, 'ended under synchronize, each', 'ns', of.closed),
      row(among, 'ended as no threads, each', 'ns', of.closedBare),
    ];
  });
  const [least, most] = [samples[0], samples[samples.length - 1]];
  if (least === undefined || most === undefined) throw new Error('grace: no numbers of live threads');
  const statement =
    `Time of an asynchronous thread, begun and ended, while ${most.live.toLocaleString('en-US')} others are live over ` +
    `that with ${least.live} (ours over ours, lower is better; median and spread over repeats)`;
  const ratio = ratios(most.async, least.async);
  return {
    rows: [...rows, row('thread-flat', `among ${most.live} over among ${least.live}`, 'x', ratio)],
    claims: [measuredClaim('grace.thread-flat', statement, ratio, 'ratio', 'at most', 1.5)],
    faults: [],
  };
}

function onWorker<R>(measure: (program: GraceProgram) => Promise<R>): Promise<R> {
  return onMachine(WORKER + 1, measure);
}
