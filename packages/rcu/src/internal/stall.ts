/**
 * Who holds up a grace period, and how.
 *
 * Every processor answers for its domains by a system message, between turns. One that does not answer within a moment
 * has an event loop that does not run (or is parked in `Atomics.wait`): that is the other kind of stall, and then nothing
 * more is known of it.
 */
import { channels } from './channels.ts';
import type { DomainView } from './domain.ts';
import type { Processor } from './processor.ts';
import { type Blocker, type StallReport, stallToString } from './stallReport.ts';

export type { Blocker, StallReport } from './stallReport.ts';

export const REPORT = 'rcu/report';
export const REPORTED = 'rcu/reported';

/** How long a processor may take to answer. */
const ANSWER_MS = 100;

/** A processor, as it described itself. */
export interface ProcessorView {
  readonly processor: number;
  readonly incarnation: number;
  readonly name: string;
  readonly domains: readonly DomainView[];
  /** Threads of the machine's domain that are live and known by name, at most 32. */
  readonly threads: readonly string[];
}

interface Answer {
  readonly id: number;
  readonly view: ProcessorView;
  /** The processor's clock when it answered, against which its times are to be read. */
  readonly now: number;
}

/** Asks processors for reports; one per processor. */
export class Reports {
  readonly #processor: Processor;
  readonly #view: () => ProcessorView;
  readonly #pending = new Map<
    number,
    { readonly from: number; readonly resolve: (answer: Answer | undefined) => void }
  >();
  #lastId = 0;

  constructor(processor: Processor, view: () => ProcessorView) {
    this.#processor = processor;
    this.#view = view;
    processor.onSystemMessage(REPORT, (from, id) =>
      processor.post(from, REPORTED, {
        id: id as number,
        view: view(),
        now: performance.now(),
      } satisfies Answer),
    );
    processor.onSystemMessage(REPORTED, (_from, payload) => this.#answered(payload as Answer));
    processor.onGone((number) => {
      for (const [id, { from }] of [...this.#pending]) if (from === number) this.#giveUp(id);
    });
    processor.onClosed(() => {
      for (const id of [...this.#pending.keys()]) this.#giveUp(id);
    });
  }

  /** A processor's answer; undefined if it does not answer. */
  async ask(number: number): Promise<Answer | undefined> {
    if (number === this.#processor.number) return { id: 0, view: this.#view(), now: performance.now() };
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    this.#pending.set(id, { from: number, resolve });
    this.#processor.post(number, REPORT, id);
    const timer = setTimeout(() => this.#giveUp(id), ANSWER_MS);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  #answered(answer: Answer): void {
    this.#pending.get(answer.id)?.resolve(answer);
    this.#pending.delete(answer.id);
  }

  #giveUp(id: number): void {
    this.#pending.get(id)?.resolve(undefined);
    this.#pending.delete(id);
  }
}

const reports = new WeakMap<Processor, Reports>();

export function installReports(processor: Processor, view: () => ProcessorView): void {
  reports.set(processor, new Reports(processor, view));
}

/** How processors describe themselves now; those that do not answer are missing. */
export async function viewsOf(processor: Processor, numbers: readonly number[]): Promise<ProcessorView[]> {
  const asked = reports.get(processor) as Reports;
  const answers = await Promise.all(numbers.map((number) => asked.ask(number)));
  return answers.filter((answer) => answer !== undefined).map((answer) => answer.view);
}

/** Reports a grace period that lasts too long. */
export async function warnOfStall(
  processor: Processor,
  domain: string,
  waitingFor: readonly number[],
): Promise<void> {
  const report = await describeStall(processor, domain, waitingFor);
  if (processor.closed) return;
  process.emitWarning(
    `A grace period of domain ${domain} on processor ${processor.number} lasts long: ${stallToString(report)}.`,
    'K42Warning',
  );
}

/** What holds up a wait for those processors; published on `k42:rcu:stall`. Takes up to 100 ms. */
export async function describeStall(
  processor: Processor,
  domain: string,
  waitingFor: readonly number[],
): Promise<StallReport> {
  const asked = reports.get(processor) as Reports;
  const blockers = await Promise.all(
    waitingFor.map(async (number): Promise<Blocker> => {
      const name = processor.nameOf(number);
      const answer = await asked.ask(number);
      if (answer === undefined) {
        return {
          processor: number,
          name,
          kind: 'unresponsive',
          threads: [],
          threadCount: 0,
          atLeastMs: undefined,
          callbacksPending: 0,
        };
      }
      const view = answer.view.domains.find((candidate) => candidate.name === domain);
      const since = view?.waitedForSince;
      const threadCount = view?.blocking ?? 0;
      return {
        processor: number,
        name,
        kind: threadCount === 0 ? 'callbacks' : 'reader',
        threads: view?.blockers ?? [],
        threadCount,
        atLeastMs: since === undefined ? undefined : answer.now - since,
        callbacksPending: view?.callbacksPending ?? 0,
      };
    }),
  );
  const report: StallReport = { domain, waiting: processor.number, blockers };
  if (channels.stall.hasSubscribers) channels.stall.publish(report);
  return report;
}
