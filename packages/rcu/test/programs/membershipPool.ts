/**
 * What the workers of a pool run: each has the machine's ticket in its `workerData` and joins with its first task.
 */
import { threadId, workerData } from 'node:worker_threads';
import {
  currentProcessor,
  currentProcessorIfAny,
  joinMachine,
  leaveMachine,
  rcu,
  type Ticket,
} from '../../src/index.ts';
import { passGate } from './membership.ts';

export type Task =
  | { readonly do: 'identify' }
  | { readonly do: 'call'; readonly to: number; readonly name: string; readonly args: unknown[] }
  | { readonly do: 'read'; readonly gate: number }
  | { readonly do: 'synchronize' }
  | { readonly do: 'leave' };

export interface Identity {
  readonly number: number;
  readonly incarnation: number;
  readonly threadId: number;
}

/** Piscina hands on what it is given; tinypool puts something of its own in front. */
const { ticket } = (Array.isArray(workerData) ? workerData[1] : workerData) as { ticket: Ticket };

let joined: Promise<unknown> | undefined;

export default async function run(task: Task): Promise<unknown> {
  if (task.do === 'leave') {
    await joined;
    joined = undefined;
    return leaveMachine();
  }
  joined ??= joinMachine(ticket, { name: `pool worker ${threadId}` });
  await joined;
  const processor = currentProcessor();
  if (task.do === 'call') return processor.call(task.to, task.name, task.args);
  if (task.do === 'read') return processor.spawn(() => passGate(task.gate, 'read'));
  if (task.do === 'synchronize') return rcu.synchronize();
  return { number: processor.number, incarnation: processor.incarnation, threadId } satisfies Identity;
}

export function isAttached(): boolean {
  return currentProcessorIfAny() !== undefined;
}
