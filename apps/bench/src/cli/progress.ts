/**
 * Progress on standard error: a bar per processor on a terminal, a line per round anywhere else.
 */
import cliProgress from 'cli-progress';
import type { Progress } from '../postmark/progress.ts';

export interface ProgressDisplay {
  /** Shows `counters`, one per processor, on their way to `total`, until `end`. */
  begin(label: string, total: number, counters: readonly Progress[]): void;
  end(): void;
}

const REFRESH_MS = 100;
const FORMAT = '{label} [{bar}] {percentage} % | {value}/{total} transactions | {duration_formatted}';

class TerminalProgress implements ProgressDisplay {
  readonly #stream: NodeJS.WritableStream;
  #bars: cliProgress.MultiBar | undefined;
  #timer: NodeJS.Timeout | undefined;
  #update: () => void = () => {};

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  begin(label: string, total: number, counters: readonly Progress[]): void {
    const options = {
      format: FORMAT,
      stream: this.#stream,
      hideCursor: true,
      clearOnComplete: true,
      gracefulExit: false,
    };
    const bars = new cliProgress.MultiBar(options, cliProgress.Presets.shades_grey);
    const shown = counters.map((counter, processor) => {
      const bar = bars.create(total, 0, { label: `${label} #${processor}`.padEnd(30) });
      return () => bar.update(counter.transactions);
    });
    this.#bars = bars;
    this.#update = () => {
      for (const update of shown) update();
    };
    this.#timer = setInterval(this.#update, REFRESH_MS);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#update();
    this.#bars?.stop();
    this.#bars = undefined;
    this.#update = () => {};
  }
}

class LineProgress implements ProgressDisplay {
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  begin(label: string, total: number): void {
    this.#stream.write(`${label}: ${total} transactions each\n`);
  }

  end(): void {}
}

export function openProgress(stream: NodeJS.WriteStream): ProgressDisplay {
  return stream.isTTY ? new TerminalProgress(stream) : new LineProgress(stream);
}
