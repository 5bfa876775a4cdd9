/** The interface of tallies alone, as a client may have it that does not know the implementations. */
import { type Coid, defineInterface, handle } from '@k42/clustered';
import type { Tally } from './features.ts';

defineInterface<Tally>('features/tally', { add: 'sync', own: 'sync', total: 'async' });

export function own(coid: Coid<Tally>): number {
  return handle(coid).own();
}
