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
import { setImmediate as nextTurn } from 'node:timers/promises';
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

/** Turns of the event loop after which a port that cannot be sent has said that it is closed. */
const CLOSING_TURNS = 100;

/** Tells a processor to expect messages of another, and the answer that it does. */
export const INTRODUCE = 'rcu/introduce';
export const INTRODUCED = 'rcu/introduced';

/** A number given out to a processor that is being made. */
export interface Reservation {
  readonly number: number;
  readonly incarnation: number;
}

interface Burial extends Deceased {
  /** Those that have not let go yet; its own number if it may still be about to become live. */
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
  /** Ports of the one that is joining now which the host still has. A port closes, too, when it is sent. */
  readonly #unsent = new Set<MessagePort>();
  readonly #conversations = new Set<Conversation>();
  /** Incarnations of those with whom the conversation about their joining is not over, by number. */
  readonly #newcomers = new Map<number, number>();
  #buriedListeners: (() => void)[] = [];
  readonly #serving = new Set<number>([0]);
  readonly #departures = new Map<number, PromiseWithResolvers<void>>();
  #closing = false;

  constructor(processor: Processor, joinDeadlineMs: number) {
    this.#processor = processor;
    this.#joinDeadlineMs = joinDeadlineMs;
    processor.appoint({
      bury: (number) => this.#bury(number),
      burials: () => this.#allBuried(),
    });
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
    processor.onClosed(() => {
      for (const listener of this.#buriedListeners) listener();
      for (const { promise, reject } of this.#departures.values()) {
        promise.catch(() => {});
        reject(new MachineClosedError('removing a processor'));
      }
      for (const conversation of this.#conversations) conversation.close();
    });
  }

  /** Numbers of the processors that serve, ascending. */
  serving(): number[] {
    return [...this.#serving].filter((number) => this.#processor.isLive(number)).sort((a, b) => a - b);
  }

  /** Settles when the processor that has a number is gone and everybody has let go of it. */
  departure(number: number): Promise<void> {
    const known = this.#departures.get(number) ?? Promise.withResolvers<void>();
    this.#departures.set(number, known);
    return known.promise;
  }

  /** Takes a free number; `admit` gives it back if nothing comes of it. @throws MachineFullError, MachineClosedError */
  reserve(): Reservation {
    if (this.#closing || this.#processor.closed) throw new MachineClosedError('a processor was joining');
    for (let number = 1; number < this.#processor.processors; number++) {
      if (this.#load(number, PROCESSOR.STATE) !== PROCESSOR_STATE.ABSENT) continue;
      // The incarnation first: whoever sees the state change sees whose it is. Nobody else writes the two now.
      const incarnation = this.#load(number, PROCESSOR.INCARNATION) + 1;
      this.#store(number, PROCESSOR.INCARNATION, incarnation);
      this.#store(number, PROCESSOR.STATE, PROCESSOR_STATE.JOINING);
      return { number, incarnation };
    }
    throw new MachineFullError(this.#processor.processors);
  }

  /** No processor joins any more: who is not live by now is given up. Settles when that is so. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const conversation of this.#conversations) conversation.giveUp(new MachineClosedError('joining it'));
    await this.#lastJoin;
  }

  /**
   * Lets whoever speaks at the other end of a control channel join; gives its number when it serves.
   * @param reserved the place of a worker that the machine has started itself, which has a deadline to come up
   * @throws JoinError, what loading the machine's modules threw, as the newcomer is told as well; then the number is free
   *   again, or will be
   */
  async admit(
    control: MessagePort,
    reserved: Reservation | undefined,
    nameFor: (number: number) => string,
  ): Promise<number> {
    const conversation = new Conversation(control, this.#joinDeadlineMs);
    this.#conversations.add(conversation);
    let place = reserved;
    let introduced = false;
    void conversation.over.then(() => {
      this.#conversations.delete(conversation);
      if (place !== undefined) this.#settled(place);
    });
    try {
      const request = await conversation.next<JoinRequest>('the request of a joining thread');
      const joined = this.#lastJoin.then(() => {
        if (this.#closing) throw new MachineClosedError('joining it');
        place ??= this.reserve();
        introduced = true;
        return this.#join(place, request, conversation, nameFor);
      });
      this.#lastJoin = joined.catch(() => {});
      await joined;
      const { number, incarnation } = place as Reservation;
      // A thread of somebody else's has a deadline of its own, and it is a processor already: it is not thrown out.
      const doing = `processor ${number} to load the machine's modules`;
      let outcome: JoinOutcome;
      do outcome = await conversation.next<JoinOutcome>(doing, reserved !== undefined);
      while (outcome.kind === 'live');
      if (outcome.kind === 'failed') throw errorFromWire(outcome.error);
      if (!this.#processor.isPresent(number, incarnation)) throw new ProcessorGoneError(number, 'joining');
      this.#serving.add(number);
      if (channels.processor.hasSubscribers) {
        const name = this.#processor.nameOf(number);
        channels.processor.publish({ processor: number, incarnation, name, seenBy: 0, event: 'joined' });
      }
      conversation.close();
      return number;
    } catch (error) {
      // It closes the channel when it has heard this; until then it may still act on a welcome.
      conversation.say({ kind: 'refused', error: errorToWire(error) } satisfies JoinAnswer);
      if (place !== undefined) this.#giveUp(place, introduced);
      if (this.#processor.closed) conversation.close();
      throw error;
    }
  }

  /** Settles when the newcomer is live. */
  async #join(
    place: Reservation,
    request: JoinRequest,
    conversation: Conversation,
    nameFor: (number: number) => string,
  ): Promise<void> {
    const { number, incarnation } = place;
    const name = request.name ?? nameFor(number);
    this.#store(number, PROCESSOR.TASK, request.task);
    this.#store(number, PROCESSOR.TASK_STARTED, request.started);
    if (!conversation.isOver) this.#newcomers.set(number, incarnation);
    try {
      const introductions = await this.#introduce(place, name);
      await this.#welcome(place, name, introductions, conversation);
    } finally {
      this.#unsent.clear();
    }
    // The next one must find this one live, or they would never be introduced to each other.
    try {
      const outcome = await conversation.next<JoinOutcome>(`processor ${number} to take its place`);
      if (outcome.kind === 'failed') throw errorFromWire(outcome.error);
    } catch (error) {
      // Pairs with the same in becomeProcessor: it is live, or it never will be. If it is, it goes on.
      if (this.#changeState(number, PROCESSOR_STATE.JOINING, PROCESSOR_STATE.GONE)) throw error;
    }
  }

  /** Gives the newcomer its ports. */
  async #welcome(
    { number, incarnation }: Reservation,
    name: string,
    introductions: readonly Introduction[],
    conversation: Conversation,
  ): Promise<void> {
    const isPresent = (peer: Introduction): boolean =>
      this.#processor.isPresent(peer.number, peer.incarnation);
    for (let attempt = 1; ; attempt++) {
      // One that has gone meanwhile is nobody the newcomer ever knew, and its ports cannot be sent any more.
      this.#processor.noticeGone();
      const peers = introductions.filter(isPresent);
      const transfer = peers.flatMap(({ system, calls }) => [system, calls]);
      try {
        conversation.say(
          { kind: 'welcome', number, incarnation, name, peers } satisfies JoinAnswer,
          transfer,
        );
        return;
      } catch (error) {
        // A port closes some turns before it says so, and none of them has been sent.
        if (attempt === CLOSING_TURNS) throw error;
        await nextTurn();
      }
    }
  }

  /**
   * A newcomer will not come up. One that is live already is a processor, and dies as one. Of any other everybody it was
   * introduced to lets go; it may still be about to become live, and finds then that it may not (`becomeProcessor`).
   */
  #giveUp({ number, incarnation }: Reservation, introduced: boolean): void {
    if (!introduced) this.#store(number, PROCESSOR.STATE, PROCESSOR_STATE.ABSENT);
    else if (!this.#processor.isPresent(number, incarnation)) this.#processor.peerGone(number, incarnation);
  }

  /** A newcomer has heard all it ever will of its joining: it is live by now, or never will be. */
  #settled({ number, incarnation }: Reservation): void {
    if (this.#newcomers.get(number) !== incarnation) return;
    this.#newcomers.delete(number);
    const burial = this.#burials.get(number);
    if (burial !== undefined) this.#letGo(burial, number);
  }

  /** Makes the newcomer's channels and hands one end of each to those it leads to. */
  async #introduce({ number, incarnation }: Reservation, name: string): Promise<Introduction[]> {
    const processor = this.#processor;
    const peers: Introduction[] = [];
    const others = processor.present();
    const waitingFor = new Set<number>();
    for (const other of others) {
      const [theirs, newcomers] = portPairs();
      // Closed at the other end, before it could be sent on: that one is gone.
      this.#unsent.add(newcomers.system);
      newcomers.system.once('close', () => {
        if (this.#unsent.has(newcomers.system)) processor.peerGone(other.processor, other.incarnation);
      });
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
    if (this.#newcomers.get(number) === incarnation) waitingFor.add(number);
    const burial: Burial = { number, incarnation, waitingFor };
    this.#burials.set(number, burial);
    for (const other of waitingFor)
      if (other !== number) this.#processor.post(other, BURY, { number, incarnation } satisfies Deceased);
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
    this.#departures.get(number)?.resolve();
    this.#departures.delete(number);
    if (this.#burials.size !== 0) return;
    const listeners = this.#buriedListeners;
    this.#buriedListeners = [];
    for (const listener of listeners) listener();
  }

  /** Settles when no burial is under way, those of processors that only others have found gone included. */
  async #allBuried(): Promise<void> {
    this.#processor.noticeGone();
    if (this.#burials.size !== 0) await new Promise<void>((resolve) => this.#buriedListeners.push(resolve));
  }

  #load(number: number, field: number): number {
    return Atomics.load(this.#processor.memory.i32, processorWord(number, field));
  }

  #changeState(number: number, from: number, to: number): boolean {
    const word = processorWord(number, PROCESSOR.STATE);
    return Atomics.compareExchange(this.#processor.memory.i32, word, from, to) === from;
  }

  #store(number: number, field: number, value: number): void {
    Atomics.store(this.#processor.memory.i32, processorWord(number, field), value);
  }
}

/** The control channel to a joining thread: what it says, in order, each within a deadline. */
class Conversation {
  /** Settles when either side has closed the channel, or the thread is gone. */
  readonly over: Promise<void>;
  readonly #port: MessagePort;
  readonly #deadlineMs: number;
  readonly #heard: unknown[] = [];
  #waiting:
    | { readonly resolve: (message: unknown) => void; readonly reject: (error: Error) => void }
    | undefined;
  #isOver = false;
  #givenUp: Error | undefined;

  constructor(port: MessagePort, deadlineMs: number) {
    this.#port = port;
    this.#deadlineMs = deadlineMs;
    port.on('message', (message: unknown) => {
      if (this.#waiting === undefined) this.#heard.push(message);
      else this.#waiting.resolve(message);
    });
    this.over = new Promise((resolve) => {
      port.on('close', () => {
        this.#isOver = true;
        this.#waiting?.reject(new JoinError('the joining thread is gone'));
        resolve();
      });
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  async next<M>(what: string, bounded = true): Promise<M> {
    if (this.#heard.length !== 0) return this.#heard.shift() as M;
    if (this.#isOver) throw new JoinError('the joining thread is gone');
    if (this.#givenUp !== undefined) throw this.#givenUp;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting = { resolve, reject };
    const late = (): void => reject(new JoinError(`waited ${this.#deadlineMs} ms for ${what}`));
    const timer = bounded ? setTimeout(late, this.#deadlineMs) : undefined;
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

  /** Whatever the thread says from now on is not waited for. */
  giveUp(error: Error): void {
    this.#givenUp = error;
    this.#waiting?.reject(error);
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
