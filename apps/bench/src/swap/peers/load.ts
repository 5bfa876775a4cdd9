/**
 * The load on one thread: calls at moments that are laid down beforehand, whatever becomes of the calls before.
 *
 * Every so many milliseconds a turn is due, of so many calls. A turn that comes late, since the thread was held up or a call
 * before has lasted, counts from when it was due. So whatever delays callers shows in what they see, and in the calls that come after.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../postmark/random.ts';
import { monotonicMs } from '../clock.ts';
import { currentClient } from './clients.ts';

export interface LoadSpec {
  readonly turnMs: number;
  readonly callsPerTurn: number;
  readonly sessions: number;
  readonly seed: number;
  /** A word for each session: its calls that gave a result. */
  readonly tally: SharedArrayBuffer;
}

/** Element i of the first two is about the same call. */
export interface LoadRecord {
  readonly dueMs: number[];
  readonly endedMs: number[];
  /** When calls that failed were due. */
  readonly failedMs: number[];
  /** What the first of them said. */
  readonly failure: string | undefined;
}

/** For calls to end after the load has. */
const END_MS = 10_000;

let stopped = false;

/** Calls until `stopLoad`. Called by name. */
export async function runLoad(spec: LoadSpec): Promise<LoadRecord> {
  stopped = false;
  const load = new Load(spec);
  const begunMs = monotonicMs();
  for (let turn = 0; !stopped; await delay(1)) {
    for (const nowMs = monotonicMs(); begunMs + turn * spec.turnMs <= nowMs; turn++)
      load.call(begunMs + turn * spec.turnMs);
  }
  await load.ended();
  return load.record();
}

/** Called by name. */
export function stopLoad(): void {
  stopped = true;
}

class Load {
  readonly #spec: LoadSpec;
  readonly #random: Random;
  readonly #tally: Int32Array;
  readonly #dueMs: number[] = [];
  readonly #endedMs: number[] = [];
  readonly #failedMs: number[] = [];
  #failure: string | undefined;
  #open = 0;

  constructor(spec: LoadSpec) {
    this.#spec = spec;
    this.#random = new Random(spec.seed);
    this.#tally = new Int32Array(spec.tally);
  }

  /** The calls of a turn. */
  call(dueMs: number): void {
    const client = currentClient();
    for (let call = 0; call < this.#spec.callsPerTurn; call++) {
      const session = this.#random.below(this.#spec.sessions);
      this.#open++;
      try {
        const result = client.bump(session);
        if (typeof result === 'number') this.#succeeded(dueMs, session);
        else
          result.then(
            () => this.#succeeded(dueMs, session),
            (error: unknown) => this.#failed(dueMs, error),
          );
      } catch (error) {
        this.#failed(dueMs, error);
      }
    }
  }

  async ended(): Promise<void> {
    for (const until = monotonicMs() + END_MS; this.#open > 0; await delay(1))
      if (monotonicMs() > until) throw new Error(`swap: ${this.#open} calls did not end within ${END_MS} ms`);
  }

  record(): LoadRecord {
    return {
      dueMs: this.#dueMs,
      endedMs: this.#endedMs,
      failedMs: this.#failedMs,
      failure: this.#failure,
    };
  }

  #succeeded(dueMs: number, session: number): void {
    this.#open--;
    this.#dueMs.push(dueMs);
    this.#endedMs.push(monotonicMs());
    Atomics.add(this.#tally, session, 1);
  }

  #failed(dueMs: number, error: unknown): void {
    this.#open--;
    this.#failedMs.push(dueMs);
    this.#failure ??= String(error);
  }
}
