/**
 * The load: so many connections, each with one request at a time, made by autocannon; and a record of every request.
 *
 * A connection's requests go in turn to the session of its own, which nobody else uses, and to sessions that it shares with the
 * others. When a connection breaks autocannon connects again at once and goes on.
 *
 * autocannon counts a request as failed if its connection reports an error. One whose connection is closed in good order before
 * the answer is lost to it without being counted, so the record is our own: a request that is followed by another one on
 * the same client, before its answer, has been lost. The connection's port says whose it was.
 */
import type { Socket } from 'node:net';
import autocannon from 'autocannon';
import { monotonicMs } from '../clock.ts';
import { HEADER } from './headers.ts';

export interface LoadRequest {
  /** One, or one per processor where they cannot share a port. */
  readonly urls: readonly string[];
  readonly connections: number;
  /** Sessions that all connections use. */
  readonly sharedSessions: number;
  /** It ends by itself after this, if nobody has ended it before. */
  readonly durationMs: number;
  readonly requestTimeoutMs: number;
}

/** All answered requests: element i of each list is about one of them. */
export interface Answers {
  readonly sessions: string[];
  readonly counts: number[];
  readonly servers: number[];
  readonly begunMs: number[];
  readonly endedMs: number[];
}

/** A request whose answer says that it has failed, or is about another session. */
export interface Refusal {
  readonly session: string;
  readonly answered: string;
  readonly server: number;
  readonly status: number;
  /** What the server says of it. */
  readonly error: string;
  readonly endedMs: number;
}

/** A request without an answer. */
export interface Lost {
  readonly session: string;
  /** The client's port of its connection, or 0 if it was never connected. */
  readonly port: number;
  /** The server's, whether connected or not. */
  readonly serverPort: number;
  readonly begunMs: number;
  /** When that was noticed. */
  readonly endedMs: number;
  /** An error's code; `closed` by the server; `timeout`; or `end`: the load ended before the answer. */
  readonly reason: string;
}

export interface LoadSeen {
  readonly answers: Answers;
  readonly refusals: readonly Refusal[];
  readonly lost: readonly Lost[];
  /** What autocannon itself has counted. */
  readonly autocannon: { readonly answered: number; readonly errors: number; readonly timeouts: number };
}

export interface Load {
  readonly seen: Promise<LoadSeen>;
  readonly stop: () => void;
}

/** The parts of autocannon's client that its types do not mention. */
type Client = autocannon.Client & {
  readonly conn: Socket;
  readonly opts: { readonly port: number | string };
  on(event: 'request', listener: () => void): Client;
  on(event: 'connError', listener: (error: NodeJS.ErrnoException) => void): Client;
};

/** What its parser has found; the types say otherwise. */
interface ParsedHeaders {
  /** Names and values in turn. */
  readonly headers: readonly string[];
}

const SAMPLE_MS = 100;

export function startLoad(request: LoadRequest): Load {
  const record: Record = {
    answers: { sessions: [], counts: [], servers: [], begunMs: [], endedMs: [] },
    refusals: [],
    lost: [],
  };
  const followed: Follower[] = [];
  const { promise: seen, resolve, reject } = Promise.withResolvers<LoadSeen>();
  const options: autocannon.Options = {
    // The types know of one only.
    url: request.urls as unknown as string,
    connections: request.connections,
    duration: request.durationMs / 1000,
    timeout: request.requestTimeoutMs / 1000,
    sampleInt: SAMPLE_MS,
    setupClient: (client: autocannon.Client): void => {
      followed.push(new Follower(client as Client, followed.length, request, record));
    },
  };
  const instance = autocannon(options, (error: Error | null, result: autocannon.Result) => {
    if (error !== null) {
      reject(error);
      return;
    }
    for (const follower of followed) follower.end();
    const { errors, timeouts } = result;
    resolve({ ...record, autocannon: { answered: result['2xx'], errors, timeouts } });
  });
  return { seen, stop: () => (instance as unknown as { stop(): void }).stop() };
}

interface Record {
  readonly answers: Answers;
  readonly refusals: Refusal[];
  readonly lost: Lost[];
}

/** A connection of a client: it has one after the other. */
interface Connection {
  readonly socket: Socket;
  port: number;
  /** The code of the error that has ended it. */
  error: string | undefined;
}

interface Pending {
  readonly session: string;
  readonly begunMs: number;
}

/** Keeps the record of one of autocannon's clients. */
class Follower {
  readonly #client: Client;
  readonly #record: Record;
  readonly #sessions: readonly string[];
  #connection: Connection | undefined;
  #made = 0;
  #pending: Pending | undefined;
  #headers: readonly string[] = [];

  constructor(client: Client, index: number, { sharedSessions }: LoadRequest, record: Record) {
    this.#client = client;
    this.#record = record;
    this.#sessions = [`own-${index}`, `shared-${index % sharedSessions}`];
    client.setRequests(this.#sessions.map((name) => ({ method: 'GET', path: `/${name}` })));
    client.on('request', () => this.#begin());
    client.on('connError', ({ code = 'error' }) => {
      if (this.#connection !== undefined) this.#connection.error ??= code;
    });
    client.on('headers', (parsed: unknown) => {
      this.#headers = (parsed as ParsedHeaders).headers;
    });
    client.on('response', (status) => this.#end(status));
  }

  /** The load is over. */
  end(): void {
    this.#lose('end');
  }

  /** Comes just before a request is written, and after autocannon has left a connection that has ended. */
  #begin(): void {
    const before = this.#connection;
    if (before !== undefined) this.#lose(reasonOf(before));
    if (before?.socket !== this.#client.conn) this.#connection = connectionOf(this.#client.conn, before);
    const session = this.#sessions[this.#made % this.#sessions.length] as string;
    this.#made++;
    this.#pending = { session, begunMs: monotonicMs() };
  }

  #end(status: number): void {
    const pending = this.#pending;
    if (pending === undefined) throw new Error('load: an answer to no request');
    this.#pending = undefined;
    const { answers, refusals } = this.#record;
    const server = Number(headerOf(this.#headers, HEADER.SERVER));
    const answered = headerOf(this.#headers, HEADER.SESSION);
    if (status !== 200 || answered !== pending.session) {
      const error = headerOf(this.#headers, HEADER.ERROR);
      refusals.push({ session: pending.session, answered, server, status, error, endedMs: monotonicMs() });
      return;
    }
    answers.sessions.push(answered);
    answers.counts.push(Number(headerOf(this.#headers, HEADER.COUNT)));
    answers.servers.push(server);
    answers.begunMs.push(pending.begunMs);
    answers.endedMs.push(monotonicMs());
  }

  #lose(reason: string): void {
    if (this.#pending === undefined || this.#connection === undefined) return;
    const { port } = this.#connection;
    const serverPort = Number(this.#client.opts.port);
    this.#record.lost.push({ ...this.#pending, port, serverPort, endedMs: monotonicMs(), reason });
    this.#pending = undefined;
  }
}

function connectionOf(socket: Socket, before: Connection | undefined): Connection {
  // One that was closed may report an error, too, and autocannon would connect once more, and forget the connection it has.
  before?.socket
    .removeAllListeners('error')
    .removeAllListeners('end')
    .on('error', () => {})
    .destroy();
  const connection: Connection = { socket, port: 0, error: undefined };
  socket.once('connect', () => {
    connection.port = socket.localPort ?? 0;
  });
  return connection;
}

function reasonOf({ socket, error }: Connection): string {
  if (error !== undefined) return error;
  // Without an error and without an end by the server: autocannon has given it up.
  return socket.readableEnded ? 'closed' : 'timeout';
}

function headerOf(headers: readonly string[], name: string): string {
  return headers[headers.findIndex((known) => known.toLowerCase() === name) + 1] ?? '';
}
