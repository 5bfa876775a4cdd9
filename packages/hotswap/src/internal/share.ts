/**
 * A processor's share of a transfer: the parts it exports from the old object and imports into the new one.
 *
 * The root part is claimed by whoever comes first; the part of a Rep is moved on the Rep's own processor. All of it runs
 * marked, because an export may call other objects that are being swapped. An asynchronous share keeps both Roots: when the
 * swap has been aborted meanwhile, clients go on at once, but nothing the share may still touch is reclaimed before it
 * has ended. (It is no thread: other swaps do not wait for it.) What a late export brings is not imported any more.
 */
import { keepRoot, repProcessors, rootView } from '@k42/clustered/interpose';
import { isThenable } from '@k42/rcu';
import { asSwappable, type Part } from '../swappable.ts';
import { runShare } from './marks.ts';
import type { SwapBlock } from './swapBlock.ts';

export class Share {
  readonly #block: SwapBlock;
  readonly #processor: number;
  #begun = false;

  constructor(block: SwapBlock, processor: number) {
    this.#block = block;
    this.#processor = processor;
  }

  get begun(): boolean {
    return this.#begun;
  }

  /** Moves the parts; `done` or `failed` is called when that is over, in this turn if everything was synchronous. */
  begin(done: () => void, failed: (error: unknown) => void): void {
    this.#begun = true;
    let moved: unknown;
    try {
      moved = runShare(() => this.#move());
    } catch (error) {
      failed(error);
      return;
    }
    if (!isThenable(moved)) {
      done();
      return;
    }
    const ended = Promise.resolve(moved.then(done, failed));
    for (const root of [this.#block.oldRoot, this.#block.newRoot]) keepRoot(root, ended);
  }

  #move(): unknown {
    const block = this.#block;
    const claimed = block.claimRootPart();
    const parts: Part[] = [];
    if (claimed) parts.push({ kind: 'root' });
    // The number may have had another owner when the Rep was made.
    const hasRep = rootView(block.oldRoot).repIfAny() !== undefined;
    if (hasRep && repProcessors(block.oldRoot).includes(this.#processor)) {
      parts.push({ kind: 'rep', processor: this.#processor });
    }
    if (parts.length === 0) return undefined;
    const moved = parts.map((part) => this.#movePart(part));
    const finish = (): void => {
      if (claimed) block.rootPartDone();
    };
    if (!moved.some(isThenable)) {
      finish();
      return undefined;
    }
    if (block.synchronous) {
      // The processors are stopped: nothing asynchronous can end. Its own failure, if any, is not the one to report.
      for (const promise of moved) if (isThenable(promise)) promise.then(undefined, () => {});
      throw new TypeError('an interface with synchronous methods needs synchronous exports and imports');
    }
    // All of them, also when one has failed: the share has not ended before the last one has.
    return Promise.allSettled(moved).then((outcomes) => {
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
      finish();
    });
  }

  #movePart(part: Part): unknown {
    const block = this.#block;
    const from = asSwappable(rootView(block.oldRoot));
    const to = asSwappable(rootView(block.newRoot));
    const take = (exported: unknown): unknown => {
      if (exported === undefined || block.decided) return undefined;
      return to.importPart(block.protocol, part, exported);
    };
    const exported = from.exportPart(block.protocol, part);
    return isThenable(exported) ? exported.then(take) : take(exported);
  }
}
