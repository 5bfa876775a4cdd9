/**
 * A thread held by hand: the guard that `enter` gives.
 *
 * Where `spawn` counts a function, a `Thread` counts a scope: from `enter` until it is disposed of. A thread that lives
 * long says when it holds no reference: by a *quiescent state* (in passing) or by *deactivating* around a wait, so that
 * it does not hold up grace periods meanwhile.
 */
import { ThreadMisuseError } from '../errors.ts';
import type { Ending } from './guard.ts';
import type { Generation, NamedThread, Threads } from './threads.ts';

const INACTIVE = -1;
const ENDED = -2;

/** A counted thread. Dispose of it exactly once (`using`), on the processor where it began. */
export class Thread implements NamedThread, Disposable {
  readonly name: string;
  /** @internal */
  generation: Generation = 0;
  /** @internal */
  sequence = 0;
  readonly #threads: Threads;
  /** The generation it is counted in, INACTIVE or ENDED. */
  #counted: Generation;
  /** References held that a quiescent state would pull away; see `hold`. */
  #holds = 0;
  /** Told when the references obtained so far are void, and why. Used by prove mode. */
  onVoid: ((why: Ending) => void) | undefined;

  constructor(threads: Threads, name: string) {
    this.name = name;
    this.#threads = threads;
    this.#counted = threads.begin();
    threads.hold(this, this.#counted);
  }

  /** Whether it is counted now: not ended and not deactivated. */
  get active(): boolean {
    return this.#counted >= 0;
  }

  get ended(): boolean {
    return this.#counted === ENDED;
  }

  /**
   * Announces that this thread holds no reference just now, as if it had ended and begun again: a grace period waits for at
   * most two of them. Cost: a few nanoseconds. @throws ThreadMisuseError if it has ended, is deactivated or holds.
   */
  quiescent(): void {
    this.#assertFree('announce a quiescent state');
    this.onVoid?.('quiescent');
    this.#counted = this.#threads.renew(this.#counted);
    this.generation = this.#counted;
  }

  /** Counts the thread out before a long wait: it may hold no reference until `activate`. @throws ThreadMisuseError */
  deactivate(): void {
    this.#assertFree('be deactivated');
    this.onVoid?.('quiescent');
    const counted = this.#counted;
    this.#counted = INACTIVE;
    this.#threads.letGo(this);
    this.#threads.end(counted);
  }

  /** Counts it in again, in the generation of now. @throws ThreadMisuseError if it is active or has ended. */
  activate(): void {
    if (this.#counted !== INACTIVE) {
      throw new ThreadMisuseError(
        `Thread ${this.name} is ${this.ended ? 'ended' : 'active'}: it cannot be activated.`,
      );
    }
    this.#counted = this.#threads.begin();
    this.#threads.hold(this, this.#counted);
  }

  /** Waits deactivated: gives what `wait` gives, and is active again whether it fulfils or rejects. */
  async outside<R>(wait: () => PromiseLike<R> | R): Promise<R> {
    this.deactivate();
    try {
      return await wait();
    } finally {
      // A thread disposed of meanwhile stays ended.
      if (!this.ended) this.activate();
    }
  }

  /**
   * While it is held, quiescent states, deactivation and the end of this thread are refused: put it around a call that
   * works with references of this thread, such as one that is not awaited at once.
   */
  hold(): Disposable {
    if (!this.active)
      throw new ThreadMisuseError(`Thread ${this.name} is not active: it cannot hold anything.`);
    this.#holds++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) throw new ThreadMisuseError(`A hold on thread ${this.name} was released twice.`);
        held = false;
        this.#holds--;
      },
    };
  }

  /** Ends the thread. @throws ThreadMisuseError if it has ended already or holds something. */
  end(): void {
    if (this.#counted === INACTIVE) {
      this.#counted = ENDED;
      return;
    }
    this.#assertFree('end');
    const counted = this.#counted;
    this.#counted = ENDED;
    this.onVoid?.('ended');
    this.#threads.letGo(this);
    this.#threads.end(counted);
  }

  [Symbol.dispose](): void {
    this.end();
  }

  #assertFree(doing: string): void {
    if (this.#counted === ENDED)
      throw new ThreadMisuseError(`Thread ${this.name} has ended: it cannot ${doing}.`);
    if (this.#counted === INACTIVE)
      throw new ThreadMisuseError(`Thread ${this.name} is deactivated: it cannot ${doing}.`);
    if (this.#holds !== 0) {
      throw new ThreadMisuseError(
        `Thread ${this.name} cannot ${doing}: ${this.#holds} of its calls are in flight.`,
      );
    }
  }
}
