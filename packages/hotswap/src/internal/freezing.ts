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

type Background = Pick<SwappableRoot, 'freeze' | 'thaw'>;

/** What is still being frozen or thawed, by this processor's view of the Root. */
const underWay = new WeakMap<Background, Promise<void>>();

/** What a freeze settles with that has not been begun. */
const NOT_FROZEN = Symbol('not frozen');

export class Freezing {
  readonly #word: bigint;
  #wasUnderWay = false;
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

  /** Whether it is waited for, or was when it was undone. */
  get isUnderWay(): boolean {
    return this.#state === 'freezing' || this.#wasUnderWay;
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
    try {
      const frozen = this.#freeze(root);
      if (!isThenable(frozen)) {
        this.#state = 'frozen';
        return;
      }
      this.#await(
        root,
        Promise.resolve(frozen).then(
          (isFrozen) => {
            // Undone meanwhile: what has been stopped after all goes on.
            if (this.#isOver()) return isFrozen === NOT_FROZEN ? undefined : thaw(root);
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

  /** After what an earlier swap has left to do. */
  #freeze(root: Background): unknown {
    const freeze = (): unknown => runShare(() => root.freeze?.());
    const earlier = underWay.get(root);
    return earlier === undefined ? freeze() : earlier.then(() => (this.#isOver() ? NOT_FROZEN : freeze()));
  }

  /** After an abort. */
  undo(): void {
    const wasFrozen = this.#state === 'frozen';
    this.#wasUnderWay = this.#state === 'freezing';
    this.#state = 'over';
    // Elsewhere there may be no view of the Root, and none is wanted.
    if (!wasFrozen) return;
    const root = this.#root();
    if (root.thaw === undefined) return;
    const thawed = thaw(root);
    if (isThenable(thawed)) this.#await(root, Promise.resolve(thawed));
  }

  #isOver(): boolean {
    return this.#state === 'over';
  }

  /** What it rejects with is nobody's but the process's. */
  #await(root: Background, ending: Promise<unknown>): void {
    const ended = ending.then(
      () => {},
      (error: unknown) => {
        runGuarded(() => {
          throw error;
        });
      },
    );
    underWay.set(root, ended);
    keepRoot(this.#word, ended);
    void ended.then(() => {
      if (underWay.get(root) === ended) underWay.delete(root);
    });
  }

  #root(): Background {
    return rootView(this.#word) as Background;
  }
}

function thaw(root: Background): unknown {
  let result: unknown;
  runGuarded(() => {
    result = root.thaw?.();
  });
  return result;
}
