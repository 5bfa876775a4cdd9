/**
 * The HTTP server of one processor: plain `node:http` over the session store that all processors share.
 *
 * A request names a session, and its handler raises the session's counter in the store by one synchronous call. It answers
 * with the session, the counter and which server it was. So whoever has all answers knows what must be in the store:
 *
 *     GET /own-3    ->    200    x-server: 1    x-session: own-3    x-count: 17
 *
 * What the store is made of, and that it changes, the handler does not know: it has a COID.
 *
 * Each server notes the client's port of every connection it accepts, and when, in memory that outlives it. When a worker has been
 * killed, that tells which of the broken connections were its own.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Coid, handle } from '@k42/clustered';
import type { ByteMap } from '@k42/clustered/standard';
import { monotonicMs } from '../clock.ts';
import { HEADER } from './headers.ts';
import type { Accepted } from './judge.ts';

export interface ServerSpec {
  /** Of this server, among all there are and have been. */
  readonly serial: number;
  /** 0 for any that is free. */
  readonly port: number;
  /** Whether others listen on the same port. */
  readonly reusePort: boolean;
  readonly store: Coid<ByteMap>;
  /** Notes of the connections that it accepts; those beyond its end are not noted. */
  readonly accepted: SharedArrayBuffer;
}

export const HOSTNAME = '127.0.0.1';

/** A note: the client's port, and when. They are read when nobody writes any more. */
const NOTE_WORDS = 2;
export const NOTE_BYTES: number = NOTE_WORDS * 8;

export function notesIn(serial: number, accepted: SharedArrayBuffer): Accepted[] {
  const words = new Float64Array(accepted);
  const notes = Array.from({ length: words.length / NOTE_WORDS }, (_none, index) => {
    const [port = 0, atMs = 0] = words.subarray(index * NOTE_WORDS, (index + 1) * NOTE_WORDS);
    return { serial, port, atMs };
  });
  return notes.filter(({ port }) => port !== 0);
}

let server: Server | undefined;

/** Begins to serve; gives the port. Called by name. */
export async function listenHere(spec: ServerSpec): Promise<number> {
  const { serial, port, reusePort, store } = spec;
  // From now on this processor takes part in swaps, whatever connections it gets.
  handle(store).has('');
  const notes = new Float64Array(spec.accepted);
  let noted = 0;
  const listening = createServer((request, response) => answer(request, response, serial, store));
  server = listening;
  // A connection stays for the whole load, however long the event loop is held up.
  listening.keepAliveTimeout = 0;
  listening.on('connection', ({ remotePort = 0 }) => {
    const at = noted++ * NOTE_WORDS;
    if (at + NOTE_WORDS > notes.length) return;
    notes[at + 1] = monotonicMs();
    // Last, since it says that there is a note.
    notes[at] = remotePort;
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  listening.once('error', reject);
  listening.listen({ host: HOSTNAME, port, ...(reusePort ? { reusePort } : {}) }, resolve);
  await promise;
  return (listening.address() as AddressInfo).port;
}

/** Stops serving and closes all connections. Called by name. */
export async function closeServer(): Promise<void> {
  const closing = server;
  if (closing === undefined) return;
  server = undefined;
  const closed = new Promise<void>((resolve) => closing.close(() => resolve()));
  closing.closeAllConnections();
  await closed;
}

/** Says in a word that it has begun, and then keeps this processor in one turn, for so long. Called by name. */
export function beBusy(begun: SharedArrayBuffer, milliseconds: number): void {
  const word = new Int32Array(begun);
  Atomics.store(word, 0, 1);
  Atomics.notify(word, 0);
  for (const until = performance.now() + milliseconds; performance.now() < until; );
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  serial: number,
  store: Coid<ByteMap>,
): void {
  const name = (request.url ?? '/').slice(1);
  const headers = { [HEADER.SERVER]: serial, [HEADER.SESSION]: name };
  let count: number;
  try {
    count = countOf(handle(store).update(name, raised));
  } catch (error) {
    response.writeHead(500, { ...headers, [HEADER.ERROR]: oneLine(error), 'content-length': 0 }).end();
    return;
  }
  const body = `${count}\n`;
  response.writeHead(200, { ...headers, [HEADER.COUNT]: count, 'content-length': body.length }).end(body);
}

/** What a header can carry of an error. */
function oneLine(error: unknown): string {
  return String(error)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, 500);
}

/** A session: a counter, and whatever else sessions carry. */
const SESSION_BYTES = 64;

/** A session whose counter is at `count`. */
export function session(count: number): Uint8Array {
  const bytes = new Uint8Array(SESSION_BYTES);
  new DataView(bytes.buffer).setUint32(0, count);
  return bytes;
}

/** The counter of a session; 0 for none. */
export function countOf(bytes: Uint8Array | undefined): number {
  if (bytes === undefined) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

function raised(bytes: Uint8Array | undefined): Uint8Array {
  return session(countOf(bytes) + 1);
}
