/**
 * Diagnostics channels (`node:diagnostics_channel`). Nothing is built or published while nobody listens.
 *
 * | channel | message |
 * |---|---|
 * | `k42:rcu:grace-period` | `{ processor, domain, id, phase: 'begin', waitingFor }`, then `{ ..., phase: 'end', waitedMs }`; one that has nothing to wait for publishes nothing |
 * | `k42:rcu:stall` | a `StallReport`, when a wait for a grace period passes its stall time or its deadline |
 * | `k42:rcu:processor` | `{ processor, seenBy, incarnation, name, event: 'joined' \| 'gone' \| 'left' \| 'buried' }` |
 * | `k42:rcu:callback` | `{ processor, domain, event: 'inherited' \| 'interrupted', target, args }`, for portable callbacks of a dead processor |
 */
import { type Channel, channel } from 'node:diagnostics_channel';

export const channels: Readonly<Record<'gracePeriod' | 'stall' | 'processor' | 'callback', Channel>> = {
  gracePeriod: channel('k42:rcu:grace-period'),
  stall: channel('k42:rcu:stall'),
  processor: channel('k42:rcu:processor'),
  callback: channel('k42:rcu:callback'),
};
