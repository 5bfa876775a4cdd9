/**
 * Calls of exported functions on other processors, with results and errors carried back.
 *
 * A call may carry *context*: values that registered carriers capture at the caller and re-enter at the callee, as an
 * asynchronous context would be on one thread. (`@k42/hotswap` lets its marks travel this way.)
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
import { threads } from './threads.ts';
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
}

/** What this needs of its processor. */
export interface Caller {
  readonly number: number;
  readonly closed: boolean;
  isLive(number: number): boolean;
  callsPort(number: number, doing: string): MessagePort;
}

interface Pending {
  readonly processor: number;
  readonly what: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

const carriers: ContextCarrier[] = [];

/** Registers a carrier; every processor must register the same ones in the same order, that is, in module code. */
export function registerContextCarrier(carrier: ContextCarrier): void {
  carriers.push(carrier);
}

export class RemoteCalls {
  readonly #processor: Caller;
  readonly #pending = new Map<number, Pending>();
  readonly #builtins = new Map<string, (...args: never[]) => unknown>();
  #lastId = 0;

  constructor(processor: Caller) {
    this.#processor = processor;
  }

  /** Registers a function of the machine itself, called by name instead of by module. */
  builtin(name: string, run: (...args: never[]) => unknown): void {
    this.#builtins.set(name, run);
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
    const what = typeof target === 'string' ? target : target.name;
    if (to === this.#processor.number) return this.#run(target, counted, args);
    const port = this.#processor.callsPort(to, `calling ${what}`);
    const id = ++this.#lastId;
    const context = carriers.map((carrier) => carrier.capture());
    const message: CallMessage = { kind: 'call', id, target, counted, args, context };
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    // Posted first: what cannot be cloned throws here and leaves nothing pending.
    port.postMessage(message, [...(options.transfer ?? [])]);
    this.#pending.set(id, { processor: to, what, resolve, reject });
    const { deadlineMs } = options;
    if (deadlineMs === undefined) return promise;
    const timer = setTimeout(() => {
      this.#pending.delete(id);
      reject(new DeadlineError(`${what} on processor ${to}`, deadlineMs));
    }, deadlineMs);
    return promise.finally(() => clearTimeout(timer));
  }

  receive(from: number, message: CallMessage): void {
    if (message.kind === 'call') {
      void this.#answer(from, message);
      return;
    }
    const pending = this.#pending.get(message.id);
    // Given up at its deadline: the late result is dropped.
    if (pending === undefined) return;
    this.#pending.delete(message.id);
    if (message.kind === 'result') pending.resolve(message.value);
    else pending.reject(errorFromWire(message.error));
  }

  processorGone(number: number): void {
    this.#reject((pending) =>
      pending.processor === number ? new ProcessorGoneError(number, `running ${pending.what}`) : undefined,
    );
  }

  closed(): void {
    this.#reject((pending) => new MachineClosedError(`waiting for ${pending.what}`));
  }

  #reject(errorFor: (pending: Pending) => Error | undefined): void {
    for (const [id, pending] of this.#pending) {
      const error = errorFor(pending);
      if (error === undefined) continue;
      this.#pending.delete(id);
      pending.reject(error);
    }
  }

  async #answer(from: number, call: CallMessage & { kind: 'call' }): Promise<void> {
    let answer: CallMessage;
    try {
      const enter = carriers.reduceRight<() => Promise<unknown>>(
        (inner, carrier, index) => {
          const captured = call.context[index];
          return captured === undefined ? inner : () => carrier.enter(captured, inner);
        },
        () => this.#run(call.target, call.counted, call.args),
      );
      answer = { kind: 'result', id: call.id, value: await enter() };
    } catch (error) {
      answer = { kind: 'error', id: call.id, error: errorToWire(error) };
    }
    if (this.#processor.closed || !this.#processor.isLive(from)) return;
    const port = this.#processor.callsPort(from, 'answering a call');
    try {
      port.postMessage(answer);
    } catch (error) {
      port.postMessage({ kind: 'error', id: call.id, error: errorToWire(error) } satisfies CallMessage);
    }
  }

  async #run(target: RemoteFunction | string, counted: boolean, args: readonly unknown[]): Promise<unknown> {
    const run = await this.#resolve(target);
    if (!counted) return run(...args);
    return threads.run(() => run(...args), typeof target === 'string' ? target : target.name);
  }

  async #resolve(target: RemoteFunction | string): Promise<(...args: readonly unknown[]) => unknown> {
    if (typeof target === 'string') {
      const builtin = this.#builtins.get(target);
      if (builtin === undefined) throw new NoSuchExportError('the machine', target);
      return builtin as (...args: readonly unknown[]) => unknown;
    }
    const module = (await import(target.module)) as Record<string, unknown>;
    const exported = module[target.name];
    if (typeof exported !== 'function') throw new NoSuchExportError(target.module, target.name);
    return exported as (...args: readonly unknown[]) => unknown;
  }
}
