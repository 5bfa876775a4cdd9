/**
 * What travels over the ports between two processors.
 *
 * Every pair of processors has two channels. *System* messages may be received synchronously at any point between
 * turns (`receiveMessageOnPort`), so they carry nothing that runs user code of unbounded length. *Calls* are received
 * by the event loop only. No order is promised between the two.
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
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: WireError };

/** The two ports that lead to one other processor. */
export interface PeerPorts {
  readonly system: MessagePort;
  readonly calls: MessagePort;
}

/** What a booted worker finds in its `workerData` under the key `k42`. */
export interface WorkerBoot {
  readonly buffer: SharedArrayBuffer;
  readonly number: number;
  readonly processors: number;
  readonly ports: PeerPorts;
}
