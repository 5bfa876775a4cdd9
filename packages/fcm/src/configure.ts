/**
 * Settings of a machine's file cache, and how full it is.
 */
import { configurePool, framePool } from './internal/framePool.ts';
import { PAGE_BYTES } from './internal/layout.ts';

export interface FcmOptions {
  /**
   * Bytes of file pages that the machine can cache, default a quarter of machine memory, which it is taken from. Some
   * 1.6 % more go into headers. Reserved at first use, committed by the system as it is touched.
   */
  readonly poolBytes: number;
}

/** How full the frame pool of the machine is. */
export interface PoolStatistics {
  readonly poolBytes: number;
  readonly usedBytes: number;
}

/**
 * Sets up the file cache of the machine. Once, before the first file is opened on any processor; again, there or on
 * another, with the same values only.
 * @throws InvalidArgumentError, FcmConfigurationError, OutOfMachineMemoryError, NotAttachedError
 */
export function configureFcm(options: FcmOptions): void {
  configurePool(options.poolBytes);
}

/** Frames in use, of all files and processors together. A moment's figure. @throws NotAttachedError */
export function poolStatistics(): PoolStatistics {
  const pool = framePool();
  return { poolBytes: pool.total * PAGE_BYTES, usedBytes: pool.used() * PAGE_BYTES };
}
