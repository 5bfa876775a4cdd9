/**
 * The servers: one on every processor of a machine, all on one port, and one of them on a worker that can be killed.
 *
 * Ports are shared with `SO_REUSEPORT`: the system gives each connection to one of the listening sockets, and none passes
 * through another thread. Where Node or the system has no such thing, each processor listens on a port of its own.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Coid } from '@k42/clustered';
import type { ByteMap } from '@k42/clustered/standard';
import { Machine, type RemoteModule } from '@k42/rcu';
import { entryUrl } from '../../entryUrl.ts';
import { monotonicMs } from '../clock.ts';
import type { Accepted, Killed } from './judge.ts';
import { HOSTNAME, NOTE_BYTES, notesIn } from './server.ts';

type Program = RemoteModule<typeof import('../../swapHttp.ts')>;

const BOUNDED = { deadlineMs: 30_000 };
const JOIN_MS = 10_000;
/** Connections that a server notes. */
const NOTED_MAX = 4_096;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Running {
  readonly serial: number;
  readonly processor: number;
  readonly port: number;
}

/** The worker that is to be killed. */
interface Doomed {
  readonly worker: Worker;
  readonly processor: number;
}

export class Servers {
  readonly reusePort: boolean;
  readonly kills: Killed[] = [];
  readonly #machine: Machine;
  readonly #program: Program;
  /** By serial number. */
  readonly #notes = new Map<number, SharedArrayBuffer>();
  #nextSerial = 0;
  #running: Running[] = [];
  #doomed: Doomed | undefined;

  private constructor(machine: Machine, reusePort: boolean) {
    this.#machine = machine;
    this.#program = machine.module();
    this.reusePort = reusePort;
  }

  /** @param processors at least 2: the calling thread, and the one to be killed */
  static async boot(processors: number, { reusePort }: { reusePort?: boolean } = {}): Promise<Servers> {
    const machine = await Machine.boot({
      processors: processors - 1,
      maxProcessors: processors,
      program: entryUrl('swapHttp'),
      name: 'swapHttp',
    });
    return new Servers(machine, reusePort ?? (await canReusePort()));
  }

  get urls(): string[] {
    const ports = new Set(this.#running.map(({ port }) => port));
    return [...ports].map((port) => `http://${HOSTNAME}:${port}`);
  }

  /** Serves the store on every processor, among which there is one to be killed. */
  async listen(store: Coid<ByteMap>): Promise<void> {
    this.#notes.clear();
    if (this.#doomed === undefined) await this.#startDoomed();
    for (const processor of this.#machine.processors) await this.#listen(processor, store, 0);
  }

  /** Puts another worker in the place of the one that was killed, and has it serve. */
  async replaceDoomed(store: Coid<ByteMap>): Promise<void> {
    const { processor } = await this.#startDoomed();
    await this.#listen(processor, store, this.kills.at(-1)?.port ?? 0);
  }

  /** Has the worker that will be killed do nothing but be busy, for so long; settles when it is. */
  async keepDoomedBusy(milliseconds: number): Promise<void> {
    const begun = new SharedArrayBuffer(4);
    const word = new Int32Array(begun);
    // It will not live to answer.
    this.#program.run(this.#toBeKilled().processor, 'beBusy', [begun, milliseconds], BOUNDED).catch(() => {});
    const { async: waits, value } = Atomics.waitAsync(word, 0, 0, JOIN_MS);
    if ((waits ? await value : value) === 'timed-out')
      throw new Error(`swap: the processor to be killed was not busy within ${JOIN_MS} ms`);
  }

  /** Kills it, at whatever instruction it is; settles when its number is free. */
  async kill(): Promise<void> {
    const { worker, processor } = this.#toBeKilled();
    const server = this.#running.find((running) => running.processor === processor);
    if (server === undefined) throw new Error('swap: the worker to be killed does not serve');
    const { serial, port } = server;
    this.kills.push({ serial, port, sharesPort: this.reusePort, atMs: monotonicMs() });
    this.#running = this.#running.filter((other) => other !== server);
    this.#doomed = undefined;
    await worker.terminate();
    const until = performance.now() + JOIN_MS;
    while (this.#machine.processors.includes(processor)) {
      if (performance.now() > until)
        throw new Error(`swap: the death of processor ${processor} was not noticed within ${JOIN_MS} ms`);
      await nextTurn();
    }
  }

  /** The connections accepted since the servers were last told to listen. */
  accepted(): Accepted[] {
    return [...this.#notes].flatMap(([serial, buffer]) => notesIn(serial, buffer));
  }

  /** Stops serving, everywhere, and closes all connections. */
  async stopServing(): Promise<void> {
    const running = this.#running;
    this.#running = [];
    await Promise.all(
      running.map(({ processor }) => this.#program.run(processor, 'closeServer', [], BOUNDED)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A server on the calling thread would outlive the machine.
    await Promise.allSettled([this.stopServing()]);
    await this.#doomed?.worker.terminate();
    await this.#machine.close();
  }

  #toBeKilled(): Doomed {
    if (this.#doomed === undefined) throw new Error('swap: there is no worker to be killed');
    return this.#doomed;
  }

  async #startDoomed(): Promise<Doomed> {
    const worker = new Worker(entryUrl('swapHttpWorker'), { workerData: this.#machine.ticket() });
    try {
      const [processor] = (await once(worker, 'message', { signal: AbortSignal.timeout(JOIN_MS) })) as [
        number,
      ];
      this.#doomed = { worker, processor };
      return this.#doomed;
    } catch (error) {
      await worker.terminate();
      throw error;
    }
  }

  /** @param ownPort where ports cannot be shared: its port, or 0 for any that is free */
  async #listen(processor: number, store: Coid<ByteMap>, ownPort: number): Promise<void> {
    const serial = this.#nextSerial++;
    const accepted = new SharedArrayBuffer(NOTED_MAX * NOTE_BYTES);
    this.#notes.set(serial, accepted);
    const { reusePort } = this;
    const common = this.#running[0]?.port ?? 0;
    const spec = { serial, port: reusePort ? common : ownPort, reusePort, store, accepted };
    const port = await this.#program.run(processor, 'listenHere', [spec], BOUNDED);
    this.#running.push({ serial, processor, port });
  }
}

/** Whether two sockets can listen on one port. */
async function canReusePort(): Promise<boolean> {
  const sockets = [createServer(), createServer()];
  try {
    let port = 0;
    for (const socket of sockets) {
      socket.listen({ host: HOSTNAME, port, reusePort: true });
      // `once` rejects on an error.
      await once(socket, 'listening');
      port = (socket.address() as { port: number }).port;
    }
    return true;
  } catch {
    return false;
  } finally {
    for (const socket of sockets) socket.close();
  }
}
