/**
 * Swaps as a trace that Perfetto (ui.perfetto.dev) and Chrome's about:tracing open: a track per processor, with its phases as in
 * the paper's figure 3, its stops, and the parts it moved.
 *
 * The format is the Trace Event Format in JSON: complete events (`ph: 'X'`) with times in microseconds.
 */
import type { SwapReport } from './report.ts';
import { partToString } from './swappable.ts';

export interface TraceEvent {
  readonly name: string;
  readonly cat: string;
  /** `X`: something that lasted; `M`: the name of a track. */
  readonly ph: 'X' | 'M';
  /** Microseconds since the first of the swaps began. */
  readonly ts: number;
  readonly dur?: number;
  readonly pid: number;
  /** The processor's number, plus one. */
  readonly tid: number;
  readonly args: Readonly<Record<string, unknown>>;
}

export interface Trace {
  readonly displayTimeUnit: 'ms';
  readonly traceEvents: readonly TraceEvent[];
}

const PID = 1;

/**
 * The trace of some swaps, to be written as JSON: `writeFile('swaps.json', JSON.stringify(traceOf(reports)))`. One of none is
 * empty.
 */
export function traceOf(reports: readonly SwapReport[]): Trace {
  const origin = reports.reduce((first, { beganAt }) => Math.min(first, beganAt), Number.POSITIVE_INFINITY);
  const microseconds = (moment: number): number => Math.max(0, (moment - origin) * 1000);
  const events: TraceEvent[] = [];
  const processors = new Set<number>();
  for (const report of reports) {
    const title = `${report.from} → ${report.to}`;
    for (const [number, { spans, parts, forwarded, queued }] of report.processors) {
      processors.add(number);
      for (const { name, beganAt, endedAt } of spans) {
        events.push({
          name,
          cat: name === 'stop' ? 'stop' : 'phase',
          ph: 'X',
          ts: microseconds(beganAt),
          dur: (endedAt - beganAt) * 1000,
          pid: PID,
          tid: number + 1,
          args: {
            swap: title,
            coid: report.coid,
            ...(name === 'forward' && { forwarded }),
            ...(name === 'block' && { queued }),
            ...(name === 'transfer' && {
              protocol: report.protocol,
              parts: parts.map(
                ({ part, bytes, exportMs, importMs }) =>
                  `${partToString(part)}: ${bytes} bytes, ${(exportMs + importMs).toFixed(3)} ms`,
              ),
            }),
          },
        });
      }
    }
  }
  const tracks = [...processors]
    .toSorted((a, b) => a - b)
    .map(
      (number): TraceEvent => ({
        name: 'thread_name',
        cat: '__metadata',
        ph: 'M',
        ts: 0,
        pid: PID,
        tid: number + 1,
        args: { name: `processor ${number}` },
      }),
    );
  return {
    displayTimeUnit: 'ms',
    traceEvents: [...tracks, ...events.toSorted((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0))],
  };
}
