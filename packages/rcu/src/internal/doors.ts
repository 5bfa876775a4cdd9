/**
 * How a thread with a ticket reaches the host: by `postMessageToThread`, the one way from any thread of a process to any
 * other that needs no port beforehand. It brings a port, over which everything else goes.
 */
import { MessageChannel, type MessagePort, postMessageToThread, threadId } from 'node:worker_threads';
import { InvalidArgumentError, JoinError, MachineClosedError } from '../errors.ts';
import type { Knock, Ticket } from './wire.ts';

/** Machines of this thread that let others join. */
const doors = new Map<string, (control: MessagePort) => void>();

function answer(message: unknown): void {
  const knocked = message as Partial<Knock> | null;
  if (knocked?.k42 !== 'join' || knocked.machine === undefined) return;
  const open = doors.get(knocked.machine);
  // A closed port is an answer too.
  if (open === undefined) knocked.control?.close();
  else open(knocked.control as MessagePort);
}

/** Lets those in who know the machine; gives the function that ends it. */
export function answerKnocks(machine: string, open: (control: MessagePort) => void): () => void {
  if (doors.size === 0) process.on('workerMessage', answer);
  doors.set(machine, open);
  return () => {
    doors.delete(machine);
    if (doors.size === 0) process.off('workerMessage', answer);
  };
}

/**
 * Reaches the host of a machine.
 * @throws MachineClosedError; JoinError if the host does not answer; InvalidArgumentError in the host's own thread
 */
export async function knock(ticket: Ticket, deadlineMs: number): Promise<MessagePort> {
  if (ticket.host === threadId)
    throw new InvalidArgumentError(
      'The thread that booted a machine is its processor 0; another one has to join.',
    );
  const { port1: control, port2: theirs } = new MessageChannel();
  // A listener keeps this thread alive meanwhile; waiting for the promise alone does not.
  const keepAlive = (): void => {};
  control.on('message', keepAlive);
  let closed = false;
  control.once('close', () => {
    closed = true;
  });
  try {
    const message: Knock = { k42: 'join', machine: ticket.machine, control: theirs };
    await postMessageToThread(ticket.host, message, [theirs], deadlineMs);
  } catch (error) {
    control.close();
    if ((error as { code?: unknown }).code === 'ERR_WORKER_MESSAGING_TIMEOUT')
      throw new JoinError(`the host did not answer within ${deadlineMs} ms: is its event loop busy?`, {
        cause: error,
      });
    throw new MachineClosedError('joining it', { cause: error });
  } finally {
    control.off('message', keepAlive);
  }
  if (closed) throw new MachineClosedError('joining it');
  return control;
}
