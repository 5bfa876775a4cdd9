/** Errors of `@k42/fcm`; all are `K42Error`s with a stable code. What `node:fs` throws passes through as it is. */
import { K42Error } from '@k42/rcu';

/** No frame is free for a page that has to be cached. Nothing was changed. */
export class PoolExhaustedError extends K42Error {
  /** Frames that were needed at once. */
  readonly needed: number;

  constructor(needed: number, frames: number) {
    super(
      'K42_FCM_POOL_EXHAUSTED',
      `The frame pool (${frames} frames) has no ${needed} free frames; raise poolBytes in configureFcm().`,
    );
    this.needed = needed;
  }
}

/** The machine's file cache has been set up already, in another way. */
export class FcmConfigurationError extends K42Error {
  constructor(asked: number, actual: number) {
    super(
      'K42_FCM_CONFIGURATION',
      `The frame pool of this machine has ${actual} frames already, not ${asked}; configureFcm() comes before the first open.`,
    );
  }
}

/** Dirty pages could not be written. They stay dirty: nothing is lost, and a later flush or close tries them again. */
export class WriteBackError extends K42Error {
  /** Code of the system's error, such as `ENOSPC`; `cause` is the error itself. */
  readonly errno: string | undefined;
  /** Pages that this write-back has written. */
  readonly pagesWritten: number;
  /** Pages of the file that are dirty now. */
  readonly pagesDirty: number;

  constructor(cause: unknown, pagesWritten: number, pagesDirty: number) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super('K42_FCM_WRITE_BACK', `Write-back failed, ${pagesDirty} pages stay dirty: ${reason}`, { cause });
    this.errno = errnoOf(cause);
    this.pagesWritten = pagesWritten;
    this.pagesDirty = pagesDirty;
  }
}

/** A synchronous write-back met an asynchronous one that this very processor has begun: await that one first. */
export class WriteBackBusyError extends K42Error {
  constructor() {
    super(
      'K42_FCM_WRITE_BACK_BUSY',
      'An asynchronous write-back of this file, begun on this processor, is under way; await it before a synchronous one.',
    );
  }
}

/** Somebody has held a frame, or the write-back of a file, for too long. */
export class FcmDeadlineError extends K42Error {
  readonly deadlineMs: number;

  constructor(waitedFor: string, deadlineMs: number) {
    super('K42_FCM_DEADLINE', `Waited ${deadlineMs} ms for ${waitedFor}.`);
    this.deadlineMs = deadlineMs;
  }
}

/** The file has been closed, or is being closed. */
export class FileClosedError extends K42Error {
  constructor(path: string) {
    super('K42_FCM_CLOSED', `${path} is closed.`);
  }
}

/** `closeSync` was called while asynchronous operations on the file are under way. */
export class FileBusyError extends K42Error {
  readonly pending: number;

  constructor(path: string, pending: number) {
    super(
      'K42_FCM_BUSY',
      `${path} has ${pending} asynchronous operations under way; await them, or close().`,
    );
    this.pending = pending;
  }
}

/** The file was opened for reading only, or for writing only. */
export class FileAccessError extends K42Error {
  constructor(path: string, doing: string) {
    super('K42_FCM_ACCESS', `${path} is not open for ${doing}.`);
  }
}

/** Only regular files can be cached. */
export class FileTypeError extends K42Error {
  constructor(path: string) {
    super('K42_FCM_FILE_TYPE', `${path} is no regular file.`);
  }
}

/** A file would become larger than the cache can number its pages. Nothing was changed. */
export class FileTooLargeError extends K42Error {
  constructor(bytes: number, bytesMax: number) {
    super('K42_FCM_FILE_TOO_LARGE', `A file of ${bytes} bytes exceeds ${bytesMax} bytes.`);
  }
}

function errnoOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !('code' in cause)) return undefined;
  return typeof cause.code === 'string' ? cause.code : undefined;
}
