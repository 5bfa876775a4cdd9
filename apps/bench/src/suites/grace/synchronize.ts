/**
 * `synchronize`: on an idle machine, under readers, and what it costs to wait.
 *
 * The host asks for the grace periods in all of them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { rcu } from '@k42/rcu';
import { max, median, quantile } from 'simple-statistics';
import { measuredClaim } from '../../cli/document.ts';
import { type GraceProgram, onMachine } from '../../graceMachine.ts';
import { type Finding, type Row, ratios, row } from '../../measure/finding.ts';
import { nanosecondsEach } from '../../measure/timing.ts';
import type { GraceSizes } from './sizes.ts';

const READERS = 8;
/** Chosen allowance beyond the longest thread, for the turn of the event loop in which its end is noticed. */
const TURN_MS = 1;

/** Nobody is live: against a message there and back between the same two threads. */
export async function measureIdle(sizes: GraceSizes): Promise<Finding> {
  const [ours, theirs]: [number[], number[]] = [[], []];
  await onMachine(2, async (program) => {
    const { port1: port, port2 } = new MessageChannel();
    await program.run(1, 'echo', [port2], { transfer: [port2] });
    // The first repeat warms up.
    for (let repeat = 0; repeat <= sizes.repeats; repeat++) {
      const trip = await timeRoundTrips(port, sizes.roundTrips);
      const grace = await timeSynchronize(sizes.synchronizes);
      if (repeat === 0) continue;
      theirs.push(trip);
      ours.push(grace);
    }
    port.close();
  });
  const statement =
    'Time of synchronize on an idle machine of 2 processors over that of a postMessage round trip between the same two ' +
    'threads (ours over theirs, lower is better, a tenth is aimed for; median and spread over interleaved repeats)';
  const ratio = ratios(ours, theirs);
  return {
    rows: [
      row('synchronize-idle', 'synchronize', 'ns', ours),
      row('synchronize-idle', 'postMessage round trip', 'ns', theirs),
      row('synchronize-idle', 'synchronize over round trip', 'x', ratio),
    ],
    claims: [measuredClaim('grace.synchronize-idle', statement, ratio, 'ratio', 'at most', 1)],
    faults: [],
  };
}

async function timeSynchronize(count: number): Promise<number> {
  const begun = performance.now();
  let done = 0;
  for (; done < count; done++) await rcu.synchronize();
  return nanosecondsEach(begun, count, done);
}

/** The other end echoes. From handler to handler, without a promise for each trip. */
async function timeRoundTrips(port: MessagePort, count: number): Promise<number> {
  const { promise: over, resolve, reject } = Promise.withResolvers<void>();
  const lost = (): void => reject(new Error('grace: the other end of the port is gone'));
  let done = 0;
  const returned = (): void => {
    if (++done === count) resolve();
    else port.postMessage(done);
  };
  port.on('message', returned);
  port.on('close', lost);
  const begun = performance.now();
  port.postMessage(done);
  await over;
  const result = nanosecondsEach(begun, count, done);
  port.off('message', returned);
  port.off('close', lost);
  return result;
}

/** One long thread on the other processor: time of the processors that the whole process takes while it is waited for. */
export async function measureWaiting(sizes: GraceSizes): Promise<Finding> {
  const shares: number[] = [];
  const late: number[] = [];
  const faults: string[] = [];
  await onMachine(2, async (program) => {
    // The first repeat warms up.
    for (let repeat = 0; repeat <= sizes.waits; repeat++) {
      await program.run(1, 'holdThread', [sizes.waitMs]);
      const [begun, used] = [performance.now(), process.cpuUsage()];
      await rcu.synchronize();
      const { user, system } = process.cpuUsage(used);
      const waitedMs = performance.now() - begun;
      if (await program.run(1, 'isHolding', []))
        faults.push(
          `waiting: a grace period ended after ${waitedMs} ms, before the thread that it waited for`,
        );
      if (repeat === 0) continue;
      shares.push((user + system) / 1000 / waitedMs);
      late.push(waitedMs);
    }
  });
  const statement =
    `Processor time of the whole process during a synchronize that waits ${sizes.waitMs / 1000} s for one thread on the ` +
    'other of 2 processors, as a share of the time waited, nothing subtracted (lower is better; median and spread over waits)';
  return {
    rows: [
      row('waiting-cpu', 'share of processor time', 'x', shares),
      row('waiting-cpu', 'waited for', 'ms', late),
    ],
    claims: [measuredClaim('grace.waiting-cpu', statement, shares, 'ratio', 'at most', 0.02)],
    faults,
  };
}

interface Block {
  /** Of each grace period, in milliseconds. */
  readonly times: readonly number[];
  /** Of each thread that ran meanwhile. */
  readonly lengths: readonly number[];
}

/**
 * Threads of a millisecond that follow one another without a pause on both processors.
 *
 * A block is compared with the threads of that very block, and the target is that of the median block: a single thread that
 * the system has kept waiting for half a second, as happens on a machine that others use, would allow anything.
 */
export async function measureBusy(sizes: GraceSizes): Promise<Finding> {
  const blocks: Block[] = [];
  await onMachine(2, async (program) => {
    // The first block warms up.
    for (let block = 0; block <= sizes.blocks; block++) {
      let times: number[] = [];
      const lengths = await underReaders(program, [0, 1], READERS, async () => {
        times = await timeEachSynchronize(sizes.blockSize);
      });
      if (block !== 0) blocks.push({ times, lengths });
    }
  });
  const times = (of: (values: number[]) => number): number[] => blocks.map((block) => of([...block.times]));
  const lengths = (of: (values: number[]) => number): number[] =>
    blocks.map((block) => of([...block.lengths]));
  const p99 = (values: number[]): number => quantile(values, 0.99);
  const statement =
    `Synchronize while ${READERS} threads of 1 ms are always running on each of 2 processors, p99 (lower is better; ` +
    `median and spread over ${sizes.blocks} blocks of ${sizes.blockSize}). The target is the longest thread of a block, ` +
    `median over blocks (timers are late), and ${TURN_MS} ms for a turn. Two generations end one after the other, so that the ` +
    'median is near the length of two threads';
  const measure = 'synchronize-busy';
  const target = median(lengths(max)) + TURN_MS;
  return {
    rows: [
      row(measure, 'synchronize, median', 'ms', times(median)),
      row(measure, 'synchronize, p99', 'ms', times(p99)),
      row(measure, 'synchronize, longest', 'ms', times(max)),
      row(measure, "a thread's length, median", 'ms', lengths(median)),
      row(measure, "a thread's length, p99", 'ms', lengths(p99)),
      row(measure, "a thread's length, longest", 'ms', lengths(max)),
      row(measure, "p99 over the block's longest thread", 'x', ratios(times(p99), lengths(max))),
    ],
    claims: [measuredClaim('grace.synchronize-busy', statement, times(p99), 'ms', 'at most', target)],
    faults: [],
  };
}

/** The same two costs on more and fewer processors: how they grow. */
export async function measureProcessors(sizes: GraceSizes): Promise<Finding> {
  const rows: Row[] = [];
  for (const processors of sizes.processors) {
    const [idle, busy]: [number[], number[]] = [[], []];
    const numbers = Array.from({ length: processors }, (_, number) => number);
    await onMachine(processors, async (program) => {
      await timeSynchronize(sizes.synchronizes);
      for (let repeat = 0; repeat < sizes.repeats; repeat++)
        idle.push(await timeSynchronize(sizes.synchronizes));
      await underReaders(program, numbers, 1, async () => {
        for (let block = 0; block <= sizes.blocks; block++) {
          const times = await timeEachSynchronize(Math.ceil(sizes.blockSize / 3));
          if (block !== 0) busy.push(median(times));
        }
      });
    });
    const measure = `processors ${processors}`;
    rows.push(row(measure, 'synchronize, idle', 'ns', idle));
    rows.push(row(measure, 'synchronize, a thread of 1 ms on each, median', 'ms', busy));
  }
  return { rows, claims: [], faults: [] };
}

/** Milliseconds of each, one after the other. */
async function timeEachSynchronize(count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    await rcu.synchronize();
    times.push(performance.now() - begun);
  }
  return times;
}

/** Measures while readers run on those processors; the lengths of their threads in milliseconds. */
export async function underReaders(
  program: GraceProgram,
  processors: readonly number[],
  readers: number,
  measure: () => Promise<void>,
): Promise<number[]> {
  const onEach = <R>(run: (processor: number) => Promise<R>): Promise<R[]> =>
    Promise.all(processors.map(run));
  await onEach((processor) => program.run(processor, 'startReaders', [readers]));
  try {
    await nextTurn();
    await measure();
  } catch (error) {
    // Readers of the host would outlive the machine.
    await onEach((processor) => program.run(processor, 'stopReaders', [])).catch(() => {});
    throw error;
  }
  return (await onEach((processor) => program.run(processor, 'stopReaders', []))).flat();
}
