/**
 * The machine: processors over one shared memory, which come and go.
 *
 * `Machine.boot` makes the calling thread processor 0, the *host*, and starts a `worker_threads` Worker for each further
 * one. Threads that somebody else made join with a ticket (`joinMachine`). How a number is given out and comes back is told in
 * `internal/membership.ts`.
 *
 * The worker entry (`worker.ts`) has to be a sibling of this module, in source and in the built package alike.
 */
import { randomUUID } from 'node:crypto';
import { extname } from 'node:path';
import { MessageChannel, threadId, Worker, type WorkerOptions } from 'node:worker_threads';
import { BootError, DeadlineError, InvalidArgumentError, MachineClosedError } from './errors.ts';
import { BUILTIN, registerModuleList } from './internal/builtins.ts';
import { assertDetached } from './internal/current.ts';
import { assertDeadline, within } from './internal/deadline.ts';
import { answerKnocks } from './internal/doors.ts';
import { becomeProcessor } from './internal/joining.ts';
import { PROCESSOR, PROCESSOR_STATE, PROCESSORS_MAX, processorWord } from './internal/layout.ts';
import { Membership, type Reservation } from './internal/membership.ts';
import { MachineMemory } from './internal/memory.ts';
import { currentTask } from './internal/owners.ts';
import { moduleUrl, type Processor, type Target } from './internal/processor.ts';
import type { CallOptions } from './internal/remoteCalls.ts';
import { type RemoteModule, remoteModule } from './internal/remoteModule.ts';
import { type ProcessorView, viewsOf } from './internal/stall.ts';
import { PROTOCOL, type Ticket, type WorkerBoot } from './internal/wire.ts';

export { claimPackage, currentProcessor, currentProcessorIfAny, onAttach } from './internal/current.ts';
export { type JoinOptions, joinMachine, type LeaveOptions, leaveMachine } from './internal/guests.ts';
export { PROCESSORS_MAX } from './internal/layout.ts';
export { MachineMemory } from './internal/memory.ts';
export type { LockOwner, Owner } from './internal/owners.ts';
export type { Processor, SystemHandler, Target } from './internal/processor.ts';
export {
  type CallContext,
  type CallOptions,
  type ContextCarrier,
  currentCall,
  type Moving,
  moving,
  registerContextCarrier,
} from './internal/remoteCalls.ts';
export type { RemoteModule } from './internal/remoteModule.ts';
export type { Ticket } from './internal/wire.ts';

const workerUrl: URL = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);

const MEMORY_BYTES = 512 * 1024 * 1024;
const JOIN_DEADLINE_MS = 30_000;
const CLOSE_DEADLINE_MS = 10_000;
const STALL_MS = 10_000;

export interface MachineOptions {
  /** How many processors to boot, the calling thread included: 1 to 60. */
  readonly processors: number;
  /** How many there may be at a time: `processors` to 60. Default `processors`. */
  readonly maxProcessors?: number;
  /** Module loaded on every processor; the default module of `call` and `run`. */
  readonly program?: URL | string;
  /** For people: processors are called `name:number`. Default `k42`. */
  readonly name?: string;
  /** Size of machine memory in bytes, default 512 MiB. Reserved, not committed: the system commits what is touched. */
  readonly memoryBytes?: number;
  /** Milliseconds for a processor to come up. Default 30 000. */
  readonly bootDeadlineMs?: number;
  /** Checks that references are used inside threads only, on every processor; costs much. Default false. */
  readonly prove?: boolean;
  /**
   * A grace period that has not ended after so many milliseconds is reported, as a warning and on `k42:rcu:stall`, and
   * again whenever as much time has passed. 0 for never; default 10 000.
   */
  readonly stallMs?: number;
  /** Passed on to every Worker: `env`, `execArgv`, `resourceLimits` and so on. */
  readonly worker?: Omit<WorkerOptions, 'workerData' | 'transferList' | 'name'>;
}

/** A machine at a moment: a processor that did not answer within 100 ms is missing among `processors`. */
export interface MachineSnapshot {
  readonly processors: readonly ProcessorView[];
  readonly unresponsive: readonly number[];
}

interface RunningWorker {
  readonly worker: Worker;
  readonly exited: Promise<void>;
}

/** The host's handle on the machine it has booted. */
export class Machine {
  readonly #processor: Processor;
  readonly #membership: Membership;
  readonly #options: MachineOptions;
  readonly #ticket: Ticket;
  readonly #joinDeadlineMs: number;
  /** The worker that has a number now. */
  readonly #workers = new Map<number, RunningWorker>();
  /** Every worker the machine has started that still runs, those that have left it included. */
  readonly #running = new Set<RunningWorker>();
  #stopAnswering: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: MachineOptions, program: string | undefined) {
    const { memoryBytes = MEMORY_BYTES, bootDeadlineMs = JOIN_DEADLINE_MS } = options;
    const { maxProcessors = options.processors, prove = false, stallMs = STALL_MS } = options;
    const buffer = MachineMemory.create(memoryBytes, { processors: maxProcessors, prove, stallMs });
    const memory = new MachineMemory(buffer, 0, 1);
    const { task, started } = currentTask();
    // Plain stores: nobody else has the memory yet.
    memory.i32[processorWord(0, PROCESSOR.STATE)] = PROCESSOR_STATE.JOINING;
    memory.i32[processorWord(0, PROCESSOR.INCARNATION)] = 1;
    memory.i32[processorWord(0, PROCESSOR.TASK)] = task;
    memory.i32[processorWord(0, PROCESSOR.TASK_STARTED)] = started;
    this.#options = options;
    this.#joinDeadlineMs = bootDeadlineMs;
    this.#processor = becomeProcessor(
      memory,
      { number: 0, incarnation: 1, name: this.#nameFor(0), program },
      [],
    );
    this.#membership = new Membership(this.#processor, bootDeadlineMs);
    if (program !== undefined) this.#membership.modules.push(program);
    registerModuleList(this.#processor, this.#membership.modules);
    this.#ticket = Object.freeze({
      k42: 'ticket',
      protocol: PROTOCOL,
      machine: randomUUID(),
      host: threadId,
      memory: buffer,
      program,
    });
  }

  /**
   * Boots a machine and makes the calling thread its processor 0.
   * @throws InvalidArgumentError, AlreadyAttachedError before anything starts; BootError when a processor did not come
   *   up (no worker is left running then). Cost: starting the workers, some 30 ms each, all at once.
   */
  static async boot(options: MachineOptions): Promise<Machine> {
    const program = checked(options);
    assertDetached();
    const machine = new Machine(options, program);
    let booting = 0;
    try {
      await machine.#loadHere();
      machine.#processor.calls.serve();
      const places = Array.from({ length: options.processors - 1 }, () => machine.#membership.reserve());
      await Promise.all(
        places.map(async (place) => {
          try {
            await machine.#start(place, undefined);
          } catch (error) {
            if (booting === 0) booting = place.number;
            throw error;
          }
        }),
      );
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

  /** Numbers of the processors that serve now, ascending; one that is leaving is among them until it is gone. 0 is the host. */
  get processors(): readonly number[] {
    return this.#membership.serving();
  }

  /** How many processors there may be at a time. */
  get maxProcessors(): number {
    return this.#processor.processors;
  }

  /** `Processor.call` from the host: calls an exported function on a processor, as a thread there. */
  async call<R = unknown>(
    processor: number,
    target: Target,
    args: readonly unknown[] = [],
    options: CallOptions = {},
  ): Promise<R> {
    this.#assertOpen('calling a function');
    return this.#processor.call<R>(processor, target, args, options);
  }

  /** `Processor.run` from the host: as `call`, for a *program*, which holds up no grace period. */
  async run<R = unknown>(
    processor: number,
    target: Target,
    args: readonly unknown[] = [],
    options: CallOptions = {},
  ): Promise<R> {
    this.#assertOpen('calling a function');
    return this.#processor.run<R>(processor, target, args, options);
  }

  /**
   * Typed calls of a module's exported functions:
   * `machine.module<typeof import('./program.ts')>(url).call(1, 'greet', ['x'])`.
   * @param module default the program. @throws InvalidArgumentError
   */
  module<M>(module?: URL | string): RemoteModule<M> {
    return remoteModule<M>(this.#processor, module);
  }

  /** Loads a module on every processor, and on those that join later before they serve. @throws what loading it threw. */
  async load(module: URL | string, options: CallOptions = {}): Promise<void> {
    this.#assertOpen('loading a module');
    await this.#processor.load(module, options);
  }

  /**
   * Starts one more worker and makes it a processor; gives its number when it serves.
   * @throws MachineFullError, MachineClosedError, BootError; nothing is left running then.
   */
  async add(options: { readonly name?: string } = {}): Promise<number> {
    this.#assertOpen('adding a processor');
    const place = this.#membership.reserve();
    try {
      await this.#start(place, options.name);
    } catch (error) {
      if (this.#closing !== undefined) throw new MachineClosedError('adding a processor', { cause: error });
      const reason = error instanceof Error ? error.message : String(error);
      throw new BootError(place.number, reason, { cause: error });
    }
    return place.number;
  }

  /**
   * Asks a processor to leave: it takes no more calls, finishes its deferred work and its threads, and goes; its worker,
   * if the machine started it, ends. Settles when its number is free.
   * @throws DeadlineError if it is not done in time: a worker of the machine is terminated then, another goes on trying.
   *   InvalidArgumentError for the host or a number nobody has; MachineClosedError.
   */
  async remove(number: number, options: { readonly deadlineMs?: number } = {}): Promise<void> {
    this.#assertOpen('removing a processor');
    const { deadlineMs = CLOSE_DEADLINE_MS } = options;
    assertDeadline(deadlineMs);
    if (number === 0) throw new InvalidArgumentError('The host cannot leave its machine: close it.');
    if (!this.#membership.serving().includes(number))
      throw new InvalidArgumentError(`No processor ${number} serves.`);
    const departed = this.#membership.departure(number);
    // Now: once it has departed, another one may have its number.
    const running = this.#workers.get(number);
    // Dying is a way to leave.
    this.#processor.calls.call(number, BUILTIN.LEAVE, false, [false]).catch(() => {});
    const until = performance.now() + deadlineMs;
    const inTime = await within(departed, deadlineMs);
    // It has left. What still keeps its thread running (a timer, a server) is not the machine's.
    const rest = Math.max(0, until - performance.now());
    if (inTime && running !== undefined && (await within(running.exited, rest))) return;
    await running?.worker.terminate();
    if (inTime) return;
    throw new DeadlineError(`processor ${number} to finish its threads and deferred work`, deadlineMs);
  }

  /**
   * With this any thread of the process joins (`joinMachine(ticket)`), as often as you like; hand it to workers as
   * `workerData` or in a message. While it is in use, the host answers `workerMessage` events of its thread.
   */
  ticket(): Ticket {
    this.#assertOpen('making a ticket');
    this.#stopAnswering ??= answerKnocks(this.#ticket.machine, (control) => {
      // Whoever could not join knows why from its own call.
      this.#membership.admit(control, undefined, (number) => this.#nameFor(number)).catch(() => {});
    });
    return this.#ticket;
  }

  /** How every processor sees itself now: threads, generations, grace periods, callbacks. Takes up to 100 ms. */
  async snapshot(): Promise<MachineSnapshot> {
    this.#assertOpen('taking a snapshot');
    const numbers = this.#membership.serving();
    const processors = await viewsOf(this.#processor, numbers);
    const answered = new Set(processors.map((view) => view.processor));
    return { processors, unresponsive: numbers.filter((number) => !answered.has(number)) };
  }

  /**
   * Ends the machine: every processor finishes its deferred work (callbacks, destructions), then the workers leave
   * and this thread is no processor any more. A worker still running `closeDeadlineMs` later is terminated; a thread that
   * joined is left alone, and finds the machine closed. Calling it again gives the same promise.
   * @throws DeadlineError if deferred work did not finish in time; the machine is closed all the same.
   */
  close(options: { readonly closeDeadlineMs?: number } = {}): Promise<void> {
    const { closeDeadlineMs = CLOSE_DEADLINE_MS } = options;
    assertDeadline(closeDeadlineMs, 'closeDeadlineMs');
    this.#closing ??= this.#close(closeDeadlineMs);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(deadlineMs: number): Promise<void> {
    const { calls } = this.#processor;
    const until = performance.now() + deadlineMs;
    const inTime = (wait: Promise<unknown>): Promise<boolean> =>
      within(wait, Math.max(1, until - performance.now()));
    this.#stopAnswering?.();
    // Who is in is in: it is asked to leave like everybody else.
    let late = !(await inTime(this.#membership.close()));
    // Again until nothing new has come up: finishing on one processor may hand work to another that had finished. Twice at
    // least, for not all of that work is callbacks (a COID going home).
    let before = -2;
    for (let now = -1; !late && now !== before; ) {
      before = now;
      const finished = this.#processor
        .liveProcessors()
        .map((number) => calls.call(number, BUILTIN.FINISH, false, []).catch(() => 0));
      late = !(await inTime(Promise.all(finished).then((counts) => (now = sum(counts as number[])))));
    }
    for (const number of this.#processor.liveProcessors())
      if (number !== 0) calls.call(number, BUILTIN.LEAVE, false, [true]).catch(() => {});
    if (!late) await inTime(Promise.all([...this.#running].map(({ exited }) => exited)));
    await this.#abandon();
    if (late) throw new DeadlineError('processors to finish their deferred work', deadlineMs);
  }

  /** Loads the program on the booting thread, which may be importing it right now. */
  async #loadHere(): Promise<void> {
    const { modules } = this.#membership;
    const loaded = Promise.all(modules.map((module) => import(module)));
    if (await within(loaded, this.#joinDeadlineMs)) return;
    throw new DeadlineError(
      `${modules.join(', ')} to load (a module that awaits Machine.boot at its top level cannot be its own program)`,
      this.#joinDeadlineMs,
    );
  }

  /** Ends whatever still runs, without waiting for deferred work. */
  async #abandon(): Promise<void> {
    void this.#membership.close();
    this.#stopAnswering?.();
    // First: what still waits fails because the machine closes, and not because processors are gone one after the other.
    this.#processor.close();
    await Promise.all([...this.#running].map(({ worker }) => worker.terminate()));
  }

  /** Starts the worker that is to have a number that has been reserved; settles when it serves. */
  async #start(place: Reservation, givenName: string | undefined): Promise<void> {
    const { number } = place;
    const { port1: control, port2: theirs } = new MessageChannel();
    const name = givenName ?? this.#nameFor(number);
    const boot: WorkerBoot = { ticket: this.#ticket, reserved: number, name, control: theirs };
    const admitted = this.#membership.admit(control, place, () => name);
    let worker: Worker;
    try {
      worker = new Worker(workerUrl, {
        // File descriptors are shared by all processors; one that a leaving worker opened must stay open.
        trackUnmanagedFds: false,
        ...this.#options.worker,
        name,
        workerData: { k42: boot },
        transferList: [theirs],
      });
    } catch (error) {
      control.close();
      await admitted.catch(() => {});
      throw error;
    }
    let cause: unknown;
    worker.on('error', (error) => {
      cause = error;
    });
    let serving = false;
    const exited = new Promise<void>((resolve) =>
      worker.once('exit', () => {
        this.#running.delete(running);
        if (this.#workers.get(number) === running) this.#workers.delete(number);
        if (serving && this.#closing === undefined && cause !== undefined) warnOfDeath(number, name, cause);
        resolve();
      }),
    );
    const running: RunningWorker = { worker, exited };
    this.#running.add(running);
    this.#workers.set(number, running);
    try {
      await admitted;
      serving = true;
    } catch (error) {
      await worker.terminate();
      await exited;
      // Why a worker that never spoke has ended is known by its error event only.
      throw cause ?? error;
    }
  }

  #nameFor(number: number): string {
    return `${this.#options.name ?? 'k42'}:${number}`;
  }

  #assertOpen(doing: string): void {
    if (this.#closing !== undefined) throw new MachineClosedError(doing);
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Why a processor's worker ended, where nobody else would say. */
function warnOfDeath(number: number, name: string, cause: unknown): void {
  const reason = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  process.emitWarning(`Processor ${number} (${name}) died: ${reason}`, 'K42Warning');
}

/** The options' program, when all of them are good. @throws InvalidArgumentError */
function checked(options: MachineOptions): string | undefined {
  const { processors, maxProcessors = processors, bootDeadlineMs = 1, stallMs = STALL_MS } = options;
  if (!Number.isInteger(processors) || processors < 1 || processors > PROCESSORS_MAX) {
    throw new InvalidArgumentError(
      `processors must be an integer from 1 to ${PROCESSORS_MAX}, not ${processors}.`,
    );
  }
  if (!Number.isInteger(maxProcessors) || maxProcessors < processors || maxProcessors > PROCESSORS_MAX) {
    throw new InvalidArgumentError(
      `maxProcessors must be an integer from ${processors} (processors) to ${PROCESSORS_MAX}, not ${maxProcessors}.`,
    );
  }
  assertDeadline(bootDeadlineMs, 'bootDeadlineMs');
  if (!Number.isInteger(stallMs) || stallMs < 0 || stallMs > 2 ** 31 - 1)
    throw new InvalidArgumentError(`stallMs must be an integer from 0, not ${stallMs}.`);
  return options.program === undefined ? undefined : moduleUrl(options.program);
}
