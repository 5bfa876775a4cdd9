/**
 * The newcomer's part in joining a machine; the host's is in `membership.ts`.
 */
import type { MessagePort } from 'node:worker_threads';
import { errorFromWire, errorToWire, JoinError, MachineClosedError } from '../errors.ts';
import { BUILTIN, registerBuiltins } from './builtins.ts';
import { assertDetached, attach, detach } from './current.ts';
import { within } from './deadline.ts';
import { clearDomains } from './domain.ts';
import { PROCESSOR, PROCESSOR_STATE, processorWord } from './layout.ts';
import { MachineMemory } from './memory.ts';
import { currentTask } from './owners.ts';
import { Processor, type ProcessorIdentity } from './processor.ts';
import { setProving } from './prove.ts';
import { processorServices } from './services.ts';
import type { Introduction, JoinAnswer, JoinOutcome, JoinRequest, Ticket } from './wire.ts';

/**
 * Makes the calling thread a processor: attached, and known as live to whoever looks.
 * @throws AlreadyAttachedError; JoinError if the host has given it up; what setting up a layer threw
 */
export function becomeProcessor(
  memory: MachineMemory,
  identity: ProcessorIdentity,
  peers: readonly Introduction[],
): Processor {
  assertDetached();
  const processor = new Processor(memory, identity, processorServices);
  registerBuiltins(processor);
  setProving(memory.proving);
  processor.onClosed(() => {
    detach();
    setProving(false);
  });
  for (const peer of peers) processor.introduce(peer);
  try {
    clearDomains(memory, identity.number);
    // The layers above set their words up first: from the next exchange on this processor is asked.
    attach(processor);
    const state = processorWord(identity.number, PROCESSOR.STATE);
    // Pairs with the loads of the state by whoever requests a grace period or loads a module: either they find this one, or
    // it begins its first thread, or reads the list of modules, after what they changed. And with the host's exchange when
    // it gives a newcomer up: a number that is about to be somebody else's is not taken.
    const { JOINING, LIVE } = PROCESSOR_STATE;
    if (Atomics.compareExchange(memory.i32, state, JOINING, LIVE) !== JOINING)
      throw new JoinError('the host has given this thread up: was its event loop busy?');
  } catch (error) {
    processor.close();
    throw error;
  }
  return processor;
}

/**
 * Joins a machine over a control channel to its host.
 * @throws JoinError, MachineFullError as an Error of that code, MachineClosedError, AlreadyAttachedError, what loading a
 *   module of the machine threw
 */
export async function join(
  ticket: Ticket,
  control: MessagePort,
  request: { readonly reserved: number | undefined; readonly name: string | undefined },
  deadlineMs: number,
): Promise<Processor> {
  const until = performance.now() + deadlineMs;
  const { task, started } = currentTask();
  control.postMessage({ kind: 'join', ...request, task, started } satisfies JoinRequest);
  const words = new Int32Array(ticket.memory);
  let peers: readonly Introduction[] = [];
  let processor: Processor | undefined;
  const report = (outcome: JoinOutcome): void => control.postMessage(outcome);
  try {
    const answer = await answerOf(control, deadlineMs);
    if (answer.kind === 'refused') throw errorFromWire(answer.error);
    const { number, incarnation, name } = answer;
    peers = answer.peers;
    const memory = new MachineMemory(ticket.memory, number, incarnation);
    processor = becomeProcessor(memory, { number, incarnation, name, program: ticket.program }, peers);
    report({ kind: 'live' });
    // After it has become live: a module that is put on the list from now on is brought here by whoever puts it there.
    const loaded = loadModules(processor);
    if (!(await within(loaded, Math.max(1, until - performance.now()))))
      throw new JoinError(`the machine's modules were not loaded within ${deadlineMs} ms`);
    if (processor.closed) throw new MachineClosedError('joining it');
    processor.calls.serve();
    report({ kind: 'serving' });
    return processor;
  } catch (error) {
    report({ kind: 'failed', error: errorToWire(error) });
    processor?.close();
    for (const { system, calls } of peers) {
      system.close();
      calls.close();
    }
    // With the host goes the machine, whatever it was that failed by that.
    const isOver = Atomics.load(words, processorWord(0, PROCESSOR.STATE)) !== PROCESSOR_STATE.LIVE;
    if (isOver && !(error instanceof MachineClosedError))
      throw new MachineClosedError('joining it', { cause: error });
    throw error;
  } finally {
    control.close();
  }
}

async function loadModules(processor: Processor): Promise<void> {
  const modules = (await processor.calls.call(0, BUILTIN.MODULES, false, [])) as string[];
  for (const module of modules) await import(module);
}

function answerOf(control: MessagePort, deadlineMs: number): Promise<JoinAnswer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new JoinError(`the host did not answer within ${deadlineMs} ms: is its event loop busy?`)),
      deadlineMs,
    );
    control.once('message', (answer: JoinAnswer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    control.once('close', () => {
      clearTimeout(timer);
      reject(new MachineClosedError('joining it'));
    });
  });
}
