/**
 * Processors that the machine has not started: how any thread joins with a ticket, and leaves again.
 */
import { DeadlineError, GracePeriodDeadlockError, InvalidArgumentError, JoinError } from '../errors.ts';
import { assertDetached, currentProcessor } from './current.ts';
import { assertDeadline, within } from './deadline.ts';
import { machineDomain } from './domain.ts';
import { knock } from './doors.ts';
import { join } from './joining.ts';
import { leave } from './leaving.ts';
import type { Processor } from './processor.ts';
import { PROTOCOL, type Ticket } from './wire.ts';

const JOIN_DEADLINE_MS = 30_000;
const LEAVE_DEADLINE_MS = 10_000;

export interface JoinOptions {
  /** For people; default the machine's name and the number. */
  readonly name?: string;
  /** Milliseconds to become a processor that serves. Default 30 000. */
  readonly deadlineMs?: number;
}

/**
 * Makes the calling thread, whoever made it, a processor of the ticket's machine: settles when it has loaded the
 * machine's modules and serves. It must run its event loop: a pool that parks idle workers in `Atomics.wait` holds up every
 * grace period meanwhile (piscina: `atomics: 'disabled'`; tinypool: `useAtomics: false`).
 * @throws JoinError, MachineFullError, MachineClosedError, AlreadyAttachedError, InvalidArgumentError, what loading a
 *   module threw; the thread is no processor then.
 */
export async function joinMachine(ticket: Ticket, options: JoinOptions = {}): Promise<Processor> {
  const { name, deadlineMs = JOIN_DEADLINE_MS } = options;
  assertDeadline(deadlineMs);
  const until = performance.now() + deadlineMs;
  if (ticket?.k42 !== 'ticket' || !(ticket.memory instanceof SharedArrayBuffer))
    throw new InvalidArgumentError('Not a ticket of a machine: see Machine.ticket().');
  if (ticket.protocol !== PROTOCOL)
    throw new JoinError(`this copy of @k42/rcu speaks version ${PROTOCOL}, the machine's ${ticket.protocol}`);
  assertDetached();
  const control = await knock(ticket, deadlineMs);
  return join(ticket, control, { reserved: undefined, name }, Math.max(1, until - performance.now()));
}

export interface LeaveOptions {
  /** Milliseconds for threads and deferred work to end. Default 10 000. */
  readonly deadlineMs?: number;
}

/**
 * Makes the calling thread leave its machine: no more calls are taken, deferred work and live threads end, then it is
 * no processor any more and may join again.
 * @throws DeadlineError if they did not end in time: the thread stays a processor until they have, and then leaves by
 *   itself; GracePeriodDeadlockError inside a synchronous thread; AlreadyLeavingError, NotAttachedError;
 *   InvalidArgumentError on the host.
 */
export async function leaveMachine(options: LeaveOptions = {}): Promise<void> {
  const { deadlineMs = LEAVE_DEADLINE_MS } = options;
  assertDeadline(deadlineMs);
  const processor = currentProcessor();
  if (processor.number === 0) throw new InvalidArgumentError('The host cannot leave its machine: close it.');
  if (machineDomain.threads.insideThread) throw new GracePeriodDeadlockError();
  const left = leave(processor);
  if (await within(left, deadlineMs)) return;
  left.catch(() => {});
  throw new DeadlineError(
    `the threads and the deferred work of processor ${processor.number} to end`,
    deadlineMs,
  );
}
