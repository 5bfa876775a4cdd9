/**
 * Calls of exported functions on other processors, with results and errors carried back.
 *
 * A call may carry *context*: values that registered carriers capture at the caller and re-enter at the callee, as an
 * asynchronous context would be on one thread. (`@k42/hotswap` lets its marks travel this way.)
 *
 * Calls that arrive before this processor serves (it is still loading the machine's modules) are kept until it does. One
 * processor's calls of one module's functions begin in the order in which they were made.
 */
import type { MessagePort, Transferable } from 'node:worker_threads';
import {
  DeadlineError,
  errorFromWire,
  errorToWire,
  MachineClosedError,
  NoSuchExportError,
  ProcessorGoneError,
} from '../errors.ts';
import { assertDeadline } from './deadline.ts';
import { unguarded } from './guard.ts';
import { isThenable, type Named } from './threads.ts';
import type { CallMessage, RemoteFunction } from './wire.ts';

/** Carries something of the caller's asynchronous context to the processor where its call runs. */
export interface ContextCarrier {
  /** Taken at the caller; must be clonable. `undefined` when there is nothing to carry. */
  capture(): unknown;
  /** Runs the call at the callee inside what was captured. */
  enter<R>(captured: unknown, call: () => R): R;
}

export interface CallOptions {
  /** Milliseconds after which the call is given up (it may still run to its end over there). Default: none. */
  readonly deadlineMs?: number;
  /** Objects to move instead of copying, as in `postMessage`. */
  readonly transfer?: readonly Transferable[];
  /** Gives the call up with the signal's reason; the callee finds its own signal (`currentCall`) aborted. */
  readonly signal?: AbortSignal;
}

/** The call that a function runs for. */
export class CallContext {
  /** Number of the processor that called. */
  readonly from: number;
  #controller: AbortController | undefined;
  #aborted = false;

  constructor(from: number) {
    this.from = from;
  }

  /** Aborted when the caller has given the call up (signal, deadline), or is gone. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort();
    return this.#controller.signal;
  }

  /** @internal */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** @internal */
  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}

/** A result that moves some of its objects to the caller instead of copying them; made by `moving`. */
export class Moving<T> {
  readonly value: T;
  readonly transfer: readonly Transferable[];

  constructor(value: T, transfer: readonly Transferable[]) {
    this.value = value;
    this.transfer = transfer;
  }
}

/**
 * What an exported function returns to *move* objects to its caller (as `postMessage` does with its transfer list)
 * instead of copying them: `return moving(image, [image.buffer])`. The caller gets the value itself. They are gone from
 * this processor then, even if the caller has given the call up.
 * @param transfer the objects to move: ArrayBuffers, MessagePorts and so on, somewhere in `value`
 */
export function moving<T>(value: T, transfer: readonly Transferable[]): Moving<T> {
  return new Moving(value, transfer);
}

/** What this needs of its processor. */
export interface Caller {
  readonly number: number;
  readonly closed: boolean;
  isLive(number: number): boolean;
  callsPort(number: number, doing: string): MessagePort;
  /** Runs a call as a thread. */
  spawn<R>(work: () => R, source: Named): R;
}

interface Pending {
  readonly processor: number;
  readonly what: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Callable = (...args: readonly unknown[]) => unknown;
type Call = CallMessage & { kind: 'call' };

const carriers: ContextCarrier[] = [];

/** Registers a carrier; every processor must register the same ones in the same order, that is, in module code. */
export function registerContextCarrier(carrier: ContextCarrier): void {
  carriers.push(carrier);
}

let running: CallContext | undefined;

/** The call that is being begun. */
export function currentCall(): CallContext | undefined {
  return running;
}

export class RemoteCalls {
  readonly #processor: Caller;
  readonly #pending = new Map<number, Pending>();
  /** Calls of others that run here, by caller and id. */
  readonly #running = new Map<number, Map<number, CallContext>>();
  readonly #builtins = new Map<string, (...args: never[]) => unknown>();
  /** Calls that wait until this processor serves; undefined once it does. */
  #held: (() => void)[] | undefined = [];
  #refuses: string | undefined;
  #lastId = 0;

  constructor(processor: Caller) {
    this.#processor = processor;
  }

  /** Registers a function of the machine itself, called by name instead of by module. */
  builtin(name: string, run: (...args: never[]) => unknown): void {
    this.#builtins.set(name, run);
  }

  /** Runs the calls that have waited, and from now on every call as it comes. */
  serve(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const answer of held) answer();
  }

  /** From now on calls of exported functions are refused: this processor is leaving. */
  refuse(doing: string): void {
    this.#refuses = doing;
  }

  /**
   * Calls a function on a processor (this one too) and gives its result.
   * @param counted whether the call is a thread over there, for as long as it takes.
   */
  async call(
    to: number,
    target: RemoteFunction | string,
    counted: boolean,
    args: readonly unknown[],
    options: CallOptions = {},
  ): Promise<unknown> {
    const { deadlineMs, signal, transfer = [] } = options;
    if (deadlineMs !== undefined) assertDeadline(deadlineMs);
    signal?.throwIfAborted();
    const what = typeof target === 'string' ? target : target.name;
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let giveUp: () => void;
    if (to === this.#processor.number) {
      const context = new CallContext(to);
      const isBuiltin = typeof target === 'string';
      const given = isBuiltin ? args : structuredClone(args, { transfer: [...transfer] });
      this.#pending.set(id, { processor: to, what, resolve, reject });
      giveUp = () => {
        this.#pending.delete(id);
        context.abort();
      };
      this.#run(target, counted, given, context, isBuiltin ? (value) => value : cloned)
        .then(resolve, reject)
        .finally(() => this.#pending.delete(id));
    } else {
      const port = this.#processor.callsPort(to, `calling ${what}`);
      const context = carriers.map((carrier) => carrier.capture());
      // Posted first: what cannot be cloned throws here and leaves nothing pending.
      port.postMessage({ kind: 'call', id, target, counted, args, context } satisfies CallMessage, [
        ...transfer,
      ]);
      this.#pending.set(id, { processor: to, what, resolve, reject });
      giveUp = () => {
        this.#pending.delete(id);
        if (this.#processor.isLive(to)) port.postMessage({ kind: 'abort', id } satisfies CallMessage);
      };
    }
    if (deadlineMs === undefined && signal === undefined) return promise;
    return bounded(promise, reject, giveUp, options, `${what} on processor ${to}`);
  }

  receive(from: number, message: CallMessage): void {
    if (message.kind === 'call') {
      const context = new CallContext(from);
      const ofCaller = this.#running.get(from) ?? new Map<number, CallContext>();
      this.#running.set(from, ofCaller.set(message.id, context));
      const answer = (): void => void this.#answer(from, message, context, ofCaller);
      const held = typeof message.target === 'string' ? undefined : this.#held;
      if (held === undefined) answer();
      // Given up before it began: it does not begin.
      else held.push(() => (context.aborted ? ofCaller.delete(message.id) : answer()));
      return;
    }
    if (message.kind === 'abort') {
      this.#running.get(from)?.get(message.id)?.abort();
      return;
    }
    const pending = this.#pending.get(message.id);
    // Given up: the late result is dropped.
    if (pending === undefined) return;
    this.#pending.delete(message.id);
    if (message.kind === 'result') pending.resolve(message.value);
    else pending.reject(errorFromWire(message.error));
  }

  processorGone(number: number): void {
    this.#reject((pending) =>
      pending.processor === number ? new ProcessorGoneError(number, `running ${pending.what}`) : undefined,
    );
    // What it called runs on, but is told that nobody waits for it.
    for (const context of this.#running.get(number)?.values() ?? []) context.abort();
    this.#running.delete(number);
  }

  closed(): void {
    this.#reject((pending) => new MachineClosedError(`waiting for ${pending.what}`));
    for (const ofCaller of this.#running.values()) for (const context of ofCaller.values()) context.abort();
    this.#running.clear();
  }

  #reject(errorFor: (pending: Pending) => Error | undefined): void {
    for (const [id, pending] of this.#pending) {
      const error = errorFor(pending);
      if (error === undefined) continue;
      this.#pending.delete(id);
      pending.reject(error);
    }
  }

  async #answer(
    from: number,
    call: Call,
    context: CallContext,
    ofCaller: Map<number, CallContext>,
  ): Promise<void> {
    const post = (answer: CallMessage, transfer: readonly Transferable[]): void => {
      // To the very caller: its number may be another processor's by now.
      if (this.#processor.closed || this.#running.get(from) !== ofCaller) return;
      this.#processor.callsPort(from, 'answering a call').postMessage(answer, [...transfer]);
    };
    const deliver = (given: unknown): void => {
      const { value, transfer } = given instanceof Moving ? given : { value: given, transfer: [] };
      post({ kind: 'result', id: call.id, value: unguarded(value) }, transfer);
    };
    try {
      const enter = carriers.reduceRight<() => Promise<unknown>>(
        (inner, carrier, index) => {
          const captured = call.context[index];
          return captured === undefined ? inner : () => carrier.enter(captured, inner);
        },
        () => this.#run(call.target, call.counted, call.args, context, deliver),
      );
      await enter();
    } catch (error) {
      post({ kind: 'error', id: call.id, error: errorToWire(error) }, []);
    } finally {
      ofCaller.delete(call.id);
    }
  }

  /**
   * Runs a function and hands on what it gives, inside its thread if it is one: what it gives may be a reference that
   * only the thread protects, and is copied by handing it on.
   */
  async #run(
    target: RemoteFunction | string,
    counted: boolean,
    args: readonly unknown[],
    context: CallContext,
    deliver: (value: unknown) => unknown,
  ): Promise<unknown> {
    this.#assertServing(target);
    const exported = await this.#resolve(target);
    // Loading its module takes turns, in which this processor may have begun to leave.
    this.#assertServing(target);
    const run = (): unknown => {
      const outer = running;
      running = context;
      let result: unknown;
      try {
        result = exported(...args);
      } finally {
        running = outer;
      }
      return isThenable(result) ? Promise.resolve(result).then(deliver) : deliver(result);
    };
    if (!counted) return run();
    return this.#processor.spawn(run, typeof target === 'string' ? { name: target } : target);
  }

  #assertServing(target: RemoteFunction | string): void {
    if (typeof target === 'string') return;
    if (this.#refuses !== undefined) throw new ProcessorGoneError(this.#processor.number, this.#refuses);
    if (this.#processor.closed) throw new MachineClosedError(`calling ${target.name}`);
  }

  async #resolve(target: RemoteFunction | string): Promise<Callable> {
    if (typeof target !== 'string') return importFunction(target);
    const builtin = this.#builtins.get(target);
    if (builtin === undefined) throw new NoSuchExportError('the machine', target);
    return builtin as Callable;
  }
}

/** A result as it reaches a caller on another processor. */
function cloned(value: unknown): unknown {
  if (value instanceof Moving)
    return structuredClone(unguarded(value.value), { transfer: [...value.transfer] });
  return structuredClone(unguarded(value));
}

type Exports = Record<string, unknown>;

/** Modules that functions were called of. One promise each, so that calls begin in the order in which they came:
 * `import()` keeps none (module runners, such as a test's, ask another process even for what is loaded). */
const modules = new Map<string, Promise<Exports>>();

function importOnce(module: string): Promise<Exports> {
  const known = modules.get(module);
  if (known !== undefined) return known;
  const loading: Promise<Exports> = import(module);
  modules.set(module, loading);
  // The next call tries again.
  loading.catch(() => modules.delete(module));
  return loading;
}

/** The function that a target names on this JavaScript thread. @throws NoSuchExportError, what loading the module throws */
export async function importFunction({ module, name }: RemoteFunction): Promise<Callable> {
  const loaded = await importOnce(module);
  const exported = loaded[name];
  if (typeof exported !== 'function') throw new NoSuchExportError(module, name);
  return exported as Callable;
}

/** A call's promise, given up at its deadline or by its signal. */
async function bounded(
  promise: Promise<unknown>,
  reject: (error: unknown) => void,
  giveUp: () => void,
  { deadlineMs, signal }: CallOptions,
  what: string,
): Promise<unknown> {
  const abort = (): void => {
    giveUp();
    reject(signal?.reason);
  };
  signal?.addEventListener('abort', abort, { once: true });
  const timer =
    deadlineMs === undefined
      ? undefined
      : setTimeout(() => {
          giveUp();
          reject(new DeadlineError(what, deadlineMs));
        }, deadlineMs);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
