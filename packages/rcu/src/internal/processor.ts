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
 */
import { type MessagePort, receiveMessageOnPort, type Transferable } from 'node:worker_threads';
import { K42Error, MachineClosedError, ProcessorGoneError } from '../errors.ts';
import { PROCESSOR, PROCESSOR_STATE, processorWord } from './layout.ts';
import type { MachineMemory } from './memory.ts';
import { RemoteCalls } from './remoteCalls.ts';
import { threads } from './threads.ts';
import type { PeerPorts, SystemMessage } from './wire.ts';

/** Handles the system messages of one topic, between turns. `from` is the sender's processor number. */
export type SystemHandler = (from: number, payload: unknown) => void;

interface Peer extends PeerPorts {
  readonly number: number;
}

export class Processor {
  readonly number: number;
  /** Processors the machine was booted for: their numbers are 0 to `processors - 1`. */
  readonly processors: number;
  readonly memory: MachineMemory;
  readonly calls: RemoteCalls;
  readonly #peers = new Map<number, Peer>();
  readonly #handlers = new Map<string, SystemHandler>();
  readonly #goneListeners: ((number: number) => void)[] = [];
  readonly #closers: (() => Promise<void>)[] = [];
  readonly #closedListeners: (() => void)[] = [];
  /** Messages this processor posted to itself. */
  readonly #own: SystemMessage[] = [];
  #closed = false;

  constructor(memory: MachineMemory, number: number, processors: number) {
    this.memory = memory;
    this.number = number;
    this.processors = processors;
    this.calls = new RemoteCalls(this);
    threads.attach(memory.i32, processorWord(number, PROCESSOR.BUSY));
    this.onSystemMessage('rcu/gone', (_from, payload) => this.peerGone(payload as number));
    Atomics.store(memory.i32, processorWord(number, PROCESSOR.STATE), PROCESSOR_STATE.LIVE);
  }

  /** Connects to another processor. */
  introduce(number: number, ports: PeerPorts): void {
    const peer: Peer = { number, ...ports };
    this.#peers.set(number, peer);
    ports.system.on('message', (message: SystemMessage) => this.#handle(number, message));
    ports.calls.on('message', (message) => this.calls.receive(number, message));
  }

  /** The port that carries calls to a processor. @throws ProcessorGoneError, MachineClosedError */
  callsPort(number: number, doing: string): MessagePort {
    return this.#peer(number, doing).calls;
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
      if (!this.isLive(to)) return;
      this.#peer(to, `posting "${topic}"`).system.postMessage(message, transfer);
    }
    this.ring(to);
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
    for (const peer of this.#peers.values()) {
      for (
        let got = receiveMessageOnPort(peer.system);
        got !== undefined;
        got = receiveMessageOnPort(peer.system)
      ) {
        this.#handle(peer.number, got.message as SystemMessage);
      }
    }
  }

  /** Whether a processor is attached and not known to be gone. */
  isLive(number: number): boolean {
    return Atomics.load(this.memory.i32, processorWord(number, PROCESSOR.STATE)) === PROCESSOR_STATE.LIVE;
  }

  /** Whether no counted thread was live on a processor at the moment of the call. */
  isIdle(number: number): boolean {
    // Pairs with the stores in Threads.begin() and end().
    return Atomics.load(this.memory.i32, processorWord(number, PROCESSOR.BUSY)) === 0;
  }

  /** Numbers of the processors that are live now, in ascending order. */
  liveProcessors(): number[] {
    return Array.from({ length: this.processors }, (_, number) => number).filter((number) =>
      this.isLive(number),
    );
  }

  /** Calls back when another processor has been found gone. */
  onGone(listener: (number: number) => void): void {
    this.#goneListeners.push(listener);
  }

  /** Another processor is gone: fails what waits for it. */
  peerGone(number: number): void {
    const peer = this.#peers.get(number);
    if (peer === undefined) return;
    this.#peers.delete(number);
    peer.system.close();
    peer.calls.close();
    this.calls.processorGone(number);
    for (const listener of this.#goneListeners) listener(number);
  }

  /** Registers work to be finished before this processor leaves, such as deferred destructions. */
  onClose(closer: () => Promise<void>): void {
    this.#closers.push(closer);
  }

  /** Finishes what was registered, last registered first; the processor still serves the others meanwhile. */
  async finish(): Promise<void> {
    for (const closer of this.#closers.toReversed()) await closer();
  }

  /** Registers what to do when this processor has left: failing what can never settle now. */
  onClosed(listener: () => void): void {
    this.#closedListeners.push(listener);
  }

  /** Leaves: no message goes out or comes in after this. */
  close(): void {
    this.#closed = true;
    Atomics.store(this.memory.i32, processorWord(this.number, PROCESSOR.STATE), PROCESSOR_STATE.GONE);
    for (const peer of this.#peers.values()) {
      peer.system.close();
      peer.calls.close();
    }
    this.#peers.clear();
    this.calls.closed();
    for (const listener of this.#closedListeners) listener();
  }

  get closed(): boolean {
    return this.#closed;
  }

  #peer(number: number, doing: string): Peer {
    if (this.#closed) throw new MachineClosedError(doing);
    const peer = this.#peers.get(number);
    if (peer === undefined) throw new ProcessorGoneError(number, doing);
    return peer;
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
      throw new K42Error(
        'K42_UNKNOWN_TOPIC',
        `Processor ${this.number} has no handler for "${message.topic}" from ${from}.`,
      );
    }
    handler(from, message.payload);
  }
}
