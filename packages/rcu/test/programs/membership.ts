/**
 * Program of the membership, death and message tests: what they run on other processors; and, as the entry of a plain
 * Worker (`Joiner` in `joiner.ts`), a thread that joins and leaves when it is told to.
 *
 * Words of machine memory tell how far something has come, so that nobody has to sleep for it; each is waited for with a
 * bound, by blocking or by turns of the event loop.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import workerThreads, {
  isMainThread,
  MessagePort,
  parentPort,
  threadId,
  workerData,
} from 'node:worker_threads';
import {
  type CallOptions,
  type ContextCarrier,
  currentCall,
  currentProcessor,
  currentProcessorIfAny,
  type JoinOptions,
  joinMachine,
  type LeaveOptions,
  leaveMachine,
  type Moving,
  moving,
  rcu,
  registerContextCarrier,
  type SynchronizeOptions,
  type Thread,
  type Ticket,
} from '../../src/index.ts';
import { PROCESSOR, PROCESSOR_STATE, processorWord } from '../../src/internal/layout.ts';

/** Words of the block `test/membership`. GATES: one each, 0 closed, 1 somebody is there, 2 open. */
export const WORDS = { GATES: 0, RUNS: 64, BYTES: 1024 } as const;
const HUNG_MS = 20_000;

const at = (word: number): number =>
  currentProcessor().memory.block('test/membership', WORDS.BYTES) / 4 + word;
const words = (): Int32Array => currentProcessor().memory.i32;

// What processors are asked for

export interface Identity {
  readonly number: number;
  readonly incarnation: number;
  readonly name: string;
  readonly threadId: number;
  readonly threadName: string | undefined;
}

export function whoAmI(): Identity {
  const { number, incarnation, name } = currentProcessor();
  const { threadName } = workerThreads as { threadName?: string };
  return { number, incarnation, name, threadId, threadName };
}

export function add(a: number, b: number): number {
  return a + b;
}

/** Calls from here: to another processor, or to this one. */
export function callFrom(to: number, name: string, args: unknown[], options?: CallOptions): Promise<unknown> {
  return currentProcessor().call(to, name, args, options);
}

/** Is there, and waits for the gate to be opened, running its event loop. Gives `value`. */
export async function passGate<T>(gate: number, value: T): Promise<T> {
  const shared = words();
  const word = at(WORDS.GATES + gate);
  Atomics.compareExchange(shared, word, 0, 1);
  while (Atomics.load(shared, word) !== 2) await nextTurn();
  return value;
}

export async function failAtGate(gate: number): Promise<never> {
  throw new RangeError(`past gate ${await passGate(gate, gate)}`);
}

/** Is there, and stands still until the gate is opened. */
export function blockAtGate(gate: number): void {
  const shared = words();
  const word = at(WORDS.GATES + gate);
  Atomics.compareExchange(shared, word, 0, 1);
  if (Atomics.load(shared, word) !== 2 && Atomics.wait(shared, word, 1, HUNG_MS) === 'timed-out')
    throw new Error(`gate ${gate} was not opened`);
}

export function loopForEver(gate: number): never {
  Atomics.store(words(), at(WORDS.GATES + gate), 1);
  for (;;);
}

export function exitNow(): void {
  process.exit(3);
}

export function throwUncaught(): void {
  setImmediate(() => {
    throw new Error('nobody catches this');
  });
}

export async function synchronizeHere(options?: SynchronizeOptions): Promise<void> {
  await rcu.synchronize(options);
}

/** Ends when the caller has given up, and counts that. */
export async function endWhenAborted(gate: number): Promise<void> {
  const { signal } = currentCall() as { signal: AbortSignal };
  const shared = words();
  Atomics.store(shared, at(WORDS.GATES + gate), 1);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });
  Atomics.store(shared, at(WORDS.GATES + gate), 2);
}

/** Registers work of a layer above that leaving has to finish: it takes some turns, then counts. */
export function finishBeforeLeaving(id: number): void {
  currentProcessor().onClose(async () => {
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    countRun(id);
  });
}

// Departures

/**
 * Registers a listener of this processor's departure, which counts its runs, tells processor 0 (and `alsoTo`) that it departs,
 * and then, if asked to, throws or begins a thread that ends when a gate is opened, the first time only.
 */
export function tellAtDeparture(id: number, then?: 'throw' | 'begin a thread', alsoTo?: number): void {
  const processor = currentProcessor();
  // Looked up now: it would count even if it were called when this thread is no processor any more.
  const shared = words();
  const word = at(WORDS.RUNS + id);
  // The thread changes it: what has been handed over before is out of date then.
  let kept = 'first';
  processor.onDeparture(() => {
    Atomics.add(shared, word, 1);
    for (const to of alsoTo === undefined ? [0] : [0, alsoTo])
      processor.post(to, 'test/departing', `${kept} of ${id}`);
    if (then === 'throw') throw new Error(`departure listener ${id} throws`);
    if (then !== 'begin a thread' || kept !== 'first') return;
    void processor.spawn(() => passGate(id, 0).then(() => (kept = 'second')));
  });
}

/** Begins a thread, which ends when a gate is opened, in the turn in which the first round of leaving has waited for all. */
export function beginThreadWhenLeaving(gate: number): void {
  const processor = currentProcessor();
  let begun = false;
  processor.onClose(async () => {
    if (begun) return;
    begun = true;
    setImmediate(() => void processor.spawn(() => passGate(gate, 0)));
  });
}

/** Notes what is heard of processors that depart or are gone, in order. */
const departures: string[] = [];
export function noteDepartures(): void {
  const processor = currentProcessor();
  processor.onSystemMessage('test/departing', (from, what) => departures.push(`${from} departs: ${what}`));
  processor.onGone((number) => departures.push(`${number} is gone`));
}

export function departuresHeard(): string[] {
  return departures.splice(0);
}

// A layer above that takes its time about handing on what a call gives, if the caller says so.
registerContextCarrier({
  capture: () => (globalThis as { membershipSlow?: true }).membershipSlow,
  async enter(_captured, call) {
    try {
      return await call();
    } finally {
      for (let step = 0; step < 100; step++) await undefined;
    }
  },
} as ContextCarrier);

// Callbacks

/** A portable callback: counts its runs, by processor. */
export function countRun(id: number): void {
  Atomics.add(words(), at(WORDS.RUNS + id), currentProcessor().number === 0 ? 1 : 1000);
}

/** A portable callback that never ends by itself. */
export function countRunAndBlock(id: number, gate: number): void {
  countRun(id);
  blockAtGate(gate);
}

export async function handInPortable(ids: number[]): Promise<void> {
  for (const id of ids) await rcu.callPortable('countRun', [id]);
}

/** One that stands still at a gate, and others that come after it in the same turn. */
export async function handInBlockingThenPortable(id: number, gate: number, ids: number[]): Promise<void> {
  // A thread keeps all of them back until the last one has been handed in.
  using _reader = rcu.enter('handing in');
  await rcu.callPortable('countRunAndBlock', [id, gate]);
  await handInPortable(ids);
}

export function handIn(id: number): void {
  rcu.call(() => countRun(id));
}

export async function barrierHere(): Promise<void> {
  await rcu.barrier();
}

// Deaths

const gone: number[] = [];
/** Notes the deaths that this processor hears of, from now on. */
export function noteGone(): void {
  currentProcessor().onGone((number) => gone.push(number));
}

export function goneHeard(): number[] {
  return gone;
}

// Messages

export function bytesOf(buffer: ArrayBuffer): { bytes: number; first: number | undefined } {
  return { bytes: buffer.byteLength, first: new Uint8Array(buffer)[0] };
}

let lastMoved: ArrayBuffer | undefined;
export function makeMoved(bytes: number): Moving<{ buffer: ArrayBuffer }> {
  lastMoved = new ArrayBuffer(bytes);
  new Uint8Array(lastMoved)[0] = 7;
  return moving({ buffer: lastMoved }, [lastMoved]);
}

export function lastMovedBytes(): number {
  return lastMoved?.byteLength ?? -1;
}

export function cannotBeCloned(): unknown {
  return { run: () => 1 };
}

export function throwValue(value: unknown): never {
  throw value;
}

export function throwRing(): never {
  const ring = new Error('around');
  ring.cause = ring;
  throw ring;
}

export function postOn(port: MessagePort, message: unknown): void {
  port.postMessage(message);
  port.close();
}

export function identity<T>(value: T): T {
  return value;
}

/** Answers system messages of topic `test/echo`, counted in RUNS. */
export function answerEcho(): void {
  const processor = currentProcessor();
  processor.onSystemMessage('test/echo', (from, payload) => {
    Atomics.add(words(), at(WORDS.RUNS), 1);
    processor.post(from, 'test/echoed', payload);
  });
}

/** Sleeps on the doorbell with the event loop standing still, until a message has been served; says how often it woke. */
export function sleepUntilServed(gate: number): number {
  const processor = currentProcessor();
  const shared = words();
  const served = Atomics.load(shared, at(WORDS.RUNS));
  let sleeps = 0;
  const giveUpAt = performance.now() + HUNG_MS;
  for (;;) {
    const seen = processor.doorbell();
    processor.serveSystemMessages();
    if (Atomics.load(shared, at(WORDS.RUNS)) !== served) return sleeps;
    if (performance.now() > giveUpAt) throw new Error('the doorbell was not rung');
    sleeps++;
    Atomics.store(shared, at(WORDS.GATES + gate), 1);
    processor.sleep(seen, HUNG_MS);
  }
}

// What a plain Worker is told by `Joiner`

const held = new Map<string, Thread>();
const uncaught: string[] = [];

/** Where a joining thread is made to stand still: when it has asked to join, or when it has become live. */
export type Stage = 'join' | 'live';

/**
 * Stands still right after this thread has told the host that it has come so far: `words[0]` becomes 1, and it goes on when it
 * is 2. Having asked, it waits for its number to be given out first, which only the host's words show.
 */
function stopAt(stage: Stage, control: Int32Array, ticket: Ticket): void {
  const { postMessage } = MessagePort.prototype;
  MessagePort.prototype.postMessage = function (this: MessagePort, message: unknown, transfer?: unknown) {
    postMessage.call(this, message, transfer as never);
    if ((message as { kind?: unknown } | undefined)?.kind !== stage) return;
    MessagePort.prototype.postMessage = postMessage;
    const memory = new Int32Array(ticket.memory);
    const isJoining = (number: number): boolean =>
      Atomics.load(memory, processorWord(number, PROCESSOR.STATE)) === PROCESSOR_STATE.JOINING;
    const giveUpAt = performance.now() + HUNG_MS;
    if (stage === 'join')
      while (!Array.from({ length: 60 }, (_, number) => number).some(isJoining))
        if (performance.now() > giveUpAt) throw new Error('no number was given out');
    Atomics.store(control, 0, 1);
    Atomics.notify(control, 0);
    Atomics.wait(control, 0, 1, HUNG_MS);
  };
}

/** What `Joiner.ask` can ask for. */
export interface Commands {
  join(ticket: Ticket, options?: JoinOptions): Promise<Identity>;
  joinTwiceAtOnce(ticket: Ticket): Promise<string[]>;
  leave(options?: LeaveOptions): Promise<void>;
  leaveTwiceAtOnce(): Promise<string[]>;
  stopAt(stage: Stage, control: Int32Array, ticket: Ticket): void;
  isAttached(): boolean;
  holdThread(name: string): void;
  endThread(name: string): void;
  handIn(id: number): void;
  handInPortable(ids: number[]): Promise<void>;
  finishBeforeLeaving(id: number): void;
  tellAtDeparture(id: number, then?: 'throw' | 'begin a thread', alsoTo?: number): void;
  beginThreadWhenLeaving(gate: number): void;
  catchUncaught(): void;
  uncaught(): string[];
  call(to: number, name: string, args: unknown[], options?: CallOptions): Promise<unknown>;
  synchronize(options?: SynchronizeOptions): Promise<void>;
  load(module: string): Promise<void>;
  globalOf(key: string): unknown;
  exit(): void;
}

const commands: Commands = {
  async join(ticket, options) {
    await joinMachine(ticket, options);
    return whoAmI();
  },
  async joinTwiceAtOnce(ticket) {
    const outcomes = await Promise.allSettled([joinMachine(ticket), joinMachine(ticket)]);
    return outcomes.map((outcome) =>
      outcome.status === 'fulfilled' ? 'joined' : (outcome.reason as { code: string }).code,
    );
  },
  leave: leaveMachine,
  async leaveTwiceAtOnce() {
    const outcomes = await Promise.allSettled([leaveMachine(), leaveMachine()]);
    return outcomes.map((outcome) =>
      outcome.status === 'fulfilled' ? 'left' : (outcome.reason as { code: string }).code,
    );
  },
  stopAt,
  isAttached: () => currentProcessorIfAny() !== undefined,
  holdThread(name) {
    held.set(name, rcu.enter(name));
  },
  endThread: (name) => held.get(name)?.end(),
  handIn,
  handInPortable,
  call: callFrom,
  finishBeforeLeaving,
  tellAtDeparture,
  beginThreadWhenLeaving,
  catchUncaught() {
    process.on('uncaughtException', (error) => uncaught.push(error.message));
  },
  uncaught: () => uncaught,
  synchronize: synchronizeHere,
  load: (module) => currentProcessor().load(module),
  globalOf: (key) => (globalThis as Record<string, unknown>)[key],
  exit: () => process.exit(3),
};

if (!isMainThread && (workerData as { joiner?: true } | null)?.joiner === true) {
  parentPort?.on(
    'message',
    async ({ id, name, args }: { id: number; name: keyof Commands; args: unknown[] }) => {
      try {
        const value: unknown = await (commands[name] as (...args: unknown[]) => unknown)(...args);
        parentPort?.postMessage({ id, value });
      } catch (thrown) {
        const { name: kind, message, code } = thrown as Error & { code?: string };
        parentPort?.postMessage({ id, error: { kind, message, code } });
      }
    },
  );
}

const turns: number[] = [];

/** Which call of this function on this processor it is, counted from 0. */
export function turnOf(call: number): number {
  return turns.push(call) - 1;
}
