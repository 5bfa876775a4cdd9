/**
 * The load of a processor: callers that call one object at a given rate, whatever becomes of their calls.
 *
 * Each caller has a call due in every period. Whenever the timer fires all calls that are due are made; asynchronous ones are
 * not awaited before the next, so that many of a caller are under way, and their order shows. A call's latency counts from
 * when it was due: a processor that is held still has more late calls, not fewer calls. Between its turns the processor
 * sleeps, as servers do: a load that keeps it busy all the time would measure who else wants the cores.
 */
import { type Coid, handle } from '@k42/clustered';
import type { Mixed } from './objects.ts';
import { type CallerRecord, type CallTimes, clockMs, openRecords } from './records.ts';

export interface LoadSpec {
  readonly asyncCallers: number;
  readonly syncCallers: number;
  /** Between the calls of a caller. */
  readonly periodMs: number;
  /** Of an asynchronous call, by timer; 0 is one turn of the event loop. */
  readonly asyncMs: number;
  readonly syncMs: number;
  /** Turns take at least so long, and follow one another without a pause; 0 is the timer's, and no longer than its calls. */
  readonly turnMs: number;
}

/** What the callers of one kind have seen. */
export interface LoadResult {
  readonly sync: boolean;
  readonly records: readonly CallerRecord[];
}

export interface LoadResults {
  readonly results: readonly LoadResult[];
  /** From the beginning of a turn to that of the next. */
  readonly longestTurnMs: number;
  readonly turns: number;
  /** Calls that were due and not made, because the processor was too far behind. */
  readonly skipped: number;
}

interface Caller {
  readonly sync: boolean;
  readonly record: CallerRecord;
  dueAt: number;
}

/** A call that has no answer by then, after the last one was made, counts as lost. */
const ANSWER_DEADLINE_MS = 2_000;

/** A call that is due for longer is not made; nor is any while so many have no answer yet. */
const LATE_MAX_MS = 500;
const PENDING_MAX = 10_000;

class Load {
  readonly #object: Mixed;
  readonly #spec: LoadSpec;
  readonly #callers: Caller[];
  readonly #beganAt = clockMs();
  #pending = 0;
  #stopping = false;
  #giveUpAt = Number.POSITIVE_INFINITY;
  #ended: () => void = () => {};
  #longestTurnMs = 0;
  #turns = 0;
  #skipped = 0;
  #turnAt = clockMs();

  constructor(coid: Coid<Mixed>, spec: LoadSpec, processor: number) {
    this.#object = handle(coid);
    this.#spec = spec;
    const kinds = [
      ...Array.from({ length: spec.asyncCallers }, () => false),
      ...Array.from({ length: spec.syncCallers }, () => true),
    ];
    const names = kinds.map(
      (sync, at) => `processor ${processor}, ${sync ? 'synchronous' : 'asynchronous'} caller ${at}`,
    );
    const records = openRecords(names);
    this.#callers = kinds.map((sync, at) => ({
      sync,
      record: records[at] as CallerRecord,
      // Not all in the same turn.
      dueAt: this.#beganAt + (at / kinds.length) * spec.periodMs,
    }));
    this.#turnLater();
  }

  #turnLater(): void {
    if (this.#spec.turnMs === 0) setTimeout(this.#turn, 1);
    else setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    const now = clockMs();
    this.#turns++;
    this.#longestTurnMs = Math.max(this.#longestTurnMs, now - this.#turnAt);
    this.#turnAt = now;
    if (this.#stopping) {
      if (this.#pending === 0 || now > this.#giveUpAt) this.#ended();
      else this.#turnLater();
      return;
    }
    for (const [at, caller] of this.#callers.entries()) {
      this.#skipHopeless(caller, now);
      for (; caller.dueAt <= now; caller.dueAt += this.#spec.periodMs) {
        if (caller.sync) this.#callNow(at, caller);
        else this.#callLater(at, caller);
      }
    }
    while (clockMs() - now < this.#spec.turnMs);
    this.#turnLater();
  };

  /** Calls that are due for very long are not made: else a processor that got too little time would never catch up. */
  #skipHopeless(caller: Caller, now: number): void {
    const { periodMs } = this.#spec;
    const lateMs = now - caller.dueAt;
    const allowedMs = this.#pending > PENDING_MAX ? 0 : LATE_MAX_MS;
    if (lateMs <= allowedMs) return;
    const skipped = Math.ceil((lateMs - allowedMs) / periodMs);
    caller.dueAt += skipped * periodMs;
    this.#skipped += skipped;
  }

  #callNow(at: number, { record: { page, times }, dueAt }: Caller): void {
    const call = page.made++;
    times.due.push(dueAt);
    times.made.push(clockMs());
    try {
      page.answers.push([call, this.#object.now(at, call, this.#spec.syncMs)]);
    } catch (error) {
      page.failures.push(String(error));
    }
    times.answered[call] = clockMs();
  }

  #callLater(at: number, { record: { page, times }, dueAt }: Caller): void {
    const call = page.made++;
    times.due.push(dueAt);
    times.made.push(clockMs());
    this.#pending++;
    this.#object.later(at, call, this.#spec.asyncMs).then(
      (answer) => {
        page.answers.push([call, answer]);
        this.#settled(times, call);
      },
      (error: unknown) => {
        page.failures.push(String(error));
        this.#settled(times, call);
      },
    );
  }

  #settled(times: CallTimes, call: number): void {
    times.answered[call] = clockMs();
    this.#pending--;
  }

  /** Makes no more calls, and waits for those under way; not for ever, for one may be lost. */
  async stop(): Promise<LoadResults> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = resolve;
    this.#stopping = true;
    this.#giveUpAt = clockMs() + ANSWER_DEADLINE_MS;
    await promise;
    const counts = await this.#object.counts();
    for (const [at, { record }] of this.#callers.entries()) record.page.counted = counts[at] ?? 0;
    const of = (sync: boolean): LoadResult => ({
      sync,
      records: this.#callers.filter((caller) => caller.sync === sync).map(({ record }) => record),
    });
    return {
      results: [of(false), of(true)],
      longestTurnMs: this.#longestTurnMs,
      turns: this.#turns,
      skipped: this.#skipped,
    };
  }
}

let current: Load | undefined;

/** Called by name: this processor's callers go to work. */
export async function startLoad(
  coid: Coid<Mixed>,
  spec: LoadSpec,
  { processor, ballastBytes }: { readonly processor: number; readonly ballastBytes: number },
): Promise<void> {
  if (current !== undefined) throw new Error('swap: this processor has a load already');
  if (ballastBytes > 0) await handle(coid).fill(ballastBytes);
  current = new Load(coid, spec, processor);
}

/** Called by name: they stop, and tell what they have seen. */
export async function stopLoad(): Promise<LoadResults> {
  const load = current;
  if (load === undefined) throw new Error('swap: this processor has no load');
  const results = await load.stop();
  current = undefined;
  return results;
}
