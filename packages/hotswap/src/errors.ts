/**
 * Errors of `@k42/hotswap`; all are `K42Error`s with a stable code. A swap that fails has changed nothing.
 *
 * Those that can come from another processor are rebuilt here as what they were (`reviveSwapError`): what was thrown there
 * is their `cause`, by name, message, code and fields.
 */
import { errorFromWire, K42Error, type WireError } from '@k42/rcu';
import { type Hindrance, hindranceToString } from './hindrance.ts';

/** The phases of a swap, as in the paper's figure 3; an aborted one has gone back to the old object. */
export type PhaseName = 'forward' | 'block' | 'transfer' | 'complete' | 'aborted';

/** Where a swap was when it failed: `prepare` is before anything could be seen of it. */
export type FailedPhase = 'prepare' | PhaseName;

interface Where {
  readonly coid: number;
  readonly phase: FailedPhase;
  /** The processor where it happened, if it was one. */
  readonly processor?: number | undefined;
}

/** Base of all errors with which a swap fails: the old object serves on, nothing is left behind, a retry is possible. */
export class SwapError extends K42Error {
  readonly coid: number;
  readonly phase: FailedPhase;
  readonly processor: number | undefined;

  constructor(code: string, message: string, { coid, phase, processor }: Where, options?: ErrorOptions) {
    super(code, message, options);
    this.coid = coid;
    this.phase = phase;
    this.processor = processor;
  }
}

/** The two implementations have no transfer protocol in common. Nothing of the object was touched. */
export class NegotiationError extends SwapError {
  /** What the old object can export, best first. */
  readonly exports: readonly string[];
  /** What the new implementation can import, best first. */
  readonly imports: readonly string[];

  constructor(
    coid: number,
    from: string,
    to: string,
    exports: readonly string[],
    imports: readonly string[],
  ) {
    super(
      'K42_SWAP_NEGOTIATION',
      `${from} exports [${exports.join(', ')}] and ${to} imports [${imports.join(', ')}]: no protocol in common.`,
      { coid, phase: 'prepare' },
    );
    this.exports = exports;
    this.imports = imports;
  }
}

/** The new implementation is not to be had on every processor: a module does not load, or does not define it. */
export class SwapModuleError extends SwapError {
  constructor(where: Where, message: string, options?: ErrorOptions) {
    super('K42_SWAP_MODULE', message, where, options);
  }
}

/** The object is being swapped already. Nothing was touched. */
export class SwapInProgressError extends SwapError {
  constructor(coid: number) {
    super('K42_SWAP_IN_PROGRESS', `Object ${coid} is being swapped already.`, { coid, phase: 'prepare' });
  }
}

/** A swap did not get through before its deadline. Names what it waited for. */
export class SwapDeadlineError extends SwapError {
  /** Processors that had not done their part. */
  readonly processors: readonly number[];
  /** What held them up, processor by processor; those that did not answer are marked as such. */
  readonly hindrances: readonly Hindrance[];

  constructor(coid: number, phase: FailedPhase, hindrances: readonly Hindrance[], waitedFor?: string) {
    const what = waitedFor ?? hindrances.map(hindranceToString).join('; ');
    super(
      'K42_SWAP_DEADLINE',
      `The swap of object ${coid} passed its deadline in phase ${phase}, waiting for ${what === '' ? 'its last step' : what}.`,
      { coid, phase, processor: hindrances[0]?.processor },
    );
    this.hindrances = hindrances;
    this.processors = hindrances.map(({ processor }) => processor);
  }
}

/** The signal given to a swap was raised before the swap was decided. `cause` is the signal's reason. */
export class SwapAbortedError extends SwapError {
  constructor(coid: number, phase: FailedPhase, reason: unknown) {
    super(
      'K42_SWAP_ABORTED',
      `The swap of object ${coid} was given up in phase ${phase}: its signal was raised.`,
      { coid, phase },
      { cause: reason },
    );
  }
}

type Step = 'freeze' | 'export' | 'import' | 'validation';

const STEPS: Readonly<Record<Step, readonly [code: string, what: string, phase: PhaseName]>> = {
  freeze: ['K42_SWAP_FREEZE', 'Freezing', 'block'],
  export: ['K42_SWAP_EXPORT', 'Exporting', 'transfer'],
  import: ['K42_SWAP_IMPORT', 'Importing', 'transfer'],
  validation: ['K42_SWAP_VALIDATION', 'Validating', 'transfer'],
};

/** What an implementation was asked to do in a swap it did not do: base of the four below. `cause` is what was thrown. */
export class TransferError extends SwapError {
  constructor(step: Step, coid: number, processor: number, cause: unknown, part?: string) {
    const [code, what, phase] = STEPS[step];
    const message = cause instanceof Error ? cause.message : String(cause);
    super(
      code,
      `${what}${part === undefined ? '' : ` ${part}`} of object ${coid} failed on processor ${processor}: ${message}`,
      { coid, phase, processor },
      { cause },
    );
  }
}

/** The old object could not stop its background work. */
export class FreezeError extends TransferError {
  constructor(coid: number, processor: number, cause: unknown) {
    super('freeze', coid, processor, cause);
  }
}

/** Exporting a part failed. */
export class ExportError extends TransferError {
  constructor(coid: number, processor: number, cause: unknown, part: string) {
    super('export', coid, processor, cause, part);
  }
}

/** Importing a part failed. */
export class ImportError extends TransferError {
  constructor(coid: number, processor: number, cause: unknown, part: string) {
    super('import', coid, processor, cause, part);
  }
}

/** The new object found that it is not as it should be. */
export class ValidationError extends TransferError {
  constructor(coid: number, processor: number, cause: unknown) {
    super('validation', coid, processor, cause);
  }
}

/** A step of the swap threw on a processor: a Root that cannot be made there, say. `cause` is what was thrown. */
export class SwapStepError extends SwapError {
  constructor(where: Where, cause: unknown) {
    const message = cause instanceof Error ? cause.message : String(cause);
    super(
      'K42_SWAP_STEP',
      `A step of the swap of object ${where.coid} failed on processor ${where.processor}: ${message}`,
      where,
      { cause },
    );
  }
}

/** The object was destroyed while it was being swapped; the swap was given up first. */
export class SwapDestroyedError extends SwapError {
  constructor(coid: number, phase: FailedPhase) {
    super('K42_SWAP_DESTROYED', `Object ${coid} was destroyed during its swap.`, { coid, phase });
  }
}

/** More calls were waiting for the swap to end than its queue holds; the swap was given up, the calls went on. */
export class QueueOverflowError extends SwapError {
  constructor(coid: number, processor: number, bound: number) {
    super(
      'K42_SWAP_QUEUE_OVERFLOW',
      `More than ${bound} calls were waiting on processor ${processor} for the swap of object ${coid}.`,
      { coid, phase: 'block', processor },
    );
  }
}

/** A processor died or left in the midst of the swap: while it was moving state, or as the one that began it. */
export class SwapProcessorGoneError extends SwapError {
  constructor(coid: number, phase: FailedPhase, processor: number, doing = 'moving its state') {
    super('K42_SWAP_PROCESSOR_GONE', `Processor ${processor} went while it was ${doing} (object ${coid}).`, {
      coid,
      phase,
      processor,
    });
  }
}

/** An export or import called an object that is itself transferring its state: the two would wait for each other. */
export class TransferReentryError extends SwapError {
  constructor(coid: number, processor: number) {
    super(
      'K42_SWAP_REENTRY',
      `An export or import on processor ${processor} called object ${coid}, which is transferring its state.`,
      { coid, phase: 'transfer', processor },
    );
  }
}

const CLASSES: Readonly<Record<string, { readonly prototype: SwapError }>> = {
  K42_SWAP_MODULE: SwapModuleError,
  K42_SWAP_DEADLINE: SwapDeadlineError,
  K42_SWAP_ABORTED: SwapAbortedError,
  K42_SWAP_FREEZE: FreezeError,
  K42_SWAP_EXPORT: ExportError,
  K42_SWAP_IMPORT: ImportError,
  K42_SWAP_VALIDATION: ValidationError,
  K42_SWAP_STEP: SwapStepError,
  K42_SWAP_DESTROYED: SwapDestroyedError,
  K42_SWAP_QUEUE_OVERFLOW: QueueOverflowError,
  K42_SWAP_PROCESSOR_GONE: SwapProcessorGoneError,
  K42_SWAP_REENTRY: TransferReentryError,
};

/** The error another processor gave up a swap for, of its own class again. */
export function reviveSwapError(wire: WireError): Error {
  const error = errorFromWire(wire);
  const revived = CLASSES[String(Reflect.get(wire.fields, 'code'))];
  return revived === undefined ? error : (Object.setPrototypeOf(error, revived.prototype) as Error);
}
