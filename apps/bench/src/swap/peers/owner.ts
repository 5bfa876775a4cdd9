/**
 * The way of an owner: one thread has the table, in its heap, and every call is a message to it and one back.
 *
 * The upgrade needs nobody's consent: the owner carries the table over between two messages. The others notice nothing but that
 * some answers take longer.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { currentProcessor, type Moving, moving } from '@k42/rcu';
import { carryOver, countsOf, localTable, otherVersion, type Table } from './tables.ts';

interface Request {
  readonly id: number;
  readonly session: number;
}

interface Answer {
  readonly id: number;
  readonly count: number;
}

let owned: Table | undefined;
const ports: MessagePort[] = [];

/** Called by name, on the owner. */
export function becomeOwner(sessions: number): void {
  owned = localTable(1, sessions);
}

/** A port that answers calls. Called by name, on the owner. */
export function openPort(): Moving<MessagePort> {
  const { port1, port2 } = new MessageChannel();
  port1.on('message', ({ id, session }: Request) => {
    const answer: Answer = { id, count: table().bump(session) };
    port1.postMessage(answer);
  });
  ports.push(port1);
  return moving(port2, [port2]);
}

/** Called by name, on the owner. */
export function upgradeOwner(): void {
  const old = table();
  const next = localTable(otherVersion(old.version), old.sessions);
  carryOver(old, next);
  owned = next;
}

/** Called by name, on the owner. */
export function ownerCounts(): Int32Array {
  return countsOf(table());
}

/** Called by name, on the owner. */
export function closeOwner(): void {
  for (const port of ports.splice(0)) port.close();
  owned = undefined;
}

function table(): Table {
  if (owned === undefined) throw new Error('swap: this processor owns no table');
  return owned;
}

/** What a caller has. */
export class OwnerClient {
  readonly #port: MessagePort;
  readonly #pending = new Map<number, (count: number) => void>();
  #next = 0;

  private constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', ({ id, count }: Answer) => {
      this.#pending.get(id)?.(count);
      this.#pending.delete(id);
    });
  }

  static async open(owner: number): Promise<OwnerClient> {
    return new OwnerClient(await currentProcessor().run<MessagePort>(owner, 'openPort'));
  }

  bump(session: number): Promise<number> {
    const id = this.#next++;
    const request: Request = { id, session };
    this.#port.postMessage(request);
    return new Promise((resolve) => this.#pending.set(id, resolve));
  }

  close(): void {
    this.#port.close();
  }
}
