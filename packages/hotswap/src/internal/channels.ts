/**
 * Diagnostics channels (`node:diagnostics_channel`). Nothing is built or published while nobody listens.
 *
 * | channel | message |
 * |---|---|
 * | `k42:hotswap:swap` | on the initiator: `{ event: 'begin', coid, from, to, protocol, initiator }`, then `{ event: 'end', ..., report }` or `{ event: 'end', ..., error }` |
 * | `k42:hotswap:phase` | on each processor concerned, when it first sees a phase: `{ processor, coid, phase }` |
 */
import { type Channel, channel } from 'node:diagnostics_channel';

export const channels: Readonly<Record<'swap' | 'phase', Channel>> = {
  swap: channel('k42:hotswap:swap'),
  phase: channel('k42:hotswap:phase'),
};
