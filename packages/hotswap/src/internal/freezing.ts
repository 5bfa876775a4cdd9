/**
 * Background work of the old object's Rep here: stopped before its processor becomes ready, resumed after an abort.
 *
 * A freeze may be asynchronous, and the swap may be aborted before it has settled: clients and the swap go on at once, the
 * thaw follows when the freeze has settled, and a later swap's freeze begins after that.
 */
import { keepRoot, rootView } from '@k42/clustered/interpose';
import { isThenable, runGuarded } from '@k42/rcu';
import type { SwappableRoot } from '../swappable.ts';
import { runShare } from './marks.ts';

/** What is still being frozen or thawed, by Root. */
const underWay = new Map<bigint, Promise<void>>();

export class Freezing {
  readonly #word: bigint;
  #state: 'running' | 'freezing' | 'frozen' | 'over' = 'running';

  constructor(word: bigint) {
    this.#word = word;
  }

  /** Whether background work has stopped. */
  get isFrozen(): boolean {
    return this.#state === 'frozen';
  }

  /** Whether beginning it runs something of the implementation's. */
  get runsUserCode(): boolean {
    return this.#root().freeze !== undefined;
  }

  get isUnderWay(): boolean {
    return this.#state === 'freezing';
  }

  /** Begins to stop it, the first time; `settled` is called in a later turn if that takes longer than this one. */
  begin(settled: () => void, failed: (error: unknown) => void): void {
    if (this.#state !== 'running') return;
    const root = this.#root();
    if (root.freeze === undefined) {
      this.#state = 'frozen';
      return;
    }
    this.#state = 'freezing';
    const earlier = underWay.get(this.#word);
    try {
      const frozen =
        earlier === undefined
          ? runShare(() => root.freeze?.())
          : earlier.then(() => (this.#isOver() ? undefined : runShare(() => root.freeze?.())));
      if (!isThenable(frozen)) {
        this.#state = 'frozen';
        return;
      }
      this.#await(
        Promise.resolve(frozen).then(
          () => {
            if (this.#isOver()) return this.#thaw();
            this.#state = 'frozen';
            settled();
            return undefined;
          },
          (error: unknown) => {
            const isOver = this.#isOver();
            this.#state = 'over';
            if (!isOver) failed(error);
          },
        ),
      );
    } catch (error) {
      this.#state = 'over';
      failed(error);
    }
  }

  /** After an abort. */
  undo(): void {
    const wasFrozen = this.#state === 'frozen';
    this.#state = 'over';
    if (!wasFrozen || this.#root().thaw === undefined) return;
    const thawed = this.#thaw();
    if (isThenable(thawed)) this.#await(Promise.resolve(thawed));
  }

  #isOver(): boolean {
    return this.#state === 'over';
  }

  #thaw(): unknown {
    let result: unknown;
    runGuarded(() => {
      result = this.#root().thaw?.();
    });
    return result;
  }

  /** What it rejects with is nobody's but the process's. */
  #await(ending: Promise<unknown>): void {
    const ended = ending.then(
      () => {},
      (error: unknown) => {
        runGuarded(() => {
          throw error;
        });
      },
    );
    underWay.set(this.#word, ended);
    keepRoot(this.#word, ended);
    void ended.then(() => {
      if (underWay.get(this.#word) === ended) underWay.delete(this.#word);
    });
  }

  #root(): Partial<SwappableRoot> {
    return rootView(this.#word) as Partial<SwappableRoot>;
  }
}
