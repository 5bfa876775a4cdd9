/**
 * What the record of a load says: which requests have failed, and whether the store holds what the answers promise.
 *
 * ## Whose connection it was
 * A request without an answer is the doing of a kill if its connection was the killed server's own, and otherwise it has failed.
 * Each server has noted the ports of the connections that it accepted, and when. A connection is that of the server who was the last to note
 * its port until then. If nobody has, it lay in the queue of a listening socket, and the only one that was closed without being
 * emptied is the killed one's. In either case the request must have been in flight when the server was killed, or begun soon
 * afterwards. A connection that is refused has failed as long as others listen on the same port.
 *
 * A worker that has been terminated may still answer: where it slept or waited for a lock, only that callback is cut short, without its
 * `finally`, and others that were due run in what it leaves behind. What such a worker answers is no better than no answer.
 *
 * ## What the store must hold
 * Counters are only ever raised by one, and an answer says by how much a counter had been raised: so no two answers for one
 * session are the same. A request without an answer may have raised it or not. So of the counts from 1 to what the store holds
 * at the end, as many may be missing among the answers as there are requests without one, and no more.
 */
import type { LoadSeen, Lost } from './load.ts';

/** A server that was killed. */
export interface Killed {
  readonly serial: number;
  readonly port: number;
  /** Whether others listen on its port, too. */
  readonly sharesPort: boolean;
  readonly atMs: number;
}

/** A connection that a server has accepted. */
export interface Accepted {
  readonly serial: number;
  /** The client's. */
  readonly port: number;
  readonly atMs: number;
}

/** For clients to notice, and for connections made meanwhile: until the system has closed the listening socket. */
const AFTERMATH_MS = 1_000;

export interface Verdict {
  /** Failed requests, in words. */
  readonly failed: readonly string[];
  /** Requests that the killed servers took with them. */
  readonly takenAlong: number;
}

export function judgeRequests(
  { refusals, lost }: Pick<LoadSeen, 'refusals' | 'lost'>,
  accepted: readonly Accepted[],
  kills: readonly Killed[],
): Verdict {
  const failed: string[] = [];
  let takenAlong = 0;
  for (const refusal of refusals) {
    const { session, answered, server, status, error, endedMs } = refusal;
    if (kills.some(({ serial, atMs }) => serial === server && endedMs >= atMs)) takenAlong++;
    else if (answered === session) failed.push(`${session}: server ${server} answered ${status}: ${error}`);
    else failed.push(`${session}: server ${server} answered about '${answered}'`);
  }
  for (const request of lost) {
    if (request.reason === 'end') continue;
    if (kills.some((killed) => wasItsOwn(request, killed, accepted))) takenAlong++;
    else failed.push(`${request.session}: ${request.reason} on port ${request.port}`);
  }
  return { failed, takenAlong };
}

function wasItsOwn(request: Lost, killed: Killed, accepted: readonly Accepted[]): boolean {
  if (request.endedMs < killed.atMs) return false;
  // Until another one listens there.
  if (request.reason === 'ECONNREFUSED') return !killed.sharesPort && request.serverPort === killed.port;
  if (request.begunMs > killed.atMs + AFTERMATH_MS) return false;
  const owner = accepted
    .filter(({ port, atMs }) => port === request.port && atMs <= request.endedMs)
    .reduce<Accepted | undefined>((last, next) => (last && last.atMs > next.atMs ? last : next), undefined);
  return owner === undefined || owner.serial === killed.serial;
}

/**
 * What is wrong with the sessions, in words.
 * @param stored their counters at the end
 */
export function sessionFaults(
  { answers, refusals, lost }: Pick<LoadSeen, 'answers' | 'refusals' | 'lost'>,
  stored: ReadonlyMap<string, number>,
): string[] {
  const counts = new Map<string, number[]>([...stored.keys()].map((session) => [session, []]));
  answers.sessions.forEach((session, index) => {
    const known = counts.get(session) ?? [];
    known.push(answers.counts[index] as number);
    counts.set(session, known);
  });
  const unanswered = new Map<string, number>();
  for (const { session } of [...refusals, ...lost])
    unanswered.set(session, (unanswered.get(session) ?? 0) + 1);
  return [...counts].flatMap(([session, answered]) =>
    faultsOf(session, answered, unanswered.get(session) ?? 0, stored.get(session) ?? 0),
  );
}

/** @param answered in the order of the answers; only of a session that one client uses is that an order */
function faultsOf(
  session: string,
  answered: readonly number[],
  unanswered: number,
  stored: number,
): string[] {
  const faults: string[] = [];
  const distinct = new Set(answered);
  if (distinct.size < answered.length)
    faults.push(`${session}: ${answered.length - distinct.size} of ${answered.length} answers came twice`);
  const beyond = [...distinct].filter((count) => !(count >= 1 && count <= stored)).length;
  if (beyond > 0) faults.push(`${session}: ${beyond} counts are lost, the store holds ${stored}`);
  const missing = stored - (distinct.size - beyond);
  if (missing > unanswered)
    faults.push(
      `${session}: raised ${missing} times without an answer, by ${unanswered} requests without one`,
    );
  if (session.startsWith('own-') && answered.some((count, index) => count <= (answered[index - 1] ?? 0)))
    faults.push(`${session}: its counts are not in order`);
  return faults;
}
