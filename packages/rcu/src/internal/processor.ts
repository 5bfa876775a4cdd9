/**
 * A processor: one JavaScript thread attached to a machine.
 *
 * It has a number, ports to the other processors, and a doorbell. *Posting* a system message rings the receiver's
 * doorbell (a word of machine memory: added to, then notified), so that a processor that sleeps on it wakes, drains
 * its ports and goes on. The order is what makes it work: the sender posts, then rings; the sleeper reads the bell,
 * then drains, then sleeps on the value it read. Whichever way they interleave, the message is drained or the sleep
 * ends at once. One cap on the sleep guards against a message that was rung for but not yet deliverable.
 *
 * Handlers of system messages run between turns: from the event loop, or from `serveSystemMessages` called between
 * turns. They may not block.
 *
 * **Death.** A port closes when the thread at its other end is gone, however it went, and not before what that thread
 * had posted has been delivered. So every processor learns of a death by itself, and tells the host, which sees to it
 * that the number is free only when everybody has let go of the dead (`membership.ts`).
 */
import { type MessagePort, receiveMessageOnPort, type Transferable } from 'node:worker_threads';
import { InvalidArgumentError, MachineClosedError, ProcessorGoneError } from '../errors.ts';
import { channels } from './channels.ts';
import { PROCESSOR, PROCESSOR_STATE, processorWord } from './layout.ts';
import type { MachineMemory } from './memory.ts';
import { type LockOwner, ProcessorOwner, tokenOf } from './owners.ts';
import { type CallOptions, RemoteCalls } from './remoteCalls.ts';
import { type Named, runGuarded } from './threads.ts';
import type { CallMessage, Deceased, Introduction, RemoteFunction, SystemMessage } from './wire.ts';

/** Handles the system messages of one topic, between turns. `from` is the sender's processor number. */
export type SystemHandler = (from: number, payload: unknown) => void;

/** A function to call on a processor: the name of an export of the program, or of the module named beside it. */
export type Target = string | { readonly module: URL | string; readonly name: string };

/** Topics of the messages about processors that are no more. */
export const GONE = 'rcu/gone';
export const BURY = 'rcu/bury';
export const BURIED = 'rcu/buried';

/** What the machine tells a thread that becomes one of its processors. */
export interface ProcessorIdentity {
  readonly number: number;
  readonly incarnation: number;
  readonly name: string;
  /** Module that calls name by default. */
  readonly program: string | undefined;
}

/** What a processor leaves to the layers it is made of. */
export interface ProcessorServices {
  /** Runs a call as a thread of the machine's domain, known by the name of `source`. */
  spawn<R>(work: () => R, source: Named): R;
  /** Loads a module on every processor, those to come included. */
  load(processor: Processor, module: string, options: CallOptions): Promise<void>;
}

/** What the host does about the dead besides what every processor does. */
export interface Undertaker {
  /** Has everybody let go of one that this processor has let go of, so that its number becomes free. */
  bury(number: number): void;
  /** Settles when all deaths known so far have been dealt with, everywhere. */
  burials(): Promise<void>;
}

export class Processor {
  readonly number: number;
  /** How many processors have had this number, this one included. */
  readonly incarnation: number;
  /** For people: in errors, reports and the name of the thread. */
  readonly name: string;
  /** Processors the machine has room for: their numbers are 0 to `processors - 1`. */
  readonly processors: number;
  readonly memory: MachineMemory;
  /** This processor as the holder of locks. */
  readonly owner: LockOwner;
  readonly calls: RemoteCalls;
  readonly program: string | undefined;
  readonly #services: ProcessorServices;
  readonly #peers = new Map<number, Introduction>();
  readonly #handlers = new Map<string, SystemHandler>();
  readonly #goneListeners: ((number: number) => void)[] = [];
  readonly #closers: (() => Promise<void>)[] = [];
  readonly #departureListeners: (() => void)[] = [];
  readonly #closedListeners: (() => void)[] = [];
  /** Messages this processor posted to itself. */
  readonly #own: SystemMessage[] = [];
  readonly #closedPorts = new WeakSet<MessagePort>();
  #undertaker: Undertaker | undefined;
  #closed = false;

  constructor(memory: MachineMemory, identity: ProcessorIdentity, services: ProcessorServices) {
    this.memory = memory;
    this.number = identity.number;
    this.incarnation = identity.incarnation;
    this.name = identity.name;
    this.program = identity.program;
    this.processors = memory.processors;
    this.owner = new ProcessorOwner(memory.i32, this.number, this.incarnation);
    this.#services = services;
    this.calls = new RemoteCalls(this);
    // The host answers such a message in membership.ts; everybody else lets go of the dead at once.
    if (this.number !== 0) {
      this.onSystemMessage(BURY, (from, payload) => {
        const { number, incarnation } = payload as Deceased;
        this.peerGone(number, incarnation);
        this.post(from, BURIED, payload);
      });
    }
  }

  // Calls of functions

  /**
   * Calls an exported function on a processor, as a thread there, and gives its result. Arguments and result are
   * structured clones. For work of bounded length: a thread holds up grace periods while it lasts.
   * @throws what the function throws (same name, message, code and fields, not the same class); ProcessorGoneError,
   *   NoSuchExportError, DeadlineError, MachineClosedError, InvalidArgumentError, DataCloneError; the signal's reason.
   */
  async call<R = unknown>(
    to: number,
    target: Target,
    args: readonly unknown[] = [],
    options: CallOptions = {},
  ): Promise<R> {
    return (await this.calls.call(this.#checked(to), this.resolve(target), true, args, options)) as R;
  }

  /**
   * As `call`, but what runs is a *program*, not a thread: it may run for hours, holds up no grace period, and starts
   * threads (`spawn`, calls through handles) for its units of work.
   */
  async run<R = unknown>(
    to: number,
    target: Target,
    args: readonly unknown[] = [],
    options: CallOptions = {},
  ): Promise<R> {
    return (await this.calls.call(this.#checked(to), this.resolve(target), false, args, options)) as R;
  }

  /**
   * Loads a module on every processor, and on those that join later before they serve; settles when all have it.
   * @throws what loading it threw (then it is on no list); ProcessorGoneError, DeadlineError, InvalidArgumentError.
   */
  async load(module: URL | string, options: CallOptions = {}): Promise<void> {
    if (this.#closed) throw new MachineClosedError('loading a module');
    await this.#services.load(this, moduleUrl(module), options);
  }

  /** Runs a function as a thread of the machine's domain, known by the name of `source`. */
  spawn<R>(work: () => R, source: Named = work): R {
    return this.#services.spawn(work, source);
  }

  /** The function that a target names. @throws InvalidArgumentError */
  resolve(target: Target): RemoteFunction {
    if (typeof target !== 'string') return { module: moduleUrl(target.module), name: target.name };
    if (this.program === undefined) {
      throw new InvalidArgumentError(
        `"${target}" names no module, and the machine was booted without a program.`,
      );
    }
    return { module: this.program, name: target };
  }

  #checked(number: number): number {
    if (this.#closed) throw new MachineClosedError('calling a function');
    if (!Number.isInteger(number) || number < 0 || number >= this.processors) {
      throw new InvalidArgumentError(`No processor ${number} in a machine for ${this.processors}.`);
    }
    return number;
  }

  // System messages

  /** Connects to another processor. */
  introduce(introduction: Introduction): void {
    const { number, incarnation, system, calls } = introduction;
    // One that had the number before may be gone without its port having said so yet.
    const earlier = this.#peers.get(number);
    if (earlier !== undefined) this.peerGone(number, earlier.incarnation);
    this.#peers.set(number, introduction);
    // Nothing of one that is gone reaches whoever has its number after it.
    const isCurrent = (): boolean => this.#peers.get(number) === introduction;
    system.on('message', (message: SystemMessage) => {
      if (isCurrent()) this.#handle(number, message);
    });
    calls.on('message', (message: CallMessage) => {
      if (isCurrent()) this.calls.receive(number, message);
    });
    for (const port of [system, calls]) {
      port.on('close', () => {
        // Everything has been delivered, and the port may not be touched any more: receiving from it crashes Node.
        this.#closedPorts.add(port);
        this.peerGone(number, incarnation);
      });
    }
  }

  /** The port that carries calls to a processor. @throws ProcessorGoneError, MachineClosedError */
  callsPort(number: number, doing: string): MessagePort {
    if (this.#closed) throw new MachineClosedError(doing);
    const peer = this.#peers.get(number);
    if (peer === undefined) throw new ProcessorGoneError(number, doing);
    return peer.calls;
  }

  /** Registers the handler of a topic; one per topic. */
  onSystemMessage(topic: string, handler: SystemHandler): void {
    if (this.#handlers.has(topic))
      throw new Error(`@k42/rcu invariant: two handlers for system messages "${topic}"`);
    this.#handlers.set(topic, handler);
  }

  /**
   * Posts a system message, to this very processor too (then it is handled in a later turn), and rings. A processor
   * that is gone, or a machine that is closed, gets nothing, silently: whoever waits for its answer learns of the death by `onGone`.
   */
  post(to: number, topic: string, payload: unknown, transfer: Transferable[] = []): void {
    if (this.#closed) return;
    const message: SystemMessage = { topic, payload };
    if (to === this.number) {
      this.#own.push(message);
      if (this.#own.length === 1) setImmediate(() => this.#serveOwn());
    } else {
      const peer = this.#peers.get(to);
      if (peer === undefined) return;
      peer.system.postMessage(message, transfer);
    }
    this.ring(to);
  }

  /**
   * For an answer that takes turns: posts to the very processor that has a number now, and to none that has it later.
   */
  replyTo(number: number): (topic: string, payload: unknown) => void {
    const peer = this.#peers.get(number);
    return (topic, payload) => {
      if (this.#peers.get(number) === peer) this.post(number, topic, payload);
    };
  }

  /** Wakes a processor that sleeps on its doorbell. Pairs with `sleep`: post first, then ring. */
  ring(number: number): void {
    const word = processorWord(number, PROCESSOR.DOORBELL);
    Atomics.add(this.memory.i32, word, 1);
    Atomics.notify(this.memory.i32, word);
  }

  /** This processor's doorbell as it is now: read it, then look for work, then `sleep` on the value read. */
  doorbell(): number {
    return Atomics.load(this.memory.i32, processorWord(this.number, PROCESSOR.DOORBELL));
  }

  /** Sleeps until the doorbell differs from `seen` or the time is over. Blocks the event loop: between turns only. */
  sleep(seen: number, milliseconds: number): void {
    Atomics.wait(
      this.memory.i32,
      processorWord(this.number, PROCESSOR.DOORBELL),
      seen,
      Math.max(0, milliseconds),
    );
  }

  /** Receives and handles, synchronously, every system message that has arrived. Call it between turns only. */
  serveSystemMessages(): void {
    this.#serveOwn();
    for (const peer of [...this.#peers.values()]) this.#drain(peer);
  }

  // Who is there

  /** Whether a processor is attached and not known to be gone. */
  isLive(number: number): boolean {
    const state = this.#state(number);
    return state === PROCESSOR_STATE.LIVE || state === PROCESSOR_STATE.LEAVING;
  }

  /**
   * Whether a processor is attached and its thread still runs: for somebody whose event loop stands still and hears of no death.
   * Costs up to some 30 µs.
   */
  isRunning(number: number): boolean {
    return this.owner.isAlive(tokenOf(number, this.#incarnation(number)));
  }

  /** Whether any processor is on its way out: leaving, or gone and not buried, so that what it has posted may still arrive. */
  isAnyDeparting(): boolean {
    for (let number = 0; number < this.processors; number++) {
      const state = this.#state(number);
      if (state === PROCESSOR_STATE.LEAVING || state === PROCESSOR_STATE.GONE) return true;
    }
    return false;
  }

  /** Whether the very processor that had a number is still attached. */
  isPresent(number: number, incarnation: number): boolean {
    // In this order: a number that is reused changes its incarnation before it is live again.
    return this.isLive(number) && this.#incarnation(number) === incarnation;
  }

  /** The processors that are attached now, in ascending order. */
  present(): { processor: number; incarnation: number }[] {
    const found: { processor: number; incarnation: number }[] = [];
    for (let number = 0; number < this.processors; number++) {
      if (this.isLive(number)) found.push({ processor: number, incarnation: this.#incarnation(number) });
    }
    return found;
  }

  /** Numbers of the processors that are attached now, in ascending order. */
  liveProcessors(): number[] {
    return this.present().map(({ processor }) => processor);
  }

  /** Name of a processor this one has been introduced to. */
  nameOf(number: number): string | undefined {
    return number === this.number ? this.name : this.#peers.get(number)?.name;
  }

  /**
   * Calls back when another processor has been found gone, whether it died or departed. On the host its number is not free
   * before all listeners have returned, here and on every other processor that was live then.
   */
  onGone(listener: (number: number) => void): void {
    this.#goneListeners.push(listener);
  }

  /**
   * A processor is gone: what it posted before is handled, then what waits for it fails. Harmless when repeated. When it
   * was the host, the machine is over for this processor as well.
   */
  peerGone(number: number, incarnation: number): void {
    const peer = this.#peers.get(number);
    if (this.#closed || peer === undefined || peer.incarnation !== incarnation) return;
    this.#markGone(number, incarnation);
    this.#drain(peer);
    // Results that had been posted reach those who wait for them: the two ports close in no order.
    for (const message of this.#received(peer, peer.calls))
      this.calls.receive(number, message as CallMessage);
    // What it had posted may have led here already.
    if (this.#peers.get(number) !== peer) return;
    this.#peers.delete(number);
    peer.system.close();
    peer.calls.close();
    this.calls.processorGone(number);
    if (channels.processor.hasSubscribers) {
      const { name } = peer;
      channels.processor.publish({
        processor: number,
        incarnation,
        name,
        seenBy: this.number,
        event: 'gone',
      });
    }
    // One that throws must not keep the others from hearing of it.
    for (const listener of this.#goneListeners) runGuarded(() => listener(number));
    if (number === 0) this.close();
    else if (this.number !== 0) this.post(0, GONE, { number, incarnation } satisfies Deceased);
    // Last: from here on the number may be free. Whoever has heard of the death above has dealt with it before.
    else this.#undertaker?.bury(number);
  }

  /** Deals with those that others have found gone and this processor has not. */
  noticeGone(): void {
    for (const { number, incarnation } of [...this.#peers.values()]) {
      // Pairs with the store in #markGone: whoever asks this processor after seeing it is answered with the death known.
      if (this.#state(number) === PROCESSOR_STATE.GONE) this.peerGone(number, incarnation);
    }
  }

  /** Makes this processor, the host, bury the dead. */
  appoint(undertaker: Undertaker): void {
    this.#undertaker = undertaker;
  }

  /** On the host: settles when all deaths known so far have been dealt with, everywhere. */
  async burials(): Promise<void> {
    await this.#undertaker?.burials();
  }

  // Leaving

  /** Registers work to be finished before this processor leaves, such as deferred destructions. */
  onClose(closer: () => Promise<void>): void {
    this.#closers.push(closer);
  }

  /** Finishes what was registered, last registered first; the processor still serves the others meanwhile. */
  async finish(): Promise<void> {
    for (const closer of this.#closers.toReversed()) await closer();
  }

  /** From now on calls of exported functions are refused; everything else goes on. */
  beginLeaving(): void {
    this.calls.refuse('leaving the machine');
    this.#changeState(this.number, PROCESSOR_STATE.LIVE, PROCESSOR_STATE.LEAVING);
  }

  /**
   * Calls back when this processor departs in order (`leaveMachine`, `Machine.remove`), to hand over what it keeps for others:
   * its threads have ended, its deferred work is done, and it can still post. What it posts to a processor then is handled there
   * before that processor's `onGone` listeners hear of it; no answer will reach it. Not when the machine closes, nor at a
   * death. A listener that throws is an uncaught exception and keeps no other from running. Should one begin work (a thread
   * that lasts, a callback), the departure is put off until it is done, and then all listeners are called again: one that
   * begins something each time keeps its processor in the machine.
   */
  onDeparture(listener: () => void): void {
    this.#departureListeners.push(listener);
  }

  /** Has what this processor keeps handed over, in one go. */
  handOver(): void {
    for (const listener of this.#departureListeners) runGuarded(listener);
  }

  /** Registers what to do when this processor has left: failing what can never settle now. */
  onClosed(listener: () => void): void {
    this.#closedListeners.push(listener);
  }

  /** Leaves: no message goes out or comes in after this. The others learn of it as of a death. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // What writes into this processor's words is led elsewhere before anybody can take its number for free; and what may
    // run code of users (signals of calls that run here) comes when all is done.
    for (const listener of this.#closedListeners) runGuarded(listener);
    this.#markGone(this.number, this.incarnation);
    for (const peer of this.#peers.values()) {
      peer.system.close();
      peer.calls.close();
    }
    this.#peers.clear();
    this.calls.closed();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whoever finds out first writes it. Pairs with every load of the state: nobody waits for the dead any more. */
  #markGone(number: number, incarnation: number): void {
    if (this.#incarnation(number) !== incarnation) return;
    for (const state of [PROCESSOR_STATE.JOINING, PROCESSOR_STATE.LIVE, PROCESSOR_STATE.LEAVING])
      this.#changeState(number, state, PROCESSOR_STATE.GONE);
  }

  #changeState(number: number, from: number, to: number): void {
    Atomics.compareExchange(this.memory.i32, processorWord(number, PROCESSOR.STATE), from, to);
  }

  #state(number: number): number {
    return Atomics.load(this.memory.i32, processorWord(number, PROCESSOR.STATE));
  }

  #incarnation(number: number): number {
    return Atomics.load(this.memory.i32, processorWord(number, PROCESSOR.INCARNATION));
  }

  #drain(peer: Introduction): void {
    for (const message of this.#received(peer, peer.system))
      this.#handle(peer.number, message as SystemMessage);
  }

  /** What has arrived on a port of a peer, until it is a peer no more: handling a message may have closed the port. */
  *#received(peer: Introduction, port: MessagePort): Iterable<unknown> {
    while (this.#peers.get(peer.number) === peer && !this.#closedPorts.has(port)) {
      const got = receiveMessageOnPort(port);
      if (got === undefined) return;
      yield got.message;
    }
  }

  #serveOwn(): void {
    // A handler may post to this processor again; that too is served now, in order.
    for (let message = this.#own.shift(); message !== undefined; message = this.#own.shift()) {
      this.#handle(this.number, message);
    }
  }

  #handle(from: number, message: SystemMessage): void {
    if (this.#closed) return;
    const handler = this.#handlers.get(message.topic);
    if (handler === undefined) {
      // A layer that is not loaded here: whoever waits for an answer has a deadline.
      process.emitWarning(
        `Processor ${this.number} has no handler for "${message.topic}" from processor ${from}.`,
        'K42Warning',
      );
      return;
    }
    // One that throws is an uncaught exception, and keeps no other message from being handled.
    runGuarded(() => handler(from, message.payload));
  }
}

/** The URL by which every processor loads a module. @throws InvalidArgumentError */
export function moduleUrl(module: URL | string): string {
  const url = module instanceof URL ? module.href : module;
  if (!URL.canParse(url)) {
    throw new InvalidArgumentError(
      `A module is named by its URL (new URL('./m.ts', import.meta.url)), not by ${JSON.stringify(url)}.`,
    );
  }
  return url;
}
