/**
 * What travels between processors.
 *
 * Every pair of processors has two channels. *System* messages may be received synchronously at any point between
 * turns (`receiveMessageOnPort`), so they carry nothing that runs user code of unbounded length. *Calls* are received
 * by the event loop only. No order is promised between the two.
 *
 * A thread becomes a processor over a *control* channel to the host, which lasts until it serves.
 */
import type { MessagePort } from 'node:worker_threads';
import type { WireError } from '../errors.ts';

/** A system message: handled by the handler registered under its topic. */
export interface SystemMessage {
  readonly topic: string;
  readonly payload: unknown;
}

/** An exported function of a module. */
export interface RemoteFunction {
  /** File URL of the module. */
  readonly module: string;
  readonly name: string;
}

export type CallMessage =
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly target: RemoteFunction | string;
      readonly counted: boolean;
      readonly args: readonly unknown[];
      readonly context: readonly unknown[];
    }
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: WireError };

/** The two ports that lead to one other processor. */
export interface PeerPorts {
  readonly system: MessagePort;
  readonly calls: MessagePort;
}

/** Another processor, with the ports that lead there. */
export interface Introduction extends PeerPorts {
  readonly number: number;
  readonly incarnation: number;
  readonly name: string;
}

/** A processor that had a number. */
export interface Deceased {
  readonly number: number;
  readonly incarnation: number;
}

/** What a thread asks for over its control channel. */
export interface JoinRequest {
  readonly kind: 'join';
  /** The number reserved for a worker that the machine has started itself. */
  readonly reserved: number | undefined;
  readonly name: string | undefined;
  readonly task: number;
  readonly started: number;
}

/** The host's answer. */
export type JoinAnswer =
  | {
      readonly kind: 'welcome';
      readonly number: number;
      readonly incarnation: number;
      readonly name: string;
      readonly peers: readonly Introduction[];
    }
  | { readonly kind: 'refused'; readonly error: WireError };

/** What the newcomer reports then: it is live; it serves, or could not load the machine's modules. */
export type JoinOutcome =
  | { readonly kind: 'live' }
  | { readonly kind: 'serving' }
  | { readonly kind: 'failed'; readonly error: WireError };

/** What a booted worker finds in its `workerData` under the key `k42`. */
export interface WorkerBoot {
  readonly ticket: Ticket;
  readonly reserved: number;
  readonly name: string;
  readonly control: MessagePort;
}

/**
 * What a thread needs to join a machine. Plain data without ports: give it to any number of workers, as often as you like.
 */
export interface Ticket {
  readonly k42: 'ticket';
  /** Version of what travels between processors: both sides must agree. */
  readonly protocol: number;
  /** Tells this machine from any other of the process. */
  readonly machine: string;
  /** `threadId` of the host. */
  readonly host: number;
  readonly memory: SharedArrayBuffer;
  /** The machine's program, the default module of calls. */
  readonly program: string | undefined;
}

/** The message a joining thread sends the host's thread (`postMessageToThread`). */
export interface Knock {
  readonly k42: 'join';
  readonly machine: string;
  readonly control: MessagePort;
}

/** Raised whenever a message changes its meaning. */
export const PROTOCOL = 2;
