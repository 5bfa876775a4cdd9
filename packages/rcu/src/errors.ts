/**
 * Errors of `@k42/rcu`, and the base class of every error in the project.
 *
 * One class per failure, each with a stable `code`; the data a caller needs to act on (which processor, which lock,
 * what was waited for) are fields, not only words in the message.
 */
import { type StallReport, stallToString } from './internal/stallReport.ts';

/** Base of all errors thrown by the K42 packages. `code` is stable across versions; `message` is not. */
export class K42Error extends Error {
  /** Stable identifier such as `K42_LOCK_DEADLINE`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** An argument is outside what the function accepts. Nothing has been changed. */
export class InvalidArgumentError extends K42Error {
  constructor(message: string, options?: ErrorOptions) {
    super('K42_INVALID_ARGUMENT', message, options);
  }
}

/** The calling JavaScript thread is not a processor of any machine. */
export class NotAttachedError extends K42Error {
  constructor() {
    super(
      'K42_NOT_ATTACHED',
      'This thread is not a processor of a Machine; boot one with Machine.boot() first.',
    );
  }
}

/** The calling JavaScript thread already is a processor; a thread belongs to one machine at a time. */
export class AlreadyAttachedError extends K42Error {
  constructor(number: number) {
    super(
      'K42_ALREADY_ATTACHED',
      `This thread already is processor ${number} of a Machine; close that one first.`,
    );
  }
}

/** Two copies of a K42 package were loaded into one thread: they would have two tables, two sets of generations. */
export class DuplicatePackageError extends K42Error {
  constructor(name: string, first: string, second: string) {
    super(
      'K42_DUPLICATE_PACKAGE',
      `Two copies of ${name} were loaded into one thread (${first} and ${second}); make the tree resolve to one.`,
    );
  }
}

/** Machine memory has no room for the request. Nothing was allocated. */
export class OutOfMachineMemoryError extends K42Error {
  readonly requestedBytes: number;

  constructor(requestedBytes: number, totalBytes: number) {
    super(
      'K42_OUT_OF_MACHINE_MEMORY',
      `Machine memory (${totalBytes} bytes) has no room for ${requestedBytes} more bytes; raise memoryBytes in Machine.boot().`,
    );
    this.requestedBytes = requestedBytes;
  }
}

/** The directory of named blocks, domains among them, is full. Nothing was made. */
export class TooManyNamesError extends K42Error {
  constructor(name: string, max: number) {
    super(
      'K42_TOO_MANY_NAMES',
      `Machine memory has room for ${max} named blocks and none for ${JSON.stringify(name)}.`,
    );
  }
}

/** A processor is not there (never booted, exited or terminated), so what was asked of it cannot happen. */
export class ProcessorGoneError extends K42Error {
  readonly processor: number;

  constructor(processor: number, doing: string) {
    super('K42_PROCESSOR_GONE', `Processor ${processor} is gone while ${doing}.`);
    this.processor = processor;
  }
}

/** The machine is closing or closed. */
export class MachineClosedError extends K42Error {
  constructor(doing: string, options?: ErrorOptions) {
    super('K42_MACHINE_CLOSED', `The machine is closed or closing while ${doing}.`, options);
  }
}

/** A processor was asked to leave its machine while it is leaving. */
export class AlreadyLeavingError extends K42Error {
  constructor(number: number) {
    super('K42_ALREADY_LEAVING', `Processor ${number} is leaving its machine already.`);
  }
}

/** A processor did not start: its worker or one of its modules failed to load. `cause` is the original error. */
export class BootError extends K42Error {
  readonly processor: number;

  constructor(processor: number, message: string, options?: ErrorOptions) {
    super('K42_BOOT_FAILED', `Processor ${processor} did not boot: ${message}`, options);
    this.processor = processor;
  }
}

/** A thread could not join a machine. Its number, if it had one already, is free again or will be. */
export class JoinError extends K42Error {
  constructor(reason: string, options?: ErrorOptions) {
    super('K42_JOIN_FAILED', `Joining the machine failed: ${reason}.`, options);
  }
}

/** Every processor number the machine has room for is taken, or was and has not been let go of by everybody yet. */
export class MachineFullError extends K42Error {
  readonly processors: number;

  constructor(processors: number) {
    super(
      'K42_MACHINE_FULL',
      `The machine has room for ${processors} processors and no number is free; raise maxProcessors in Machine.boot().`,
    );
    this.processors = processors;
  }
}

/** A wait reached its deadline; the message names what was waited for. */
export class DeadlineError extends K42Error {
  readonly deadlineMs: number;

  constructor(waitedFor: string, deadlineMs: number, code = 'K42_DEADLINE') {
    super(code, `Waited ${deadlineMs} ms for ${waitedFor}.`);
    this.deadlineMs = deadlineMs;
  }
}

/** A grace period, or the callbacks behind a barrier, did not end in time; `report` says what held it up. */
export class GracePeriodDeadlineError extends DeadlineError {
  readonly report: StallReport;

  constructor(domain: string, report: StallReport, deadlineMs: number) {
    const waitedFor = `a grace period of domain ${domain}, held up by ${stallToString(report)}`;
    super(waitedFor, deadlineMs, 'K42_GRACE_PERIOD_DEADLINE');
    this.report = report;
  }
}

/** A lock could not be taken before its deadline. */
export class LockDeadlineError extends K42Error {
  /** Number of the processor that held the lock when the wait was given up; -1 if it was free just then. */
  readonly holder: number;

  constructor(lock: string, holder: number, deadlineMs: number) {
    super('K42_LOCK_DEADLINE', `Waited ${deadlineMs} ms for ${lock}, held by processor ${holder}.`);
    this.holder = holder;
  }
}

/** A processor tried to lock what it already holds, or to unlock what it does not hold. */
export class LockMisuseError extends K42Error {
  constructor(message: string) {
    super('K42_LOCK_MISUSE', message);
  }
}

/** `synchronize` was called inside a thread it would have to wait for: it could never return. */
export class GracePeriodDeadlockError extends K42Error {
  constructor() {
    super(
      'K42_GRACE_PERIOD_DEADLOCK',
      'A grace period was waited for inside a thread, which it has to wait for itself; use call() there.',
    );
  }
}

/** A thread was used against its state: ended twice, activated while active, quiescent while its calls are in flight. */
export class ThreadMisuseError extends K42Error {
  constructor(message: string) {
    super('K42_THREAD_MISUSE', message);
  }
}

/**
 * Prove mode: a reference was used where no thread keeps it from being reclaimed; or a call went on when its thread had ended,
 * then `cause` is the place of the call.
 */
export class OutsideThreadError extends K42Error {
  constructor(what: string, options?: ErrorOptions) {
    super('K42_OUTSIDE_THREAD', `${what}.`, options);
  }
}

/** So many callbacks wait for their grace period that no more are taken. The one refused was not handed in. */
export class CallbackOverflowError extends K42Error {
  readonly max: number;

  constructor(max: number) {
    super(
      'K42_CALLBACK_OVERFLOW',
      `${max} callbacks wait to be run; heed the answer of call() and await drained().`,
    );
    this.max = max;
  }
}

/** An object was retired a second time before it was reclaimed. */
export class DoubleRetireError extends K42Error {
  constructor() {
    super('K42_DOUBLE_RETIRE', 'This object is retired already and has not been reclaimed yet.');
  }
}

/** A module has no such exported function. */
export class NoSuchExportError extends K42Error {
  constructor(module: string, name: string) {
    super('K42_NO_SUCH_EXPORT', `Module ${module} exports no function named ${JSON.stringify(name)}.`);
  }
}

/** An error as it crosses from one processor to another: structured clone would lose its class, code and fields. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly fields: Record<string, unknown>;
  readonly cause: WireError | undefined;
}

/** Causes further down than this are dropped: a chain of causes may be a ring. */
const CAUSES_MAX = 8;

/**
 * Takes an error (or whatever was thrown) apart for posting. Fields that cannot be cloned are dropped. Never throws: what
 * was thrown may be of any shape, and be spiteful.
 */
export function errorToWire(thrown: unknown, depth = 0): WireError {
  try {
    return takeApart(thrown, depth);
  } catch {
    const message = 'Something was thrown that cannot be looked at.';
    return { name: 'Error', message, stack: undefined, fields: {}, cause: undefined };
  }
}

function takeApart(thrown: unknown, depth: number): WireError {
  if (!(thrown instanceof Error)) {
    return { name: 'Error', message: String(thrown), stack: undefined, fields: {}, cause: undefined };
  }
  const fields: Record<string, unknown> = {};
  for (const key of Object.keys(thrown)) {
    if (key === 'name' || key === 'cause') continue;
    try {
      fields[key] = structuredClone(Reflect.get(thrown, key));
    } catch {
      // Not clonable (a function, a port), or not to be read: the message and the code still say what happened.
    }
  }
  const { name, message, stack, cause } = thrown;
  return {
    name: String(name),
    message: String(message),
    stack: stack === undefined ? undefined : String(stack),
    fields,
    cause: cause === undefined || depth === CAUSES_MAX ? undefined : errorToWire(cause, depth + 1),
  };
}

/** Rebuilds an error from its posted form: same name, message, stack, code and fields; a plain `Error` by class. */
export function errorFromWire(wire: WireError): Error {
  const options = wire.cause === undefined ? undefined : { cause: errorFromWire(wire.cause) };
  const error = new Error(wire.message, options);
  error.name = wire.name;
  if (wire.stack !== undefined) error.stack = wire.stack;
  return Object.assign(error, wire.fields);
}
