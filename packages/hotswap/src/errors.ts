/** Errors of `@k42/hotswap`; all are `K42Error`s with a stable code. A swap that fails has changed nothing. */
import { K42Error } from '@k42/rcu';

/** The phases of a swap, as in the paper's figure 3; an aborted one has gone back to the old object. */
export type PhaseName = 'forward' | 'block' | 'transfer' | 'complete' | 'aborted';

/** The two implementations have no transfer protocol in common. Nothing was touched. */
export class NegotiationError extends K42Error {
  /** What the old object can export, best first. */
  readonly exports: readonly string[];
  /** What the new implementation can import, best first. */
  readonly imports: readonly string[];

  constructor(from: string, to: string, exports: readonly string[], imports: readonly string[]) {
    super(
      'K42_SWAP_NEGOTIATION',
      `${from} exports [${exports.join(', ')}] and ${to} imports [${imports.join(', ')}]: no protocol in common.`,
    );
    this.exports = exports;
    this.imports = imports;
  }
}

/** The object is being swapped already. */
export class SwapInProgressError extends K42Error {
  constructor(coid: number) {
    super('K42_SWAP_IN_PROGRESS', `Object ${coid} is being swapped already.`);
  }
}

/** A swap did not get through before its deadline; the old object serves on. Names what it waited for. */
export class SwapDeadlineError extends K42Error {
  readonly phase: PhaseName;
  /** Processors that had not done their part. */
  readonly processors: readonly number[];

  constructor(coid: number, phase: PhaseName, processors: readonly number[], waitedFor: string) {
    super(
      'K42_SWAP_DEADLINE',
      `The swap of object ${coid} passed its deadline in phase ${phase}, waiting for ${waitedFor}.`,
    );
    this.phase = phase;
    this.processors = processors;
  }
}

/** Exporting or importing state failed; the old object serves on. `cause` is what was thrown. */
export class TransferError extends K42Error {
  readonly processor: number;

  constructor(message: string, processor: number, options?: ErrorOptions) {
    super('K42_SWAP_TRANSFER', `Transfer failed on processor ${processor}: ${message}`, options);
    this.processor = processor;
  }
}

/** The object was destroyed while it was being swapped; the swap was given up first. */
export class SwapDestroyedError extends K42Error {
  constructor(coid: number) {
    super('K42_SWAP_DESTROYED', `Object ${coid} was destroyed during its swap.`);
  }
}

/** More calls were waiting for the swap to end than its queue holds; the swap was given up, the calls went on. */
export class QueueOverflowError extends K42Error {
  constructor(coid: number, bound: number) {
    super('K42_SWAP_QUEUE_OVERFLOW', `More than ${bound} calls were waiting for the swap of object ${coid}.`);
  }
}

/** A processor died while it was moving state; the old object serves on, less what that processor held. */
export class SwapProcessorGoneError extends K42Error {
  readonly processor: number;

  constructor(coid: number, processor: number) {
    super('K42_SWAP_PROCESSOR_GONE', `Processor ${processor} died during the swap of object ${coid}.`);
    this.processor = processor;
  }
}

/** An export or import called an object that is itself transferring its state: the two would wait for each other. */
export class TransferReentryError extends K42Error {
  constructor(coid: number) {
    super('K42_SWAP_REENTRY', `An export or import called object ${coid}, which is transferring its state.`);
  }
}
