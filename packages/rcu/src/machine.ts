/**
 * The machine: P processors over one shared memory.
 *
 * `Machine.boot` makes the calling thread processor 0 and starts a `worker_threads` Worker for each further one. Each
 * attaches itself, meets all the others, and loads the program's modules; only then does `boot` settle, so no
 * processor is ever seen half up. A worker that dies is noticed by its exit event and announced to the rest.
 *
 * The worker entry (`worker.ts`) has to be a sibling of this module, in source and in the built package alike.
 */
import { extname } from 'node:path';
import { MessageChannel, type MessagePort, Worker, type WorkerOptions } from 'node:worker_threads';
import { BootError, DeadlineError, InvalidArgumentError, MachineClosedError } from './errors.ts';
import { BUILTIN, registerBuiltins } from './internal/builtins.ts';
import { assertDetached, attach, currentProcessor, detach } from './internal/current.ts';
import { PROCESSOR, PROCESSOR_STATE, PROCESSORS_MAX, processorWord } from './internal/layout.ts';
import { MachineMemory } from './internal/memory.ts';
import { Processor } from './internal/processor.ts';
import type { CallOptions } from './internal/remoteCalls.ts';
import type { PeerPorts, RemoteFunction, WorkerBoot } from './internal/wire.ts';

export { claimPackage, currentProcessor, currentProcessorIfAny, onAttach } from './internal/current.ts';
export { PROCESSORS_MAX } from './internal/layout.ts';
export { MachineMemory } from './internal/memory.ts';
export type { Processor, SystemHandler } from './internal/processor.ts';
export { type CallOptions, type ContextCarrier, registerContextCarrier } from './internal/remoteCalls.ts';

const workerUrl: URL = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);

const MEMORY_BYTES = 512 * 1024 * 1024;
const BOOT_DEADLINE_MS = 30_000;
const CLOSE_DEADLINE_MS = 10_000;

export interface MachineOptions {
  /** How many processors, the calling thread included: 1 to 60. */
  readonly processors: number;
  /** Module loaded on every processor; the default module of `call` and `run`. */
  readonly program?: URL | string;
  /** Size of machine memory in bytes, default 512 MiB. Reserved, not committed: the system commits what is touched. */
  readonly memoryBytes?: number;
  /** Milliseconds for all processors to come up. Default 30 000. */
  readonly bootDeadlineMs?: number;
  /** Passed on to every Worker: `env`, `execArgv`, `resourceLimits` and so on. */
  readonly worker?: Omit<WorkerOptions, 'workerData' | 'transferList'>;
}

/** A function to call on a processor: the name of an export of the program, or of the module named beside it. */
export type Target = string | { readonly module: URL | string; readonly name: string };

export class Machine {
  readonly processors: number;
  readonly #processor: Processor;
  readonly #workers = new Map<number, Worker>();
  readonly #exits = new Map<number, Promise<void>>();
  readonly #modules: string[];
  readonly #program: string | undefined;
  #closing: Promise<void> | undefined;

  private constructor(processor: Processor, processors: number, program: string | undefined) {
    this.processors = processors;
    this.#processor = processor;
    this.#program = program;
    this.#modules = program === undefined ? [] : [program];
  }

  /**
   * Boots a machine and makes the calling thread its processor 0.
   * @throws InvalidArgumentError, AlreadyAttachedError before anything starts; BootError when a processor did not come
   *   up (no worker is left running then). Cost: starting the workers, some 30 ms each.
   */
  static async boot(options: MachineOptions): Promise<Machine> {
    const { processors, memoryBytes = MEMORY_BYTES, bootDeadlineMs = BOOT_DEADLINE_MS } = options;
    if (!Number.isInteger(processors) || processors < 1 || processors > PROCESSORS_MAX) {
      throw new InvalidArgumentError(
        `processors must be an integer from 1 to ${PROCESSORS_MAX}, not ${processors}.`,
      );
    }
    if (!(bootDeadlineMs > 0))
      throw new InvalidArgumentError(`bootDeadlineMs must be positive, not ${bootDeadlineMs}.`);
    const program = options.program === undefined ? undefined : moduleUrl(options.program);
    assertDetached();
    const buffer = MachineMemory.create(memoryBytes, processors);
    const processor = new Processor(new MachineMemory(buffer, 0), 0, processors);
    registerBuiltins(processor);
    attach(processor);
    const machine = new Machine(processor, processors, program);
    let booting = 0;
    try {
      await machine.#loadHere(bootDeadlineMs);
      for (let number = 1; number < processors; number++) machine.#start(number, buffer, options.worker);
      for (let number = 1; number < processors; number++) {
        booting = number;
        await machine.#bootCall(number, BUILTIN.LOAD, [machine.#modules], [], bootDeadlineMs);
      }
      for (let a = 1; a < processors; a++)
        for (let b = a + 1; b < processors; b++) await machine.#introduce(a, b, bootDeadlineMs);
    } catch (error) {
      await machine.#abandon();
      const reason = error instanceof Error ? error.message : String(error);
      throw new BootError(booting, reason, { cause: error });
    }
    return machine;
  }

  /** Machine memory, for layers that keep shared state in it. */
  get memory(): MachineMemory {
    return this.#processor.memory;
  }

  /**
   * Calls an exported function on a processor, as a thread there, and gives its result. Arguments and result are
   * structured clones. For work of bounded length: a thread holds up grace periods while it lasts.
   * @throws what the function throws (same name, message, code and fields, not the same class); ProcessorGoneError,
   *   NoSuchExportError, DeadlineError, MachineClosedError, InvalidArgumentError, DataCloneError.
   */
  call<R = unknown>(
    processor: number,
    target: Target,
    args: readonly unknown[] = [],
    options: CallOptions = {},
  ): Promise<R> {
    return this.#remote<R>(processor, target, true, args, options);
  }

  /**
   * As `call`, but what runs is a *program*, not a thread: it may run for hours, holds up no grace period, and starts
   * threads (`spawn`, calls through handles) for its units of work.
   */
  run<R = unknown>(
    processor: number,
    target: Target,
    args: readonly unknown[] = [],
    options: CallOptions = {},
  ): Promise<R> {
    return this.#remote<R>(processor, target, false, args, options);
  }

  /** Loads a module on every processor; settles when all have it. @throws what loading it threw. */
  async load(module: URL | string): Promise<void> {
    const url = moduleUrl(module);
    this.#assertOpen('loading a module');
    if (this.#modules.includes(url)) return;
    this.#modules.push(url);
    const live = this.#processor.liveProcessors();
    try {
      await Promise.all(
        live.map((number) => this.#processor.calls.call(number, BUILTIN.LOAD, false, [[url]])),
      );
    } catch (error) {
      // Not everywhere: asking again must try again.
      this.#modules.splice(this.#modules.indexOf(url), 1);
      throw error;
    }
  }

  /**
   * Ends the machine: every processor finishes its deferred work (callbacks, destructions), then the workers leave
   * and this thread is no processor any more. A worker still running `closeDeadlineMs` later is terminated.
   * Calling it again gives the same promise.
   * @throws DeadlineError if deferred work did not finish in time; the machine is closed all the same.
   */
  close(options: { readonly closeDeadlineMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.closeDeadlineMs ?? CLOSE_DEADLINE_MS);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(deadlineMs: number): Promise<void> {
    const { calls } = this.#processor;
    const live = this.#processor.liveProcessors();
    let late: DeadlineError | undefined;
    // Twice: finishing on one processor may hand work to another that had finished (a COID going home).
    for (let round = 0; round < 2 && late === undefined; round++) {
      const finished = Promise.allSettled(
        live.map((number) => calls.call(number, BUILTIN.FINISH, false, [])),
      );
      if (!(await within(finished, deadlineMs)))
        late = new DeadlineError('processors to finish their deferred work', deadlineMs);
    }
    const workers = [...this.#workers.keys()].filter((number) => this.#processor.isLive(number));
    for (const number of workers) calls.call(number, BUILTIN.LEAVE, false, []).catch(() => {});
    await within(Promise.all(workers.map((number) => this.#exits.get(number))), deadlineMs);
    await this.#abandon();
    if (late !== undefined) throw late;
  }

  /** Loads the program on the booting thread, which may be importing it right now. */
  async #loadHere(deadlineMs: number): Promise<void> {
    const loaded = Promise.all(this.#modules.map((module) => import(module)));
    if (await within(loaded, deadlineMs)) return;
    throw new DeadlineError(
      `${this.#modules.join(', ')} to load (a module that awaits Machine.boot at its top level cannot be its own program)`,
      deadlineMs,
    );
  }

  /** Ends whatever still runs, without waiting for deferred work. */
  async #abandon(): Promise<void> {
    for (const worker of this.#workers.values()) await worker.terminate();
    this.#processor.close();
    detach();
  }

  #start(number: number, buffer: SharedArrayBuffer, options: MachineOptions['worker']): void {
    const [own, theirs] = portPairs();
    const boot: WorkerBoot = { buffer, number, processors: this.processors, ports: theirs };
    const worker = new Worker(workerUrl, {
      name: `k42:${number}`,
      // File descriptors are shared by all processors; one that a leaving worker opened must stay open.
      trackUnmanagedFds: false,
      ...options,
      workerData: { k42: boot },
      transferList: [theirs.system, theirs.calls],
    });
    this.#workers.set(number, worker);
    this.#processor.introduce(number, own);
    // Callable at once: messages wait in the port until the worker serves.
    Atomics.store(this.memory.i32, processorWord(number, PROCESSOR.STATE), PROCESSOR_STATE.LIVE);
    let cause: unknown;
    worker.on('error', (error) => {
      cause = error;
    });
    this.#exits.set(
      number,
      new Promise((resolve) =>
        worker.once('exit', () => {
          this.#gone(number, cause);
          resolve();
        }),
      ),
    );
  }

  #gone(number: number, cause: unknown): void {
    this.#workers.delete(number);
    Atomics.store(this.memory.i32, processorWord(number, PROCESSOR.STATE), PROCESSOR_STATE.GONE);
    if (this.#closing === undefined && cause !== undefined) {
      process.emitWarning(
        `Processor ${number} died: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`,
        'K42Warning',
      );
    }
    if (this.#processor.closed) return;
    for (const other of this.#processor.liveProcessors()) {
      if (other !== 0) this.#processor.post(other, 'rcu/gone', number);
    }
    this.#processor.peerGone(number);
  }

  async #introduce(a: number, b: number, deadlineMs: number): Promise<void> {
    const [forA, forB] = portPairs();
    await Promise.all([
      this.#bootCall(a, BUILTIN.INTRODUCE, [b, forA], [forA.system, forA.calls], deadlineMs),
      this.#bootCall(b, BUILTIN.INTRODUCE, [a, forB], [forB.system, forB.calls], deadlineMs),
    ]);
  }

  #bootCall(
    number: number,
    builtin: string,
    args: readonly unknown[],
    transfer: readonly MessagePort[],
    deadlineMs: number,
  ): Promise<unknown> {
    return this.#processor.calls.call(number, builtin, false, args, { deadlineMs, transfer });
  }

  async #remote<R>(
    processor: number,
    target: Target,
    counted: boolean,
    args: readonly unknown[],
    options: CallOptions,
  ): Promise<R> {
    this.#assertOpen('calling a function');
    if (!Number.isInteger(processor) || processor < 0 || processor >= this.processors) {
      throw new InvalidArgumentError(`No processor ${processor} in a machine of ${this.processors}.`);
    }
    return (await this.#processor.calls.call(processor, this.#resolve(target), counted, args, options)) as R;
  }

  #resolve(target: Target): RemoteFunction {
    if (typeof target !== 'string') return { module: moduleUrl(target.module), name: target.name };
    if (this.#program === undefined) {
      throw new InvalidArgumentError(
        `"${target}" names no module, and the machine was booted without a program.`,
      );
    }
    return { module: this.#program, name: target };
  }

  #assertOpen(doing: string): void {
    if (this.#closing !== undefined) throw new MachineClosedError(doing);
  }
}

/**
 * Loads a module on every live processor of the calling processor's machine, the calling one excepted; settles when
 * all have it. For packages that need themselves to be everywhere before they act. Loading again costs a message.
 * @throws what loading it threw; NotAttachedError, ProcessorGoneError, DeadlineError, InvalidArgumentError.
 */
export async function loadOnOthers(module: URL | string, options: CallOptions = {}): Promise<void> {
  const url = moduleUrl(module);
  const processor = currentProcessor();
  const others = processor.liveProcessors().filter((number) => number !== processor.number);
  await Promise.all(
    others.map((number) => processor.calls.call(number, BUILTIN.LOAD, false, [[url]], options)),
  );
}

/** Both ends of the two channels between two processors. */
function portPairs(): [PeerPorts, PeerPorts] {
  const system = new MessageChannel();
  const calls = new MessageChannel();
  return [
    { system: system.port1, calls: calls.port1 },
    { system: system.port2, calls: calls.port2 },
  ];
}

function moduleUrl(module: URL | string): string {
  const url = module instanceof URL ? module.href : module;
  if (!URL.canParse(url)) {
    throw new InvalidArgumentError(
      `A module is named by its URL (new URL('./m.ts', import.meta.url)), not by ${JSON.stringify(url)}.`,
    );
  }
  return url;
}

/** Whether a promise settles within a time. The timer does not outlive the wait. */
async function within(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const { promise: timeout, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, milliseconds, false);
  try {
    return await Promise.race([promise.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
