/**
 * What a PostMark run can be told, with the defaults of PostMark 1.51, and the bounds within which it is defined.
 *
 * Bad values throw here, at the boundary, before anything is created. The lower bound of 1 byte for sizes is part of
 * the definition: the file table knows an empty slot by its size 0.
 */
import { BenchOptionError } from '../errors.ts';

export interface PostmarkOptions {
  /** Files in the pool at the start. */
  readonly number: number;
  readonly transactions: number;
  /** Of the first instance; instance i has `seed + i`. */
  readonly seed: number;
  readonly sizeLowBytes: number;
  readonly sizeHighBytes: number;
  readonly readBlockBytes: number;
  readonly writeBlockBytes: number;
  /** Of ten first halves of a transaction, how many read (the others append); -1 leaves the halves out. */
  readonly biasRead: number;
  /** Of ten second halves of a transaction, how many create (the others delete); -1 leaves the halves out. */
  readonly biasCreate: number;
  readonly subdirectories: number;
}

export const DEFAULT_OPTIONS: PostmarkOptions = {
  number: 500,
  transactions: 500,
  seed: 42,
  sizeLowBytes: 500,
  sizeHighBytes: 10_000,
  readBlockBytes: 512,
  writeBlockBytes: 512,
  biasRead: 5,
  biasCreate: 5,
  subdirectories: 0,
};

/** The swap word of a machine has room for this many processors. */
export const PROCESSORS_MAX = 60;

const MEBIBYTE = 2 ** 20;
const BYTES_MAX = 256 * MEBIBYTE;
const SEED_MAX = 2 ** 32 - 1;

/** The name of each option on the command line, and the integers it can be. */
const BOUNDS: { readonly [K in keyof PostmarkOptions]: { option: string; min: number; max: number } } = {
  number: { option: '--number', min: 1, max: 10_000_000 },
  transactions: { option: '--transactions', min: 0, max: 2 ** 31 - 1 },
  seed: { option: '--seed', min: 0, max: SEED_MAX },
  sizeLowBytes: { option: '--size-low', min: 1, max: BYTES_MAX },
  sizeHighBytes: { option: '--size-high', min: 1, max: BYTES_MAX },
  readBlockBytes: { option: '--read', min: 1, max: BYTES_MAX },
  writeBlockBytes: { option: '--write', min: 1, max: BYTES_MAX },
  biasRead: { option: '--bias-read', min: -1, max: 10 },
  biasCreate: { option: '--bias-create', min: -1, max: 10 },
  subdirectories: { option: '--subdirectories', min: 0, max: 100_000 },
};

/** @throws BenchOptionError if an option is out of its bounds, or two do not fit together */
export function checkOptions(options: PostmarkOptions, processors: number): void {
  for (const [key, { option, min, max }] of Object.entries(BOUNDS)) {
    checkInteger(option, options[key as keyof PostmarkOptions], min, max);
  }
  checkInteger('--processors', processors, 1, PROCESSORS_MAX);
  if (options.sizeLowBytes > options.sizeHighBytes) {
    const range = `${options.sizeLowBytes} > ${options.sizeHighBytes}`;
    throw new BenchOptionError('--size-low', `--size-low must not exceed --size-high (${range})`);
  }
  if (options.seed + processors - 1 > SEED_MAX) {
    throw new BenchOptionError('--seed', `--seed + processors - 1 must not exceed ${SEED_MAX}`);
  }
}

/** A decimal integer as a user writes it: no fraction, no exponent, no blanks, nothing that `Number` would wave through. */
export function parseInteger(option: string, text: string): number {
  if (!/^-?\d{1,15}$/.test(text))
    throw new BenchOptionError(option, `${option} must be an integer, not '${text}'`);
  return Number(text);
}

function checkInteger(option: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new BenchOptionError(option, `${option} must be an integer from ${min} to ${max}, not ${value}`);
}
