/**
 * Program of the recorded histories: clients that call objects at random and record each call, on the processors of a machine,
 * and, as the entry of a plain Worker, on a processor that joins it and is killed.
 */
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { type Coid, DREF, handle } from '@k42/clustered';
import type { ByteMap, Counter } from '@k42/clustered/standard';
import { currentProcessor, joinMachine, spawn, type Ticket } from '@k42/rcu';
import { pick, type Random, randomFrom } from '@k42/tooling/random';
import { Recorder } from '../linearizability/history.ts';
import { DONE, NONE } from '../linearizability/models.ts';
import type { Cell, Queue, Register, Tally } from './linearizable.ts';

// What is called has to be defined here, too.
import '@k42/clustered/standard';
import './linearizable.ts';

/** What is called, and under which numbers it is recorded. */
export interface Subjects {
  readonly register: Coid<Register>;
  readonly cell: Coid<Cell>;
  readonly queue: Coid<Queue>;
  readonly map: Coid<ByteMap>;
  readonly counter: Coid<Counter>;
  readonly tally: Coid<Tally>;
}
export type Subject = keyof Subjects;
export const SUBJECTS: readonly Subject[] = ['register', 'cell', 'queue', 'map', 'counter', 'tally'];

const MAP_KEYS = 3;
/** Asynchronous calls that a client has under way: few, since the checker has to think of all their orders. */
const AT_ONCE = 3;
/** Calls of one who comes late. */
const FEW_CALLS = 15;
/** Turns that a thread keeps its Rep before it uses it. */
const THREAD_TURNS = 12;
/** Values on a queue, about: a long one tells less, an empty one has everybody wait. */
const QUEUE_LENGTH = 4;

/** Calls that a client makes for each swap, at most: it must not have done before there have been many. */
const CALLS_PER_SWAP = 80;

const WORDS = { STOP: 0, QUEUED: 1, SWAPS: 2 } as const;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function word(which: number): [Int32Array, number] {
  const { memory } = currentProcessor();
  return [memory.i32, memory.block('test/histories', 64) / 4 + which];
}

export function stopClients(): void {
  Atomics.store(...word(WORDS.STOP), 1);
}

/** All subjects have been swapped, on average. */
export function noteSwap(): void {
  Atomics.add(...word(WORDS.SWAPS), 1);
}

function encoded(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}

function decoded(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? NONE : (new Int32Array(bytes.buffer, bytes.byteOffset, 1)[0] as number);
}

class Client {
  readonly #recorder = new Recorder();
  readonly #subjects: Subjects;
  readonly #random: Random;
  /** Added to the number of a subject. */
  readonly #offset: number;
  readonly #underWay = new Set<Promise<unknown>>();
  #failure: { readonly thrown: unknown } | undefined;
  /** Values are told apart: the machine-wide number of who wrote them is in them. */
  #value: number;

  constructor(subjects: Subjects, seed: number, offset = 0) {
    this.#subjects = subjects;
    this.#random = randomFrom(seed);
    this.#offset = offset;
    this.#value = (currentProcessor().owner.token % 1000) * 100_000;
  }

  /** Calls until it is told to stop or the log is full. @throws what a call threw: no call may fail because of a swap */
  async run(called: readonly Subject[]): Promise<void> {
    while (Atomics.load(...word(WORDS.STOP)) === 0 && !this.#recorder.isFull && this.#failure === undefined) {
      await nextTurn();
      if (this.#recorder.length > (Atomics.load(...word(WORDS.SWAPS)) + 2) * CALLS_PER_SWAP) continue;
      this.#once(pick(this.#random, called));
      if (this.#random(3) === 0) for (let turns = this.#random(10); turns > 0; turns--) await nextTurn();
    }
    await this.#settled(called.includes('queue'));
  }

  /** A few calls on one subject, turn after turn. @throws as `run` */
  async few(subject: Subject, calls: number): Promise<void> {
    for (let call = 0; call < calls; call++) {
      this.#act(subject);
      await nextTurn();
    }
    await this.#settled(false);
  }

  async #settled(pushes: boolean): Promise<void> {
    const [words, queued] = word(WORDS.QUEUED);
    while (this.#underWay.size !== 0) {
      // A pop that waits gets what it waits for.
      if (pushes && Atomics.load(words, queued) <= 0) this.#push(handle(this.#subjects.queue));
      await nextTurn();
    }
    if (this.#failure !== undefined) throw this.#failure.thrown;
  }

  /** From a plain callback mostly; or from a thread that has got its Rep some turns before. */
  #once(subject: Subject): void {
    if (this.#random(4) !== 0 || this.#underWay.size >= AT_ONCE) {
      this.#act(subject);
      return;
    }
    const turns = this.#random(THREAD_TURNS);
    this.#start(
      spawn(async () => {
        const rep = DREF(this.#subjects[subject] as Coid<object>);
        for (let turn = 0; turn < turns; turn++) await nextTurn();
        // A thread must outlive its calls.
        await this.#act(subject, rep);
      }),
    );
  }

  #act(subject: Subject, callee: object = handle(this.#subjects[subject] as Coid<object>)): unknown {
    switch (subject) {
      case 'register':
        return this.#register(callee as Register);
      case 'cell':
        return this.#cell(callee as Cell);
      case 'queue':
        return this.#queue(callee as Queue);
      case 'map':
        return this.#map(callee as ByteMap);
      case 'counter':
        return this.#counter(callee as Counter);
      case 'tally':
        return this.#tally(callee as Tally);
    }
  }

  #register(register: Register): unknown {
    const value = this.#next();
    switch (this.#random(6)) {
      case 0:
        return this.#sync('register', 'write', [value], () => {
          register.write(value);
          return DONE;
        });
      case 1:
        return this.#sync('register', 'add', [1], () => register.add(1));
      case 2: {
        const expected = this.#sync('register', 'read', [], () => register.read());
        return this.#sync('register', 'compareAndSet', [expected, value], () =>
          Number(register.compareAndSet(expected, value)),
        );
      }
      case 3:
        return this.#later('register', 'add', [1], () => register.addLater(1));
      case 4:
        return this.#later('register', 'read', [], () => register.readLater());
      default:
        return this.#sync('register', 'read', [], () => register.read());
    }
  }

  #cell(cell: Cell): unknown {
    const value = this.#next();
    switch (this.#random(5)) {
      case 0:
        return this.#later('cell', 'write', [value], async () => {
          await cell.write(value);
          return DONE;
        });
      case 1:
      case 2:
        return this.#later('cell', 'add', [1], () => cell.add(1));
      case 3:
        return this.#later('cell', 'compareAndSet', [0, value], async () =>
          Number(await cell.compareAndSet(0, value)),
        );
      default:
        return this.#later('cell', 'read', [], () => cell.read());
    }
  }

  #queue(queue: Queue): unknown {
    const [words, queued] = word(WORDS.QUEUED);
    const length = Atomics.load(words, queued);
    switch (this.#random(8)) {
      case 0:
        return this.#later('queue', 'size', [], () => queue.size());
      case 1:
        return this.#later('queue', 'tryPop', [], async () => {
          const value = await queue.tryPop();
          if (value !== undefined) Atomics.sub(words, queued, 1);
          return value ?? NONE;
        });
      default:
        if (length < this.#random(2 * QUEUE_LENGTH)) return this.#push(queue);
        return this.#later('queue', 'pop', [], () => {
          Atomics.sub(words, queued, 1);
          return queue.pop();
        });
    }
  }

  #push(queue: Queue): Promise<unknown> | undefined {
    if (this.#recorder.isFull) return undefined;
    const value = this.#next();
    const [words, queued] = word(WORDS.QUEUED);
    Atomics.add(words, queued, 1);
    return this.#start(
      this.#recorder.recordLater(this.#numberOf('queue'), 'push', [value], async () => {
        await queue.push(value);
        return DONE;
      }),
    );
  }

  #map(map: ByteMap): unknown {
    const key = this.#random(MAP_KEYS);
    const text = `key ${key}`;
    const value = this.#next();
    const record = (name: 'read' | 'write' | 'has' | 'delete', args: number[], call: () => number): number =>
      this.#sync('map', name, [key, ...args], call);
    switch (this.#random(7)) {
      case 0:
      case 1:
        return record('write', [value], () => {
          map.set(text, encoded(value));
          return DONE;
        });
      case 2:
        return record('delete', [], () => Number(map.delete(text)));
      case 3:
        return record('has', [], () => Number(map.has(text)));
      default:
        return record('read', [], () => decoded(map.get(text)));
    }
  }

  #counter(counter: Counter): unknown {
    if (this.#random(3) === 0) return this.#sync('counter', 'value', [], () => counter.value());
    return this.#sync('counter', 'inc', [], () => {
      counter.inc();
      return DONE;
    });
  }

  #tally(tally: Tally): unknown {
    if (this.#random(3) === 0) return this.#later('tally', 'value', [], () => tally.value());
    return this.#later('tally', 'inc', [], async () => {
      await tally.inc();
      return DONE;
    });
  }

  #next(): number {
    return ++this.#value;
  }

  #sync(...[subject, name, args, call]: Recorded<number>): number {
    if (this.#recorder.isFull) return NONE;
    return this.#recorder.record(this.#numberOf(subject), name, args, call);
  }

  /** Settles, but does not fail, when the call is over. */
  #later(...[subject, name, args, call]: Recorded<Promise<number>>): Promise<unknown> | undefined {
    if (this.#underWay.size > AT_ONCE || this.#recorder.isFull) return undefined;
    return this.#start(this.#recorder.recordLater(this.#numberOf(subject), name, args, call));
  }

  #numberOf(subject: Subject): number {
    return this.#offset + SUBJECTS.indexOf(subject);
  }

  #start(call: Promise<unknown>): Promise<unknown> {
    const over = call
      .catch((thrown: unknown) => {
        this.#failure ??= { thrown };
      })
      .finally(() => this.#underWay.delete(over));
    this.#underWay.add(over);
    return over;
  }
}

type Recorded<R> = [
  subject: Subject,
  name: Parameters<Recorder['record']>[1],
  args: readonly number[],
  call: () => R,
];

export function play(subjects: Subjects, called: readonly Subject[], seed: number): Promise<void> {
  return new Client(subjects, seed).run(called);
}

/** Waits some turns and then makes a few calls, recorded under `object`. */
export async function callLate(
  subjects: Subjects,
  subject: Subject,
  object: number,
  seed: number,
  turns: number,
): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await nextTurn();
  await new Client(subjects, seed, object - SUBJECTS.indexOf(subject)).few(subject, FEW_CALLS);
}

// As the entry of a worker

export interface Doom {
  readonly ticket: Ticket;
  readonly subjects: Subjects;
  readonly called: readonly Subject[];
  readonly seed: number;
}

async function live({ ticket, subjects, called, seed }: Doom): Promise<void> {
  const { number } = await joinMachine(ticket);
  parentPort?.postMessage(number);
  await play(subjects, called, seed);
}

// Not awaited: joining loads this very module, which would then wait for itself.
if (!isMainThread && (workerData as Partial<Doom> | null)?.ticket?.k42 === 'ticket')
  void live(workerData as Doom);
