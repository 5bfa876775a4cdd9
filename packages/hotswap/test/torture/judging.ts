/**
 * What has to be true of the log of a schedule, whatever the order of its moves (`interleavings.ts`).
 */
import type { Happening } from '../programs/interleaved.ts';

export function check(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const ENDS: readonly Happening['what'][] = ['abort', 'destroy'];
const AGAIN: readonly Happening['what'][] = ['export', 'relinquish'];

/** No call is on an object while or after its state is moved, unless the swap was given up, nor before it owns what it has. */
export function judgeTransfers(log: readonly Happening[], object: number): void {
  const calls = (from: number, to: number, root: number): Happening[] =>
    log
      .slice(from, to)
      .filter((entry) => (entry.what === 'begin' || entry.what === 'end') && entry.root === root);
  for (const [at, entry] of log.entries()) {
    if (entry.what === 'export') {
      const { root } = entry;
      // Until it is known that the swap has completed, or that it has been given up: then the same Root may be exported again.
      const next = log
        .slice(at + 1)
        .find(
          ({ what, ...rest }) =>
            ENDS.includes(what) || (AGAIN.includes(what) && 'root' in rest && rest.root === root),
        );
      // A destruction gives the swap up some turns after it was asked for.
      const isDoomed = log.slice(0, at).some(({ what }) => what === 'destroy');
      let until = next === undefined ? log.length : log.indexOf(next);
      if (next?.what === 'relinquish') until = log.length;
      else if (isDoomed) until = at;
      const wrong = calls(at, until, root)[0];
      check(wrong === undefined, `${JSON.stringify(wrong)} on object ${object} while or after it was moved`);
    }
    if (entry.what === 'adopt') {
      const { root } = entry;
      check(calls(0, at, root).length === 0, `a call ran on object ${object} before it owned its state`);
      const times = log.filter((other) => other.what === 'adopt' && other.root === root).length;
      check(times === 1, `object ${object} was adopted ${times} times`);
      check(log[at + 1]?.what === 'relinquish', `object ${object} was adopted, and not relinquished`);
    }
  }
}

/** Background work has stopped where the state is moved, and goes on where the swap was given up. */
export function judgeFreezes(log: readonly Happening[], object: number): void {
  const frozen = new Set<number>();
  for (const { what, ...rest } of log) {
    const root = 'root' in rest ? rest.root : 0;
    if (what === 'frozen') frozen.add(root);
    else if (what === 'export')
      check(frozen.has(root), `object ${object} was moved, and its background work went on`);
    else if (what === 'relinquish') frozen.delete(root);
    else if (what === 'thaw') check(frozen.delete(root), `object ${object} was thawed, and not frozen`);
  }
  check(frozen.size === 0, `the background work of object ${object} has not gone on`);
}
