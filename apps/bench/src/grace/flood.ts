/**
 * A flood of callbacks: as many as this processor can hand in and run within a time, from one loop.
 *
 * The loop hands in a burst per turn of the event loop, so that readers, callbacks and messages get their turns too, and
 * waits where `call` says that enough is pending. Every callback is a closure of its own, as that of a retired object is, and
 * checks that it is the next one.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { rcu } from '@k42/rcu';

export interface FloodResult {
  readonly callbacks: number;
  /** From the first one handed in until the last one has run. */
  readonly seconds: number;
  readonly gracePeriods: number;
  /** Times `call` asked the loop to wait. */
  readonly waits: number;
  /** Callbacks that did not run, or not in their turn. */
  readonly faults: number;
  /** Greatest growth of this thread's heap and external memory, garbage included, since before the first flood here. */
  readonly heapBytes: number;
  /** The same of what the process keeps resident. */
  readonly residentBytes: number;
}

/** Callbacks handed in per turn. */
const BURST = 2_000;
const MEMORY_EVERY_MS = 10;

/** Called by name. */
export async function flood(milliseconds: number): Promise<FloodResult> {
  const memory = watchMemory();
  const gracePeriodsBefore = rcu.view().gracePeriodsEnded;
  let [handedIn, ran, faults, waits] = [0, 0, 0, 0];
  const handIn = (): boolean => {
    const index = handedIn++;
    return rcu.call(() => {
      if (index !== ran++) faults++;
    });
  };
  const begun = performance.now();
  while (performance.now() - begun < milliseconds) {
    let more = true;
    for (let i = 0; i < BURST && more; i++) more = handIn();
    if (more) await nextTurn();
    else {
      waits++;
      await rcu.drained();
    }
  }
  await rcu.barrier();
  const seconds = (performance.now() - begun) / 1000;
  faults += handedIn - ran;
  const gracePeriods = rcu.view().gracePeriodsEnded - gracePeriodsBefore;
  return { callbacks: handedIn, seconds, gracePeriods, waits, faults, ...memory.stop() };
}

interface Memory {
  readonly heap: number;
  readonly resident: number;
}

let before: Memory | undefined;

function memoryNow(): Memory {
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, resident: rss };
}

function watchMemory(): { stop(): { heapBytes: number; residentBytes: number } } {
  before ??= memoryNow();
  const { heap: heapBefore, resident: residentBefore } = before;
  let [heapBytes, residentBytes] = [0, 0];
  const look = (): void => {
    const { heap, resident } = memoryNow();
    heapBytes = Math.max(heapBytes, heap - heapBefore);
    residentBytes = Math.max(residentBytes, resident - residentBefore);
  };
  const timer = setInterval(look, MEMORY_EVERY_MS);
  return {
    stop: () => {
      clearInterval(timer);
      look();
      return { heapBytes, residentBytes };
    },
  };
}
