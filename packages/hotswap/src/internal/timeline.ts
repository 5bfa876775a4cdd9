/**
 * What one processor notes of a swap as it goes: counts, stops, and when which phase was on. It becomes its report.
 */
import type { PartReport, ProcessorReport, Span } from '../report.ts';
import { now, type SwapBlock } from './swapBlock.ts';

/** Stops that are remembered one by one: a swap that waits long makes many. */
const STOPS_MAX = 64;

export class Timeline {
  forwarded = 0;
  queued = 0;
  longestBlockMs = 0;
  #longestStopMs = 0;
  #stoppedMs = 0;
  readonly #stops: Span[] = [];
  /** When this processor began to take part. */
  readonly #since: number = now();

  stopped(milliseconds: number): void {
    this.#longestStopMs = Math.max(this.#longestStopMs, milliseconds);
    this.#stoppedMs += milliseconds;
    if (this.#stops.length === STOPS_MAX) this.#stops.shift();
    const endedAt = now();
    this.#stops.push({ name: 'stop', beganAt: endedAt - milliseconds, endedAt });
  }

  /** The report of a processor that has done its part. */
  report(
    block: SwapBlock,
    share: { readonly beganAt: number | undefined; readonly endedAt: number | undefined },
    parts: readonly PartReport[],
  ): ProcessorReport {
    return {
      forwarded: this.forwarded,
      queued: this.queued,
      longestBlockMs: this.longestBlockMs,
      longestStopMs: this.#longestStopMs,
      stoppedMs: this.#stoppedMs,
      parts,
      spans: this.#spans(block, share.beganAt, share.endedAt),
    };
  }

  #spans(block: SwapBlock, shareBegan: number | undefined, shareEnded: number | undefined): Span[] {
    const decidedAt = block.time('DECIDED');
    // Phases that were skipped, as by an abort, have no time.
    const transferAt = block.time('TRANSFERRING') || decidedAt;
    const blockedAt = block.time('BLOCKED') || transferAt;
    const spans: Span[] = [];
    const add = (name: Span['name'], from: number, to: number): void => {
      const beganAt = Math.max(from, this.#since);
      if (to > beganAt) spans.push({ name, beganAt, endedAt: to });
    };
    add('forward', this.#since, blockedAt);
    add('block', blockedAt, transferAt);
    if (shareBegan !== undefined) add('transfer', shareBegan, shareEnded ?? decidedAt);
    add('complete', decidedAt, now());
    return [...spans, ...this.#stops].toSorted((a, b) => a.beganAt - b.beganAt);
  }
}

/** Of a processor for which there was nothing to do. */
export function emptyReport(): ProcessorReport {
  return {
    forwarded: 0,
    queued: 0,
    longestBlockMs: 0,
    longestStopMs: 0,
    stoppedMs: 0,
    parts: [],
    spans: [],
  };
}
