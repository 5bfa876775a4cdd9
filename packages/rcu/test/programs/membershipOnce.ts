/** A program that loads on the main thread and nowhere else. */
import { isMainThread } from 'node:worker_threads';

if (!isMainThread) throw Object.assign(new RangeError('not on a worker'), { code: 'ONLY_MAIN' });

export function hello(): string {
  return 'hello';
}
