/**
 * A trial of one way: what its calls cost, and what callers notice of upgrades, on a machine of its own.
 *
 * First each caller makes calls one after the other, all callers at once. Then a load is on the object, and every so often it is
 * upgraded. A call is *in the upgrade* if it was due, or not over, between the beginning of an upgrade and its end or a fixed time
 * after its beginning, whichever is later: so that ways whose upgrades are short are judged by as many calls. It is *in quiet* otherwise.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { onMachine } from '../../onMachine.ts';
import { monotonicMs } from '../clock.ts';
import { timeCalls } from './clients.ts';
import { type LoadRecord, type LoadSpec, runLoad, stopLoad } from './load.ts';
import { type Installed, install, type PeersProgram, processorsOf, type Way } from './ways.ts';

export interface TrialSizes {
  /** Of the object: its state is 4 bytes for each in one version, 8 in the other. */
  readonly sessions: number;
  /** Calls that end in their turn, and others, for each timing of them. */
  readonly timedCalls: { readonly synchronous: number; readonly asynchronous: number };
  readonly turnMs: number;
  /** Of all callers together. */
  readonly callsPerTurn: number;
  readonly upgrades: number;
  readonly quietMs: number;
  /** What the load draws its sessions from. */
  readonly seed: number;
}

/** From its beginning on, calls are in the upgrade for so long at least. */
export const WINDOW_MS = 20;

export interface Upgrade {
  readonly begunMs: number;
  readonly endedMs: number;
}

export interface Trial {
  /** A sample for each timing but the first: nanoseconds each. */
  readonly callNs: readonly number[];
  readonly upgrades: readonly Upgrade[];
  readonly record: LoadRecord;
  /** Results that the object does not know of, and raises it has without results; all sessions together. */
  readonly lost: number;
  readonly doubled: number;
  /** Of the process: before the load, the most in an upgrade, and after the load. */
  readonly bytes: { readonly before: number; readonly during: number; readonly after: number };
}

const TIMINGS = 4;

export function runTrial(way: Way, sizes: TrialSizes): Promise<Trial> {
  return onMachine({ processors: processorsOf(way), program: 'swapPeers' }, async (program: PeersProgram) => {
    const installed = await install(way, program, sizes.sessions);
    try {
      return await tryOut(way, installed, program, sizes);
    } finally {
      await installed.close();
    }
  });
}

async function tryOut(
  way: Way,
  installed: Installed,
  program: PeersProgram,
  sizes: TrialSizes,
): Promise<Trial> {
  const tally = new SharedArrayBuffer(sizes.sessions * 4);
  const { synchronous, asynchronous } = sizes.timedCalls;
  const isSynchronous = way === 'swapped' || way === 'locked' || way === 'front';
  const callNs = await timeAll(installed, program, isSynchronous ? synchronous : asynchronous, tally);
  const before = await memoryInQuiet();
  const { callers } = installed;
  const callsPerTurn = Math.ceil(sizes.callsPerTurn / callers.length);
  const { turnMs, sessions, seed } = sizes;
  const load: LoadSpec = { turnMs, callsPerTurn, sessions, seed, tally };
  const running = Promise.all(
    callers.map((caller) => {
      const spec = { ...load, seed: seed + caller };
      return caller === 0 ? runLoad(spec) : program.run(caller, 'runLoad', [spec]);
    }),
  );
  // Awaited below; until then it may fail unheard.
  running.catch(() => {});
  let during = before;
  const upgrades: Upgrade[] = [];
  try {
    await delay(sizes.quietMs);
    for (let index = 0; index < sizes.upgrades; index++) {
      const memory = new MemoryWatch();
      const begunMs = monotonicMs();
      await installed.upgrade();
      upgrades.push({ begunMs, endedMs: monotonicMs() });
      during = Math.max(during, memory.end());
      await delay(sizes.quietMs);
    }
  } finally {
    await Promise.all(
      callers.map((caller) => (caller === 0 ? stopLoad() : program.run(caller, 'stopLoad', []))),
    );
  }
  const records = await running;
  const after = await memoryInQuiet();
  const { lost, doubled } = compare(new Int32Array(tally), await installed.counts());
  return { callNs, upgrades, record: joined(records), lost, doubled, bytes: { before, during, after } };
}

/** The first timing warms up. */
async function timeAll(
  { callers }: Installed,
  program: PeersProgram,
  count: number,
  tally: SharedArrayBuffer,
): Promise<number[]> {
  const samples: number[] = [];
  for (let timing = 0; timing <= TIMINGS; timing++) {
    const times = await Promise.all(
      callers.map((caller) =>
        caller === 0 ? timeCalls(count, tally) : program.run(caller, 'timeCalls', [count, tally]),
      ),
    );
    if (timing > 0) samples.push(times.reduce((sum, time) => sum + time, 0) / times.length);
  }
  return samples;
}

/** Counters against results. */
export function compare(
  tally: ArrayLike<number>,
  counts: ArrayLike<number>,
): { readonly lost: number; readonly doubled: number } {
  let [lost, doubled] = [0, 0];
  for (let session = 0; session < tally.length; session++) {
    const missing = (tally[session] as number) - (counts[session] as number);
    if (missing > 0) lost += missing;
    else doubled -= missing;
  }
  return { lost, doubled };
}

function joined(records: readonly LoadRecord[]): LoadRecord {
  return {
    dueMs: records.flatMap(({ dueMs }) => dueMs),
    endedMs: records.flatMap(({ endedMs }) => endedMs),
    failedMs: records.flatMap(({ failedMs }) => failedMs),
    failure: records.find(({ failure }) => failure !== undefined)?.failure,
  };
}

/** Looks at the memory of the process all the time. */
class MemoryWatch {
  #most = process.memoryUsage.rss();
  readonly #timer: NodeJS.Timeout = setInterval(() => this.#look(), 1);

  end(): number {
    clearInterval(this.#timer);
    this.#look();
    return this.#most;
  }

  #look(): void {
    this.#most = Math.max(this.#most, process.memoryUsage.rss());
  }
}

/** Memory of the process without the garbage of this thread, or of machines that have been closed. */
async function memoryInQuiet(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  collectGarbage();
  await delay(1);
  collectGarbage();
  return process.memoryUsage.rss();
}
