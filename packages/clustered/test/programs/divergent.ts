/** The "same" implementation with another state on each processor, as two versions of a module would have it. */

import { isMainThread } from 'node:worker_threads';
import {
  type Coid,
  create,
  defineImplementation,
  defineInterface,
  handle,
  type Implementation,
} from '@k42/clustered';

export interface Divergent {
  ping(): void;
}

export const Divergent: Implementation<Divergent> = defineImplementation<Divergent>({
  name: 'interfaces/divergent@1',
  interface: defineInterface<Divergent>('interfaces/divergent', { ping: 'sync' }),
  distribution: 'shared',
  stateBytes: isMainThread ? 8 : 16,
  Rep: class implements Divergent {
    ping(): void {}
  },
});

export function createHere(): void {
  create(Divergent);
}

export function callHere(coid: Coid<Divergent>): void {
  handle(coid).ping();
}
