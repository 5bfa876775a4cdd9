/**
 * The process that makes the load, as its parent sees it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { entryUrl } from '../../entryUrl.ts';
import type { LoadOrder, LoadReport } from '../../swapHttpLoad.ts';
import type { LoadRequest, LoadSeen } from './load.ts';

/** To begin, and to say what it has seen after it was told to end. */
const ANSWER_MS = 10_000;

export class LoadProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit');
  }

  /** Settles when the load has begun. */
  static async begin(request: LoadRequest): Promise<LoadProcess> {
    const child = fork(fileURLToPath(entryUrl('swapHttpLoad')), {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const load = new LoadProcess(child);
    try {
      await load.#ask({ begin: request }, 'begin');
    } catch (error) {
      await load.kill();
      throw error;
    }
    return load;
  }

  /** Ends the load, and gives what it has seen. */
  async end(): Promise<LoadSeen> {
    const report = await this.#ask({ end: true }, 'end');
    if (!('seen' in report)) throw new Error('swap: the load answered out of turn');
    await this.#exited;
    return report.seen;
  }

  /** Ends the process, if it has not ended. */
  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#exited;
  }

  #ask(order: LoadOrder, what: string): Promise<LoadReport> {
    const { promise, resolve, reject } = Promise.withResolvers<LoadReport>();
    const late = setTimeout(
      () => reject(new Error(`swap: the load did not ${what} within ${ANSWER_MS} ms`)),
      ANSWER_MS,
    );
    const gone = (code: number | null): void =>
      reject(new Error(`swap: the load exited with ${code} before it was to ${what}`));
    this.#child.once('message', resolve);
    this.#child.once('exit', gone);
    this.#child.send(order);
    return promise.finally(() => {
      clearTimeout(late);
      this.#child.off('message', resolve).off('exit', gone);
    });
  }
}
