/**
 * `@k42/fcm`: a file cache that all processors of a machine share. One file cache manager per open file, a Clustered
 * Object in two implementations, exchangeable while the file is in use.
 */
import { claimPackage } from '@k42/rcu';

export * from './configure.ts';
export { DistributedFcm } from './distributedFcm.ts';
export * from './errors.ts';
export { type FcmStatistics, FileCacheManager } from './fileCacheManager.ts';
export {
  CachedFile,
  type CloseOptions,
  type OpenFlags,
  type OpenOptions,
  openFile,
  openFileCount,
  openFileSync,
} from './files.ts';
export { SharedFcm } from './sharedFcm.ts';

claimPackage('@k42/fcm', import.meta.url);
