/**
 * Flags of `open`, as `node:fs` takes them, and what they mean to a cached file.
 *
 * The descriptor belongs to the cache, not to the one who opened the file: it must be able to read pages in although the
 * file was opened for writing only, must not append by itself (the cache knows where the end is), and must not
 * truncate behind the cache's back.
 */
import { constants } from 'node:fs';
import { InvalidArgumentError } from '@k42/rcu';

/** As in `node:fs`: `'r'`, `'r+'`, `'w'`, `'w+'`, `'a'`, `'a+'`, with `x` to insist on a new file; or a number. */
export type OpenFlags = string | number;

export interface ParsedFlags {
  /** What to open the descriptor with. */
  readonly descriptor: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly truncate: boolean;
  readonly append: boolean;
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = constants;
const ACCESS = O_RDONLY | O_WRONLY | O_RDWR;

const BY_NAME: ReadonlyMap<string, number> = new Map([
  ['r', O_RDONLY],
  ['r+', O_RDWR],
  ['w', O_WRONLY | O_CREAT | O_TRUNC],
  ['wx', O_WRONLY | O_CREAT | O_TRUNC | O_EXCL],
  ['w+', O_RDWR | O_CREAT | O_TRUNC],
  ['wx+', O_RDWR | O_CREAT | O_TRUNC | O_EXCL],
  ['a', O_WRONLY | O_CREAT | O_APPEND],
  ['ax', O_WRONLY | O_CREAT | O_APPEND | O_EXCL],
  ['a+', O_RDWR | O_CREAT | O_APPEND],
  ['ax+', O_RDWR | O_CREAT | O_APPEND | O_EXCL],
]);

/** @throws InvalidArgumentError for flags it does not know, or that a cache cannot honour (synchronous I/O). */
export function parseFlags(flags: OpenFlags): ParsedFlags {
  const bits = typeof flags === 'number' ? flags : BY_NAME.get(flags);
  if (
    bits === undefined ||
    !Number.isInteger(bits) ||
    (bits & ~(ACCESS | O_CREAT | O_EXCL | O_TRUNC | O_APPEND)) !== 0
  )
    throw new InvalidArgumentError(
      `A cached file is opened with ${[...BY_NAME.keys()].join(', ')}, or O_CREAT, O_EXCL, O_TRUNC and O_APPEND with an access mode; not with ${JSON.stringify(flags)}.`,
    );
  const access = bits & ACCESS;
  const writable = access === O_WRONLY || access === O_RDWR;
  return {
    descriptor: (bits & (O_CREAT | O_EXCL)) | (writable ? O_RDWR : O_RDONLY),
    readable: access === O_RDONLY || access === O_RDWR,
    writable,
    truncate: writable && (bits & O_TRUNC) !== 0,
    append: (bits & O_APPEND) !== 0,
  };
}
