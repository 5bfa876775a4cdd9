/**
 * The ways that restart workers: two workers of a tinypool serve the calls, each with the sessions it has seen in its heap, and
 * the new version comes with new workers.
 *
 * - *recycled:* `recycleWorkers()` lets each worker finish its task, ends it and starts another in its place.
 * - *replaced:* a new pool is started beside the old one. When both of its workers serve it gets the calls, and the old pool
 *   is destroyed, whatever it is doing.
 *
 * Either way the sessions of the old workers are gone, unless a program keeps them elsewhere, which is to keep them in no worker.
 */
import { Tinypool } from 'tinypool';
import { entryUrl } from '../../entryUrl.ts';
import type { Version } from './tables.ts';

export interface PoolData {
  /** One word: the version that a worker is to run. */
  readonly version: SharedArrayBuffer;
  readonly sessions: number;
}

/** Who answers, and which version it runs. */
export interface Worker {
  readonly version: Version;
  readonly thread: number;
}

export interface Dump {
  /** A word for each session: each worker adds its counters. */
  readonly counts: SharedArrayBuffer;
  /** A word: how many workers have. */
  readonly arrived: SharedArrayBuffer;
  readonly workers: number;
  readonly deadlineMs: number;
}

export type Restart = 'recycled' | 'replaced';

const WORKERS = 2;
const UPGRADE_MS = 10_000;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class PoolClient {
  readonly #sessions: number;
  readonly #version: Int32Array;
  #pool: Tinypool;

  private constructor(sessions: number) {
    this.#sessions = sessions;
    this.#version = new Int32Array(new SharedArrayBuffer(4)).fill(1);
    this.#pool = this.#start();
  }

  /** Settles when the workers serve. */
  static async open(sessions: number): Promise<PoolClient> {
    const client = new PoolClient(sessions);
    await client.#untilServed(client.#pool, 1);
    return client;
  }

  bump(session: number): Promise<number> {
    return this.#pool.run(session, { name: 'bump' }) as Promise<number>;
  }

  /** Settles when all workers serve the new version. */
  async upgrade(version: Version, restart: Restart): Promise<void> {
    Atomics.store(this.#version, 0, version);
    if (restart === 'recycled') {
      await this.#pool.recycleWorkers();
      await this.#untilServed(this.#pool, version);
      return;
    }
    const [old, next] = [this.#pool, this.#start()];
    await this.#untilServed(next, version);
    this.#pool = next;
    await old.destroy();
  }

  /** What the workers have counted. */
  async counts(): Promise<Int32Array> {
    const counts = new SharedArrayBuffer(this.#sessions * 4);
    const arrived = new SharedArrayBuffer(4);
    const dump: Dump = { counts, arrived, workers: WORKERS, deadlineMs: UPGRADE_MS };
    await Promise.all(Array.from({ length: WORKERS }, () => this.#pool.run(dump, { name: 'dump' })));
    return new Int32Array(counts);
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #start(): Tinypool {
    const data: PoolData = {
      version: this.#version.buffer as SharedArrayBuffer,
      sessions: this.#sessions,
    };
    return new Tinypool({
      filename: entryUrl('swapPeersWorker').href,
      minThreads: WORKERS,
      maxThreads: WORKERS,
      workerData: data,
      execArgv: [],
    });
  }

  /** Until each of the pool's workers has answered that it runs a version. */
  async #untilServed(pool: Tinypool, version: Version): Promise<void> {
    const until = performance.now() + UPGRADE_MS;
    const serving = new Set<number>();
    while (serving.size < WORKERS) {
      if (performance.now() > until)
        throw new Error(`swap: ${WORKERS} workers of a pool did not serve within ${UPGRADE_MS} ms`);
      const asked = Array.from({ length: WORKERS }, () => pool.run(0, { name: 'who' }));
      for (const worker of (await Promise.all(asked)) as Worker[])
        if (worker.version === version) serving.add(worker.thread);
      await nextTurn();
    }
  }
}
