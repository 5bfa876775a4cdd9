/**
 * Null swaps on idle machines: of one processor, and of two beside a message there and back between the same two threads.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { median, quantile } from 'simple-statistics';
import { measuredClaim } from '../../cli/document.ts';
import { type Finding, ratios, row } from '../../measure/finding.ts';
import { onMachine } from '../../onMachine.ts';
import { STAGES, type StageName, timeNullSwaps } from '../../swap/idle.ts';
import { INTERFACES, type InterfaceName } from '../../swap/load/objects.ts';
import type { SwapSizes } from './sizes.ts';

type Program = typeof import('../../swap.ts');
/** Microseconds, a sample per repeat. */
interface Timed {
  readonly p50: number[];
  readonly p99: number[];
  readonly stages: Record<StageName, number[]>;
}
type Samples = Record<InterfaceName, Timed>;

const KINDS: Record<InterfaceName, string> = {
  async: 'asynchronous methods only',
  mixed: 'synchronous methods too',
};

/** Repeats that do not count: V8 takes a thousand swaps to have compiled all that is in one. */
const WARM_UPS = 4;

const TITLES: Record<StageName, string> = {
  forward: 'in FORWARD',
  block: 'in BLOCK',
  transfer: 'in TRANSFER',
  complete: 'in COMPLETE',
  outside: 'before and after',
};

interface Idle {
  readonly swaps: Samples;
  /** Microseconds of round trips to the other processor, p50; none on a machine of one. */
  readonly trips: number[];
  readonly incomplete: number;
}

export async function measureIdle(sizes: SwapSizes): Promise<Finding> {
  const [one, two] = [await sampleIdle(sizes, 1), await sampleIdle(sizes, 2)];
  const worstOne = eachWorst(one.swaps);
  const worstTwo = eachWorst(two.swaps);
  const inTrips = ratios(worstTwo, two.trips);
  const spread = 'the slower of the two kinds of interface; lower is better; median and spread over repeats';
  const describe = (measure: string, { swaps }: Idle): Finding['rows'] =>
    INTERFACES.flatMap((name) => [
      row(measure, `null swap, ${KINDS[name]}, p50`, 'µs', swaps[name].p50),
      row(measure, `null swap, ${KINDS[name]}, p99`, 'µs', swaps[name].p99),
      ...STAGES.map((stage) =>
        row(measure, `of it ${TITLES[stage]}, ${KINDS[name]}, p50`, 'µs', swaps[name].stages[stage]),
      ),
    ]);
  return {
    rows: [
      ...describe('idle 1', one),
      ...describe('idle 2', two),
      row('idle 2', 'postMessage round trip, p50', 'µs', two.trips),
      ...INTERFACES.map((name) =>
        row('idle 2', `over round trip, ${KINDS[name]}`, 'x', ratios(two.swaps[name].p50, two.trips)),
      ),
    ],
    claims: [
      measuredClaim(
        'swap.idle-1',
        `Time of a swap of an object that has nothing to transfer, idle, on one processor, p50 (${spread})`,
        worstOne,
        'µs',
        'at most',
        100,
      ),
      measuredClaim(
        'swap.idle-2',
        'Time of a swap of an object that has nothing to transfer, idle, on two processors, p50, over that of a postMessage ' +
          `round trip between the same two threads, p50 (ours over theirs; ${spread}, interleaved)`,
        inTrips,
        'ratio',
        'at most',
        5,
      ),
    ],
    faults: [one, two].flatMap(({ incomplete }, index) =>
      incomplete === 0 ? [] : [`idle ${index + 1}: in ${incomplete} swaps a processor did not take part`],
    ),
  };
}

function noSamples(): Timed {
  return {
    p50: [],
    p99: [],
    stages: { forward: [], block: [], transfer: [], complete: [], outside: [] },
  };
}

/** Sample by sample, the slower kind of interface. */
function eachWorst(samples: Samples): number[] {
  return samples.async.p50.map((value, repeat) => Math.max(value, samples.mixed.p50[repeat] as number));
}

function sampleIdle(sizes: SwapSizes, processors: 1 | 2): Promise<Idle> {
  return onMachine<Program, Idle>({ processors, program: 'swap' }, async (program) => {
    const { port1: port, port2 } = new MessageChannel();
    const others = processors === 1 ? [] : [1];
    for (const other of others) await program.run(other, 'echo', [port2], { transfer: [port2] });
    const coids = {
      async: await program.run(0, 'createNull', ['async']),
      mixed: await program.run(0, 'createNull', ['mixed']),
    };
    const trips: number[] = [];
    const swaps: Samples = { async: noSamples(), mixed: noSamples() };
    let incomplete = 0;
    for (let repeat = -WARM_UPS; repeat < sizes.idleRepeats; repeat++) {
      for (const name of INTERFACES) {
        const coid = coids[name];
        const touch = async (): Promise<void> => {
          for (const number of [0, ...others]) await program.run(number, 'touchNull', [coid]);
        };
        const timed = await timeNullSwaps(coid, name, {
          swaps: sizes.idleSwaps,
          budgetMs: sizes.windowBudgetMs,
          touch,
        });
        incomplete += timed.incomplete;
        if (repeat < 0) continue;
        swaps[name].p50.push(median(timed.microseconds));
        swaps[name].p99.push(quantile(timed.microseconds, 0.99));
        for (const stage of STAGES) swaps[name].stages[stage].push(median(timed.stages[stage]));
      }
      if (others.length === 0) continue;
      const trip = median(await timeRoundTrips(port, sizes.roundTrips));
      if (repeat >= 0) trips.push(trip);
    }
    port.close();
    return { swaps, trips, incomplete };
  });
}

/** Microseconds of each; the other end echoes. From handler to handler, without a promise for each trip. */
async function timeRoundTrips(port: MessagePort, count: number): Promise<number[]> {
  const { promise: over, resolve, reject } = Promise.withResolvers<void>();
  const trips: number[] = [];
  let begun = 0;
  const send = (): void => {
    begun = performance.now();
    port.postMessage(trips.length);
  };
  const lost = (): void => reject(new Error('swap: the other end of the port is gone'));
  const returned = (): void => {
    trips.push((performance.now() - begun) * 1000);
    if (trips.length === count) resolve();
    else send();
  };
  port.on('message', returned);
  port.on('close', lost);
  await nextTurn();
  send();
  await over;
  port.off('message', returned);
  port.off('close', lost);
  return trips;
}
