/**
 * What can go wrong in a benchmark, one class per failure.
 *
 * Every failure has a stable `code` that scripts may compare, an exit status, and the data needed to act on it. What
 * the operating system reports (`ENOSPC`, `EACCES`, ...) arrives from any processor as an ordinary error, possibly
 * after a trip through a message port that keeps no more than its text; `toBenchError` recognises it by its errno all
 * the same and names the directory it happened in.
 */
import { K42Error } from '@k42/rcu';

/** The base of every error of the benchmarks; codes are `K42_BENCH_*`, or those of the layer that failed. */
export class BenchError extends K42Error {
  /** What the process exits with: 1 for a run that failed, 2 for a wrong command line. */
  readonly exitStatus: number;

  constructor(code: string, message: string, options: { cause?: unknown; exitStatus?: number } = {}) {
    super(code, message, 'cause' in options ? { cause: options.cause } : undefined);
    this.exitStatus = options.exitStatus ?? 1;
  }
}

/** An option has a value it cannot have, or does not exist. */
export class BenchOptionError extends BenchError {
  readonly option: string;

  constructor(option: string, message: string) {
    super('K42_BENCH_OPTION', message, { exitStatus: 2 });
    this.option = option;
  }
}

/** No suite has that name. */
export class BenchSuiteError extends BenchError {
  readonly suite: string;

  constructor(suite: string, known: readonly string[]) {
    super('K42_BENCH_SUITE', `there is no suite '${suite}'; there are: ${known.join(', ')}`, {
      exitStatus: 2,
    });
    this.suite = suite;
  }
}

/** The directory for the files cannot be read, written or entered. */
export class BenchDirectoryError extends BenchError {
  readonly directory: string;

  constructor(directory: string, cause: unknown) {
    super('K42_BENCH_DIRECTORY', `cannot use directory ${directory}: ${messageOf(cause)}`, { cause });
    this.directory = directory;
  }
}

/** The disk (or the quota) is full. */
export class BenchSpaceError extends BenchError {
  readonly directory: string;

  constructor(directory: string, cause: unknown) {
    super('K42_BENCH_NO_SPACE', `no space left for the files under ${directory}: ${messageOf(cause)}`, {
      cause,
    });
    this.directory = directory;
  }
}

/** Any other refusal of the operating system while files are worked on. */
export class BenchIoError extends BenchError {
  readonly directory: string;
  readonly errno: string;

  constructor(directory: string, errno: string, cause: unknown) {
    super('K42_BENCH_IO', `working on the files under ${directory}: ${messageOf(cause)}`, { cause });
    this.directory = directory;
    this.errno = errno;
  }
}

/** An instance was told to stop, because another one has failed. */
export class BenchStoppedError extends BenchError {
  constructor() {
    super('K42_BENCH_STOPPED', 'the instance was stopped before its end');
  }
}

/** No instance has completed anything for a long time. */
export class BenchStalledError extends BenchError {
  readonly completed: readonly number[];

  constructor(what: string, stallMs: number, completed: readonly number[]) {
    const state = completed.map((units, processor) => `processor ${processor}: ${units}`).join(', ');
    super(
      'K42_BENCH_STALLED',
      `${what}: nothing was completed for ${stallMs / 1000} s (units of work: ${state})`,
    );
    this.completed = completed;
  }
}

/** The workload ran, but what it computed is wrong: the document says what, and this makes the run fail. */
export class BenchWrongResultError extends BenchError {
  readonly claims: readonly string[];

  constructor(claims: readonly string[], details: readonly string[]) {
    super('K42_BENCH_WRONG_RESULT', [`not as it must be: ${claims.join(', ')}`, ...details].join('\n  '));
    this.claims = claims;
  }
}

/** The user or the system asked the process to end. */
export class BenchInterruptedError extends BenchError {
  constructor(signal: string, exitStatus: number) {
    super('K42_BENCH_INTERRUPTED', `ended by ${signal}; temporary files are removed`, { exitStatus });
  }
}

const SPACE_ERRNOS: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/**
 * The failure that `error` stands for, given the directory that the user named for the files.
 * Errors with a `K42_*` code of their own, of whatever layer, keep it.
 */
export function toBenchError(error: unknown, directory: string): BenchError {
  if (error instanceof BenchError) return error;
  const errno = errnoOf(error);
  if (errno !== undefined && SPACE_ERRNOS.has(errno)) return new BenchSpaceError(directory, error);
  if (errno !== undefined) return new BenchIoError(directory, errno, error);
  const code = codeOf(error);
  if (code?.startsWith('K42_')) return new BenchError(code, messageOf(error), { cause: error });
  return new BenchError('K42_BENCH_INTERNAL', `unexpected: ${messageOf(error)}`, { cause: error });
}

/** `ENOSPC` and the like, from the error or what caused it; from its text where a message port dropped the code. */
function errnoOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const errno = /^E[A-Z0-9]+$/.exec(codeOf(at) ?? '')?.[0] ?? /^(E[A-Z0-9]+): /.exec(at.message)?.[1];
    if (errno !== undefined && !errno.startsWith('ERR')) return errno;
  }
  return undefined;
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
