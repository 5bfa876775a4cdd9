/**
 * The host's part in who is a processor: numbers, joining, burial.
 *
 * **Joining.** A thread that wants to join sends a request over a control channel. The host gives it the lowest free
 * number with a new incarnation, introduces it to every processor there is, and waits until each has said that it is
 * ready for the newcomer's messages; only then does the newcomer hear its number and become live. So whoever finds a
 * processor live has ports to it. One at a time; then it loads the machine's modules and serves, as do others meanwhile.
 *
 * **Burial.** When a processor is gone (died or left), the host tells all the others, each of which lets go of it and
 * answers. When the last one has, everything that belonged to the dead has been dealt with (calls failed, grace periods
 * counted off, callbacks inherited), and its number is free.
 *
 * The host is the thread that booted the machine, processor 0. The machine does not outlive it.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import {
  errorFromWire,
  errorToWire,
  JoinError,
  MachineClosedError,
  MachineFullError,
  ProcessorGoneError,
} from '../errors.ts';
import { channels } from './channels.ts';
import { PROCESSOR, PROCESSOR_STATE, processorWord } from './layout.ts';
import { BURIED, BURY, GONE, type Processor } from './processor.ts';
import type { Deceased, Introduction, JoinAnswer, JoinOutcome, JoinRequest, PeerPorts } from './wire.ts';

/** Tells a processor to expect messages of another, and the answer that it does. */
export const INTRODUCE = 'rcu/introduce';
export const INTRODUCED = 'rcu/introduced';

/** A number given out to a processor that is being made. */
interface Reservation {
  readonly number: number;
  readonly incarnation: number;
}

interface Burial extends Deceased {
  readonly waitingFor: Set<number>;
}

export class Membership {
  /** Modules every processor loads before it serves, in order. */
  readonly modules: string[] = [];
  readonly #processor: Processor;
  readonly #joinDeadlineMs: number;
  /** Joins happen one after the other. */
  #lastJoin: Promise<unknown> = Promise.resolve();
  readonly #introductions = new Map<
    number,
    { readonly waitingFor: Set<number>; readonly done: () => void }
  >();
  readonly #burials = new Map<number, Burial>();
  #buriedListeners: (() => void)[] = [];
  readonly #serving = new Set<number>([0]);
  readonly #departures = new Map<number, (() => void)[]>();
  #closing = false;

  constructor(processor: Processor, joinDeadlineMs: number) {
    this.#processor = processor;
    this.#joinDeadlineMs = joinDeadlineMs;
    processor.answerBurials(() => this.#allBuried());
    processor.onSystemMessage(INTRODUCED, (from, number) => this.#introduced(number as number, from));
    processor.onSystemMessage(GONE, (_from, payload) => {
      const { number, incarnation } = payload as Deceased;
      processor.peerGone(number, incarnation);
    });
    processor.onSystemMessage(BURIED, (from, payload) => {
      const { number, incarnation } = payload as Deceased;
      const burial = this.#burials.get(number);
      if (burial?.incarnation === incarnation) this.#letGo(burial, from);
    });
    processor.onGone((number) => this.#bury(number));
  }

  /** Numbers of the processors that serve, ascending. */
  serving(): number[] {
    return [...this.#serving].filter((number) => this.#processor.isLive(number)).sort((a, b) => a - b);
  }

  /** Settles when the processor that has a number is gone and everybody has let go of it. */
  departure(number: number): Promise<void> {
    return new Promise((resolve) =>
      this.#departures.set(number, [...(this.#departures.get(number) ?? []), resolve]),
    );
  }

  /** Takes a free number. @throws MachineFullError, MachineClosedError */
  reserve(): number {
    if (this.#closing || this.#processor.closed) throw new MachineClosedError('a processor was joining');
    for (let number = 1; number < this.#processor.processors; number++) {
      if (this.#load(number, PROCESSOR.STATE) !== PROCESSOR_STATE.ABSENT) continue;
      // The incarnation first: whoever sees the state change sees whose it is. Nobody else writes the two now.
      this.#store(number, PROCESSOR.INCARNATION, this.#load(number, PROCESSOR.INCARNATION) + 1);
      this.#store(number, PROCESSOR.STATE, PROCESSOR_STATE.JOINING);
      return number;
    }
    throw new MachineFullError(this.#processor.processors);
  }

  /** Gives a number back whose processor never came up. */
  release(number: number): void {
    if (this.#load(number, PROCESSOR.STATE) === PROCESSOR_STATE.JOINING)
      this.#store(number, PROCESSOR.STATE, PROCESSOR_STATE.ABSENT);
  }

  /** No processor joins any more. */
  close(): void {
    this.#closing = true;
  }

  /**
   * Lets whoever speaks at the other end of a control channel join; gives its number when it serves.
   * @throws JoinError with what went wrong as its cause; then the number is free again, or will be
   */
  async admit(control: MessagePort, nameFor: (number: number) => string): Promise<number> {
    const conversation = new Conversation(control, this.#joinDeadlineMs);
    try {
      const request = await conversation.next<JoinRequest>('the request of a joining thread');
      const joined = this.#lastJoin.then(() => this.#join(request, conversation, nameFor));
      this.#lastJoin = joined.catch(() => {});
      const number = await joined;
      const outcome = await conversation.next<JoinOutcome>(
        `processor ${number} to load the machine's modules`,
      );
      if (outcome.kind === 'failed') throw errorFromWire(outcome.error);
      if (!this.#processor.isLive(number)) throw new ProcessorGoneError(number, 'joining');
      this.#serving.add(number);
      if (channels.processor.hasSubscribers) {
        const incarnation = this.#load(number, PROCESSOR.INCARNATION);
        const name = this.#processor.nameOf(number);
        channels.processor.publish({ processor: number, incarnation, name, seenBy: 0, event: 'joined' });
      }
      return number;
    } finally {
      conversation.close();
    }
  }

  async #join(
    request: JoinRequest,
    conversation: Conversation,
    nameFor: (number: number) => string,
  ): Promise<number> {
    let number: number;
    try {
      number = request.reserved ?? this.reserve();
    } catch (error) {
      conversation.say({ kind: 'refused', error: errorToWire(error) } satisfies JoinAnswer);
      throw error;
    }
    const incarnation = this.#load(number, PROCESSOR.INCARNATION);
    const name = request.name ?? nameFor(number);
    this.#store(number, PROCESSOR.TASK, request.task);
    this.#store(number, PROCESSOR.TASK_STARTED, request.started);
    try {
      const peers = await this.#introduce({ number, incarnation }, name);
      const transfer = peers.flatMap(({ system, calls }) => [system, calls]);
      conversation.say({ kind: 'welcome', number, incarnation, name, peers } satisfies JoinAnswer, transfer);
      // The next one must find this one live, or they would never be introduced to each other.
      await conversation.next<JoinOutcome>(`processor ${number} to take its place`);
      return number;
    } catch (error) {
      conversation.say({ kind: 'refused', error: errorToWire(error) } satisfies JoinAnswer);
      // As if it had come and gone: those it was introduced to let go of it.
      this.#processor.peerGone(number, incarnation);
      throw error;
    }
  }

  /** Makes the newcomer's channels and hands one end of each to those it leads to. */
  async #introduce({ number, incarnation }: Reservation, name: string): Promise<Introduction[]> {
    const processor = this.#processor;
    const peers: Introduction[] = [];
    const others = processor.present();
    const waitingFor = new Set<number>();
    for (const other of others) {
      const [theirs, newcomers] = portPairs();
      const introduction: Introduction = { number, incarnation, name, ...theirs };
      const otherName = processor.nameOf(other.processor) ?? '';
      peers.push({ number: other.processor, incarnation: other.incarnation, name: otherName, ...newcomers });
      if (other.processor === 0) processor.introduce(introduction);
      else {
        waitingFor.add(other.processor);
        processor.post(other.processor, INTRODUCE, introduction, [theirs.system, theirs.calls]);
      }
    }
    const late = await this.#introductionsDone(number, waitingFor);
    if (late.length !== 0) {
      throw new JoinError(
        `processors ${late.join(', ')} did not answer within ${this.#joinDeadlineMs} ms: are their event loops busy?`,
      );
    }
    return peers;
  }

  /** Settles with those that have not answered in time. */
  #introductionsDone(number: number, waitingFor: Set<number>): Promise<number[]> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#introductions.delete(number);
        resolve([...waitingFor]);
      };
      const timer = setTimeout(finish, this.#joinDeadlineMs);
      this.#introductions.set(number, { waitingFor, done: finish });
      for (const other of [...waitingFor]) if (!this.#processor.isLive(other)) waitingFor.delete(other);
      if (waitingFor.size === 0) finish();
    });
  }

  #introduced(number: number, by: number): void {
    const introduction = this.#introductions.get(number);
    if (introduction?.waitingFor.delete(by) && introduction.waitingFor.size === 0) introduction.done();
  }

  #bury(number: number): void {
    this.#serving.delete(number);
    for (const newcomer of [...this.#introductions.keys()]) this.#introduced(newcomer, number);
    for (const burial of [...this.#burials.values()]) this.#letGo(burial, number);
    const incarnation = this.#load(number, PROCESSOR.INCARNATION);
    const waitingFor = new Set(
      this.#processor.liveProcessors().filter((other) => other !== 0 && other !== number),
    );
    const burial: Burial = { number, incarnation, waitingFor };
    this.#burials.set(number, burial);
    for (const other of waitingFor)
      this.#processor.post(other, BURY, { number, incarnation } satisfies Deceased);
    if (waitingFor.size === 0) this.#buried(burial);
  }

  #letGo(burial: Burial, by: number): void {
    if (burial.waitingFor.delete(by) && burial.waitingFor.size === 0) this.#buried(burial);
  }

  #buried({ number, incarnation }: Burial): void {
    this.#burials.delete(number);
    if (channels.processor.hasSubscribers)
      channels.processor.publish({ processor: number, incarnation, seenBy: 0, event: 'buried' });
    // Last: from here on the number may be given out again.
    this.#store(number, PROCESSOR.STATE, PROCESSOR_STATE.ABSENT);
    const departed = this.#departures.get(number) ?? [];
    this.#departures.delete(number);
    for (const listener of departed) listener();
    if (this.#burials.size !== 0) return;
    const listeners = this.#buriedListeners;
    this.#buriedListeners = [];
    for (const listener of listeners) listener();
  }

  /** Settles when no burial is under way. Those of processors found gone by others only have begun by then, too. */
  async #allBuried(): Promise<void> {
    if (this.#burials.size !== 0) await new Promise<void>((resolve) => this.#buriedListeners.push(resolve));
  }

  #load(number: number, field: number): number {
    return Atomics.load(this.#processor.memory.i32, processorWord(number, field));
  }

  #store(number: number, field: number, value: number): void {
    Atomics.store(this.#processor.memory.i32, processorWord(number, field), value);
  }
}

/** The control channel to a joining thread: what it says, in order, each within a deadline. */
class Conversation {
  readonly #port: MessagePort;
  readonly #deadlineMs: number;
  readonly #heard: unknown[] = [];
  #waiting:
    | { readonly resolve: (message: unknown) => void; readonly reject: (error: Error) => void }
    | undefined;
  #closed = false;

  constructor(port: MessagePort, deadlineMs: number) {
    this.#port = port;
    this.#deadlineMs = deadlineMs;
    port.on('message', (message: unknown) => {
      if (this.#waiting === undefined) this.#heard.push(message);
      else this.#waiting.resolve(message);
    });
    port.on('close', () => {
      this.#closed = true;
      this.#waiting?.reject(new JoinError('the joining thread is gone'));
    });
  }

  async next<M>(what: string): Promise<M> {
    if (this.#heard.length !== 0) return this.#heard.shift() as M;
    if (this.#closed) throw new JoinError('the joining thread is gone');
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting = { resolve, reject };
    const timer = setTimeout(
      () => reject(new JoinError(`waited ${this.#deadlineMs} ms for ${what}`)),
      this.#deadlineMs,
    );
    try {
      return (await promise) as M;
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }

  say(answer: JoinAnswer, transfer: MessagePort[] = []): void {
    this.#port.postMessage(answer, transfer);
  }

  close(): void {
    this.#port.close();
  }
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
