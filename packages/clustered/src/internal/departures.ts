/**
 * What Reps have in their own heap when their processor leaves in good order.
 *
 * The Root of each says (`depart`) what of it has to survive. It goes to the host in one message per object, and the
 * host's view of the Root takes it over (`inherit`): under the entry's lock, as in a miss, so that the object is there. The
 * processor's goodbye is posted after these messages, so the host has them first.
 */
import { runGuarded } from '@k42/rcu';
import { Root } from '../root.ts';
import { STATE } from './layout.ts';
import type { Objects } from './objects.ts';
import type { Named } from './round.ts';

const INHERIT = 'clustered/inherit';

interface Legacy extends Named {
  readonly contribution: unknown;
}

/** Has Reps hand over what they have when this processor departs, and the host take it over. */
export function handOverOnDeparture(own: Objects): void {
  const { processor, gtt, ltt, records } = own;
  processor.onDeparture(() => {
    for (const slot of ltt.slots()) {
      const { $coid: coid, $sequence: sequence } = slot;
      // Destroyed meanwhile: this processor is asked before the record goes, and answers no more after this turn.
      if (gtt.sequence(coid) !== sequence || gtt.state(coid) !== STATE.LIVE) continue;
      // As a miss: nobody exchanges the Root meanwhile, and who does so afterwards sees that something is on its way.
      gtt.readLock(coid);
      try {
        runGuarded(() => settleStandIn(own, coid));
        const word = gtt.root(coid);
        const root = records.viewIfAny(word);
        if (root === undefined || root.depart === Root.prototype.depart) continue;
        runGuarded(() => handOver(own, { coid, sequence, word }, root));
        records.forget(word);
      } finally {
        gtt.readUnlock(coid);
      }
      // The processor may yet have to do something, which may lead to a call: on a Rep that has nothing yet, and departs next.
      own.reset(slot);
    }
  });
  processor.onSystemMessage(INHERIT, (from, payload) => {
    const legacy = payload as Legacy;
    // In a turn of its own: it runs user code, and this may be a stop point.
    own.inheriting.begin();
    setImmediate(() => {
      runGuarded(() => inherit(own, legacy, from));
      own.inheriting.end();
    });
  });
}

/** A Root that stands in for another gives up its place: what this processor has belongs to that other one. */
function settleStandIn({ gtt, records }: Objects, coid: number): void {
  const word = gtt.root(coid);
  if (records.peek(word).standsIn) records.view(word).standDown();
}

/** Whatever goes wrong with one object is that object's loss alone. */
function handOver({ processor, records }: Objects, named: Named, root: Root<object>): void {
  const { word } = named;
  let isPosted = false;
  // Before it is out of the set: whoever gathers meanwhile begins anew, and waits for the host to have it.
  records.markDeparted(word);
  try {
    const contribution = root.depart();
    if (contribution === undefined) return;
    // The host may have it before this goes on.
    records.unmarkRep(word);
    processor.post(0, INHERIT, { ...named, contribution } satisfies Legacy);
    isPosted = true;
  } finally {
    records.unmarkRep(word);
    // Nothing is on its way.
    if (!isPosted) records.markInherited(word);
  }
}

function inherit({ gtt, records }: Objects, legacy: Legacy, from: number): void {
  const { coid, sequence, word, contribution } = legacy;
  gtt.readLock(coid);
  try {
    const isThere = gtt.sequence(coid) === sequence && gtt.state(coid) === STATE.LIVE;
    if (!isThere) return;
    if (gtt.root(coid) !== word) {
      process.emitWarning(
        `What processor ${from} had of object ${coid} is lost: the object was exchanged while it departed.`,
        'K42Warning',
      );
      return;
    }
    // This view must not outlive the object.
    gtt.touch(coid);
    try {
      records.view(word).inherit(contribution, from);
    } finally {
      records.markInherited(word);
    }
  } finally {
    gtt.readUnlock(coid);
  }
}
