/**
 * A processor's share of a transfer: the parts it exports from the old object and imports into the new one.
 *
 *     NONE -> BEGUN -> EXPORTED -> IMPORTED -> DONE
 *
 * (Model: SHARE, EXPORT, IMPORT.) The part of a Rep is moved on the Rep's own processor; parts in machine memory are claimed by whoever comes first. Each step
 * is taken as soon as it may be: imports that need all exports wait until every participant is EXPORTED, a validation until
 * every one is IMPORTED. How far each has come stands in the swap block, and whoever comes a step further has the others look.
 *
 * All of it runs marked, because it may call other objects that are being swapped. A share that is asynchronous keeps both
 * Roots: when the swap has been aborted meanwhile, clients go on at once, but nothing the share may still touch is reclaimed
 * before it has ended. (It is no thread: other swaps do not wait for it.) What a late export brings is not imported any more.
 */
import { keepRoot, repProcessors, rootView } from '@k42/clustered/interpose';
import { isThenable } from '@k42/rcu';
import { ExportError, ImportError, ValidationError } from '../errors.ts';
import type { PartReport } from '../report.ts';
import { asSwappable, importsAfterAllExports, type Part, partToString } from '../swappable.ts';
import { STAGE } from './layout.ts';
import { runShare } from './marks.ts';
import { now, type SwapBlock } from './swapBlock.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

interface Moving {
  readonly part: Part;
  readonly report: Writable<PartReport>;
  exported: unknown;
}

/** What is to be done, and the stage that is reached then. */
type Step = readonly [work: () => unknown, then: number];

/** What a share tells its mediator. */
export interface ShareListener {
  /** It has come to a stage that other processors wait for, or in a turn of its own to any: there may be something to do. */
  advanced(): void;
  failed(error: unknown): void;
}

export class Share {
  /** What has been moved here, for the report. */
  readonly parts: PartReport[] = [];
  readonly #block: SwapBlock;
  readonly #processor: number;
  readonly #listener: ShareListener;
  #stage: number = STAGE.NONE;
  #isBusy = false;
  #moving: readonly Moving[] = [];
  /** When it began and ended, in milliseconds since the epoch. */
  beganAt: number | undefined;
  endedAt: number | undefined;

  constructor(block: SwapBlock, processor: number, listener: ShareListener) {
    this.#block = block;
    this.#processor = processor;
    this.#listener = listener;
  }

  /** Takes every step that may be taken now. Harmless when there is none. */
  advance(): void {
    while (!this.#isBusy && !this.#block.decided) {
      let step: Step | undefined;
      try {
        step = this.#next();
      } catch (cause) {
        // The new Root cannot be made here.
        this.#fail(new ImportError(this.#block.coid, this.#processor, cause, 'the new Root'));
        return;
      }
      if (step === undefined) return;
      this.#take(...step);
    }
  }

  #next(): Step | undefined {
    const { newRoot } = this.#block;
    switch (this.#stage) {
      case STAGE.NONE:
        this.beganAt = now();
        this.#reach(STAGE.BEGUN, false);
        return [() => this.#exportAll(), STAGE.EXPORTED];
      case STAGE.EXPORTED:
        if (importsAfterAllExports(rootView(newRoot)) && !this.#block.allAtLeast(STAGE.EXPORTED))
          return undefined;
        return [() => this.#importAll(), STAGE.IMPORTED];
      case STAGE.IMPORTED:
        if (asSwappable(rootView(newRoot)).validate === undefined) return [() => undefined, STAGE.DONE];
        return this.#block.allAtLeast(STAGE.IMPORTED) ? [() => this.#validate(), STAGE.DONE] : undefined;
      default:
        return undefined;
    }
  }

  /** Does one step, and notes that it is done when it is. */
  #take(work: () => unknown, then: number): void {
    let result: unknown;
    try {
      result = runShare(work);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (!isThenable(result)) {
      this.#reach(then, false);
      return;
    }
    this.#isBusy = true;
    const ended = Promise.resolve(result).then(
      () => {
        this.#isBusy = false;
        this.#reach(then, true);
      },
      (error: unknown) => this.#fail(error),
    );
    for (const root of [this.#block.oldRoot, this.#block.newRoot]) keepRoot(root, ended);
  }

  #reach(stage: number, inTurnOfItsOwn: boolean): void {
    this.#stage = stage;
    if (stage === STAGE.DONE) this.endedAt = now();
    this.#block.reached(stage);
    if (inTurnOfItsOwn || this.#isWaitedFor(stage)) this.#listener.advanced();
  }

  /** Whether others may wait for this stage. For DONE they do, but whoever advances this share may decide the swap at once. */
  #isWaitedFor(stage: number): boolean {
    const root = (): ReturnType<typeof rootView> => rootView(this.#block.newRoot);
    if (stage === STAGE.EXPORTED) return importsAfterAllExports(root());
    return stage === STAGE.IMPORTED && asSwappable(root()).validate !== undefined;
  }

  get isDone(): boolean {
    return this.#stage === STAGE.DONE;
  }

  /** For good: whatever comes of it later is dropped. */
  #fail(error: unknown): void {
    this.#isBusy = true;
    this.#listener.failed(error);
  }

  #exportAll(): unknown {
    const root = asSwappable(rootView(this.#block.oldRoot));
    const { protocol } = this.#block;
    const moving: Moving[] = [];
    this.#moving = moving;
    return this.#all([...this.#claim()], (part) => {
      const report: Writable<PartReport> = {
        part,
        processor: this.#processor,
        exportMs: 0,
        importMs: 0,
        bytes: 0,
      };
      const since = performance.now();
      const keep = (exported: unknown): void => {
        report.exportMs = performance.now() - since;
        if (exported === undefined) return;
        report.bytes = root.bytesOf?.(protocol, part, exported) ?? bytesIn(exported);
        this.parts.push(report);
        moving.push({ part, report, exported });
      };
      return this.#then(
        () => root.exportPart(protocol, part),
        keep,
        (cause) => new ExportError(this.#block.coid, this.#processor, cause, partToString(part)),
      );
    });
  }

  #importAll(): unknown {
    const root = asSwappable(rootView(this.#block.newRoot));
    const moving = this.#moving;
    this.#moving = [];
    return this.#all(moving, ({ part, report, exported }) => {
      const since = performance.now();
      return this.#then(
        () => root.importPart(this.#block.protocol, part, exported),
        () => {
          report.importMs = performance.now() - since;
        },
        (cause) => new ImportError(this.#block.coid, this.#processor, cause, partToString(part)),
      );
    });
  }

  #validate(): unknown {
    const { coid, newRoot, protocol } = this.#block;
    const root = asSwappable(rootView(newRoot));
    return this.#then(
      () => root.validate?.(protocol),
      (valid) => {
        if (valid === false) throw new Error('validate() gave false');
      },
      (cause) => new ValidationError(coid, this.#processor, cause),
    );
  }

  /** The parts this processor moves: its Rep's, and of those in machine memory whatever nobody has claimed. */
  *#claim(): Iterable<Part> {
    const block = this.#block;
    if (block.claimRoot()) yield { kind: 'root' };
    const old = rootView(block.oldRoot);
    // The number may have had another owner when the Rep was made.
    const hasRep = old.repIfAny() !== undefined && repProcessors(block.oldRoot).includes(this.#processor);
    if (hasRep) yield { kind: 'rep', processor: this.#processor };
    for (const { share, offset } of old.context.allShares())
      if (block.claimShare(share)) yield { kind: 'share', share, offset };
  }

  /** Does something for each, all at once; fails after the last one that has begun has ended. */
  #all<T>(items: readonly T[], work: (item: T) => unknown): unknown {
    const promises: PromiseLike<unknown>[] = [];
    for (const item of items) {
      try {
        const result = work(item);
        if (isThenable(result)) promises.push(result);
      } catch (error) {
        // Those that have begun are still at work on what the swap's end would reclaim.
        if (promises.length === 0) throw error;
        promises.push(Promise.reject(error));
        break;
      }
    }
    if (promises.length === 0) return undefined;
    return Promise.allSettled(promises).then((outcomes) => {
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    });
  }

  /** Calls a hook of an implementation, and goes on with what it gives. */
  #then(hook: () => unknown, goOn: (result: unknown) => void, failed: (cause: unknown) => Error): unknown {
    try {
      const result = hook();
      if (!isThenable(result)) return goOn(result);
      if (this.#block.synchronous) {
        // The processors are stopped: nothing asynchronous can end. Its own failure, if any, is not the one to report.
        result.then(undefined, () => {});
        throw new TypeError('an interface with synchronous methods needs synchronous exports and imports');
      }
      return result.then(goOn).then(undefined, (cause: unknown) => {
        throw failed(cause);
      });
    } catch (cause) {
      throw failed(cause);
    }
  }
}

function bytesIn(exported: unknown): number {
  if (typeof exported === 'string') return exported.length * 2;
  if (ArrayBuffer.isView(exported)) return exported.byteLength;
  if (exported instanceof ArrayBuffer || exported instanceof SharedArrayBuffer) return exported.byteLength;
  return 0;
}
