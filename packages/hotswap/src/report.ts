/**
 * What happened in a swap: to each processor, to each part, and in all. Times in milliseconds; moments in milliseconds since the
 * epoch, comparable between processors.
 */
import type { SwapOptions } from './internal/options.ts';
import type { Part } from './swappable.ts';

/** What a processor did in a stretch of time. `stop`: it was held still. Others are the phases of figure 3. */
export interface Span {
  readonly name: 'forward' | 'block' | 'stop' | 'transfer' | 'complete';
  readonly beganAt: number;
  readonly endedAt: number;
}

/** A part of the state that was moved. */
export interface PartReport {
  readonly part: Part;
  /** The processor that moved it. */
  readonly processor: number;
  readonly exportMs: number;
  readonly importMs: number;
  /** Bytes copied, as far as the implementation, or what it exported, says. */
  readonly bytes: number;
}

/** What a processor saw of a swap. */
export interface ProcessorReport {
  /** Calls forwarded to the old object, synchronous ones included. */
  readonly forwarded: number;
  /** Calls that waited for the outcome. */
  readonly queued: number;
  /** Longest time a call waited. */
  readonly longestBlockMs: number;
  /** Longest time the processor was held still, and how long in all. */
  readonly longestStopMs: number;
  readonly stoppedMs: number;
  readonly parts: readonly PartReport[];
  /** In the order in which they began; of many stops the last 64. */
  readonly spans: readonly Span[];
}

export interface Phases {
  readonly forward: number;
  readonly block: number;
  readonly transfer: number;
  readonly complete: number;
}

/** Everything about one swap that was completed. It can be cloned and posted; `revert` stays behind then. */
export class SwapReport {
  readonly coid: number;
  /** The implementations' names. */
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly initiator: number;
  /** Processors that took part, ascending. */
  readonly participants: readonly number[];
  /** Parts that carried something. */
  readonly parts: readonly PartReport[];
  /** Bytes copied in all. 0 for a transfer by reference. */
  readonly bytes: number;
  readonly forwarded: number;
  readonly queued: number;
  /** Moment at which the Mediator was interposed. */
  readonly beganAt: number;
  readonly milliseconds: number;
  readonly phases: Phases;
  /** Longest time a call was kept waiting, and a processor was held still. */
  readonly longestBlockMs: number;
  readonly longestStopMs: number;
  /** The same, processor by processor. */
  readonly processors: ReadonlyMap<number, ProcessorReport>;

  constructor(
    what: Pick<
      SwapReport,
      | 'coid'
      | 'from'
      | 'to'
      | 'protocol'
      | 'initiator'
      | 'participants'
      | 'beganAt'
      | 'milliseconds'
      | 'phases'
    >,
    processors: ReadonlyMap<number, ProcessorReport>,
  ) {
    const all = [...processors.values()];
    const sum = (value: (report: ProcessorReport) => number): number =>
      all.reduce((total, report) => total + value(report), 0);
    const most = (value: (report: ProcessorReport) => number): number =>
      all.reduce((max, report) => Math.max(max, value(report)), 0);
    this.coid = what.coid;
    this.from = what.from;
    this.to = what.to;
    this.protocol = what.protocol;
    this.initiator = what.initiator;
    this.participants = what.participants;
    this.parts = all.flatMap(({ parts }) => parts);
    this.bytes = this.parts.reduce((total, { bytes }) => total + bytes, 0);
    this.forwarded = sum(({ forwarded }) => forwarded);
    this.queued = sum(({ queued }) => queued);
    this.beganAt = what.beganAt;
    this.milliseconds = what.milliseconds;
    this.phases = what.phases;
    this.longestBlockMs = most(({ longestBlockMs }) => longestBlockMs);
    this.longestStopMs = most(({ longestStopMs }) => longestStopMs);
    this.processors = new Map(processors);
  }

  /**
   * Puts the old implementation back, with the state by then, as another swap. On the processor that began this one; elsewhere
   * and for a copy there is the function of this name. @throws as `swap`
   */
  async revert(options: SwapOptions<unknown> = {}): Promise<SwapReport> {
    const { revert } = await import('./swap.ts');
    return revert(this, options);
  }
}
