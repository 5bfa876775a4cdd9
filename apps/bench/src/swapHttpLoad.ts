/**
 * The process that makes the load of the measurement `http`: told by its parent what to do and when to stop, it answers with
 * all that it has seen.
 *
 * A process of its own, so that neither its garbage nor its turns delay the servers, or belong to what is measured.
 */
import { type LoadRequest, type LoadSeen, startLoad } from './swap/http/load.ts';

/** What the parent sends. */
export type LoadOrder = { readonly begin: LoadRequest } | { readonly end: true };
/** What it gets: one word when the load has begun, and everything at the end. */
export type LoadReport = { readonly begun: true } | { readonly seen: LoadSeen };

let stop: (() => void) | undefined;

function report(message: LoadReport, whenSent: () => void = () => {}): void {
  process.send?.(message, whenSent);
}

process.on('message', (order: LoadOrder) => {
  if ('end' in order) {
    stop?.();
    return;
  }
  const load = startLoad(order.begin);
  stop = load.stop;
  report({ begun: true });
  load.seen.then((seen) => report({ seen }, () => process.disconnect?.()));
});
// Nobody is left to tell.
process.on('disconnect', () => process.exit());
