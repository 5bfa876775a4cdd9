/**
 * Broken on purpose: each breaks one thing that the algorithm needs, and names the cheapest scenario that has to notice.
 */
import type { Edit } from './variants.ts';

export interface Mutant {
  readonly name: string;
  readonly scenario: string;
  /** What the scenario says when it sees it: caught for another reason is not caught. */
  readonly seen: RegExp;
  readonly edits: readonly Edit[];
}

const one = (file: string, find: string, replace: string): Edit[] => [{ file, find, replace }];

const THREADS = 'src/internal/threads.ts';
const THREAD = 'src/internal/thread.ts';
const GRACE_PERIODS = 'src/internal/gracePeriods.ts';
const DOMAIN = 'src/internal/domain.ts';
const CALLBACKS = 'src/internal/callbacks.ts';
const PORTABLE = 'src/internal/portable.ts';
const MEMBERSHIP = 'src/internal/membership.ts';

const HELD = /settled while processor \d held a thread/;
const AGED = /a grace period ended too early/;
const WAITED = /Waited \d+ ms for (a callback|a retired|a portable|a grace period|all waits)|Polled for/;

export const MUTANTS: readonly Mutant[] = [
  // Swaps
  {
    name: 'one swap instead of two, on the processor that asks',
    scenario: 'slow-readers',
    seen: HELD,
    edits: one(THREADS, 'return this.#swaps + 1;', 'return this.#swaps;'),
  },
  {
    name: 'one swap instead of two, on the others',
    scenario: 'slow-readers',
    seen: HELD,
    edits: one(GRACE_PERIODS, 'oldest: swaps + 1 }', 'oldest: swaps }'),
  },
  {
    name: 'one swap too few, seen by a message pattern only',
    scenario: 'message-passing',
    seen: /forbidden outcome/,
    edits: one(GRACE_PERIODS, 'oldest: swaps + 1 }', 'oldest: swaps }'),
  },
  {
    name: 'one swap too few, seen by the pipe only',
    scenario: 'pipe',
    seen: AGED,
    edits: one(GRACE_PERIODS, 'oldest: swaps + 1 }', 'oldest: swaps }'),
  },
  {
    name: 'a swap although the generation it makes current is not empty',
    scenario: 'pinned',
    seen: /swaps of its processor since it had begun/,
    edits: one(THREADS, ' || this.#swaps - this.#oldest === this.#generations - 1', ''),
  },
  {
    name: 'a closed generation is taken for empty that is not',
    scenario: 'slow-readers',
    seen: HELD,
    edits: one(THREADS, ' && this.#counts[this.#oldest % this.#generations] === 0', ''),
  },
  {
    name: 'a lost notification: the thread that empties a generation does not have it swapped',
    scenario: 'nested',
    seen: /Waited .* the grace period to end when all of its guards have/,
    edits: one(THREADS, 'if (left === 0 && this.#waiters.length !== 0) this.#scheduleAdvance();', ''),
  },
  // What others see
  {
    name: 'remote advance: a processor that is asked answers at once',
    scenario: 'slow-readers',
    seen: HELD,
    edits: one(
      DOMAIN,
      'localDomain(domain).threads.whenReached(oldest, () => processor.post(from, ANSWER, payload));',
      'void oldest, domain, processor.post(from, ANSWER, payload);',
    ),
  },
  {
    name: 'remote advance, seen by a phased change of state only',
    scenario: 'phased-change',
    seen: /forbidden outcome/,
    edits: one(
      DOMAIN,
      'localDomain(domain).threads.whenReached(oldest, () => processor.post(from, ANSWER, payload));',
      'void oldest, domain, processor.post(from, ANSWER, payload);',
    ),
  },
  {
    name: 'BUSY is never set',
    scenario: 'slow-readers',
    seen: HELD,
    edits: one(
      THREADS,
      'if (this.#live++ === 0) Atomics.store(this.#words, this.#busyIndex, 1);',
      'this.#live++;',
    ),
  },
  {
    name: 'BUSY is cleared while a thread is left',
    scenario: 'slow-readers',
    seen: HELD,
    edits: one(THREADS, 'if (--this.#live === 0)', 'if (--this.#live <= 1)'),
  },
  {
    name: 'a processor does not look at its own threads',
    scenario: 'slow-readers',
    seen: HELD,
    edits: one(GRACE_PERIODS, 'if (this.#threads.live !== 0)', 'if (false)'),
  },
  {
    name: 'a cookie is over when one of its processors is',
    scenario: 'slow-readers',
    seen: HELD,
    edits: one('src/generations.ts', 'cookie.targets.every(', 'cookie.targets.some('),
  },
  // Batches
  {
    name: 'a batch is stamped late: requests are added to one that has been stamped',
    scenario: 'pipe',
    seen: AGED,
    edits: [
      ...one(
        GRACE_PERIODS,
        '    this.#collecting = undefined;\n    this.#batchInProgress = true;',
        '    this.#batchInProgress = true;',
      ),
      ...one(
        GRACE_PERIODS,
        '      this.#batchInProgress = false;\n',
        '      this.#batchInProgress = false;\n      this.#collecting = undefined;\n',
      ),
    ],
  },
  // Updaters and readers
  {
    name: 'publish before initialise',
    scenario: 'remove-reuse',
    seen: /forbidden outcome/,
    edits: [
      ...one(
        'test/programs/tortureLitmus.ts',
        '    for (let index = 0; index < PAYLOAD_WORDS; index++) payload[index] = part.round;\n',
        '',
      ),
      ...one(
        'test/programs/tortureLitmus.ts',
        'const old = rcuAssign(part.words.i32, pointer, element + 1);\n',
        'const old = rcuAssign(part.words.i32, pointer, element + 1);\n' +
          '    for (let index = 0; index < PAYLOAD_WORDS; index++) payload[index] = part.round;\n',
      ),
    ],
  },
  {
    name: 'no grace period before reuse',
    scenario: 'remove-reuse',
    seen: /forbidden outcome/,
    edits: one(
      'test/programs/tortureLitmus.ts',
      '    await rcu.synchronize();\n    if (old !== 0)',
      '    if (old !== 0)',
    ),
  },
  {
    name: 'a ring without grace periods',
    scenario: 'ring',
    seen: /forbidden outcome/,
    edits: one(
      'test/programs/tortureLitmus.ts',
      'await rcu.synchronize({ expedited: part.random(2) === 0 });',
      '',
    ),
  },
  {
    name: 'a thread that throws is not counted out',
    scenario: 'slow-readers',
    seen: WAITED,
    edits: one(
      THREADS,
      '      this.#depth--;\n      this.end(generation);\n      throw error;',
      '      this.#depth--;\n      throw error;',
    ),
  },
  {
    name: 'a thread that rejects is not counted out',
    scenario: 'slow-readers',
    seen: WAITED,
    edits: one(THREADS, '      threads.ended(this);\n      throw error;', '      throw error;'),
  },
  {
    name: 'a quiescent state changes the generation of a thread without counting it',
    scenario: 'slow-readers',
    seen: WAITED,
    edits: one(THREADS, 'if (generation === this.#current) return generation;', 'return this.#current;'),
  },
  {
    name: 'a quiescent state is announced while calls are held',
    scenario: 'pipe',
    seen: /holds calls could announce a quiescent state/,
    edits: one(THREAD, "    this.#assertFree('announce a quiescent state');\n", ''),
  },
  // Callbacks
  {
    name: 'drained does not wait',
    scenario: 'flood',
    seen: /K42_CALLBACK_OVERFLOW|CallbackOverflowError|more callbacks were pending/,
    edits: one(CALLBACKS, '      if (excess <= 0) return;', '      if (excess <= 1e9) return;'),
  },
  {
    name: 'a barrier does not ask the other processors',
    scenario: 'barriers',
    seen: /barrier settled (while|before)/,
    edits: one(DOMAIN, '...others.map((number) => part.askBarrier(number))', ''),
  },
  {
    name: 'a machine that closes leaves barriers unsettled',
    scenario: 'teardown',
    seen: /Waited .* for a barrier to settle whose machine has been closed/,
    edits: one(DOMAIN, 'for (const barrier of barriers) barrier.failed(error);', 'void barriers;'),
  },
  {
    name: 'a machine that closes does not finish callbacks',
    scenario: 'teardown',
    seen: /handed in before close|all barriers to settle after the machine has closed/,
    edits: one(
      DOMAIN,
      '!processor.closed && parts().some((part) => part.callbacks.hasWork)',
      '(void parts, false)',
    ),
  },
  // Deaths
  {
    name: 'grace periods go on waiting for the dead',
    scenario: 'death',
    seen: /Waited .* for (a grace period to end although|a grace period of domain machine)/,
    edits: one(
      GRACE_PERIODS,
      'for (const id of [...this.#inProgress.keys()]) this.#elapsed(id, processor);',
      'void processor;',
    ),
  },
  {
    name: 'a death ends grace periods that wait for others too',
    scenario: 'death',
    seen: /ended when one of the two processors it waited for had died/,
    edits: one(
      GRACE_PERIODS,
      'for (const id of [...this.#inProgress.keys()]) this.#elapsed(id, processor);',
      'for (const [id, { waitingFor }] of [...this.#inProgress])\n' +
        '      if (waitingFor.has(processor)) for (const other of [...waitingFor.keys()]) this.#elapsed(id, other);',
    ),
  },
  {
    name: 'a cookie waits for the dead',
    scenario: 'death',
    seen: /Waited .* for a cookie to be over/,
    edits: one(
      GRACE_PERIODS,
      'if (!this.#processor.isPresent(processor, incarnation)) return true;',
      'if (!this.#processor.isLive(processor)) return false;\n    void incarnation;',
    ),
  },
  {
    name: 'a cookie waits for the successor of the dead',
    scenario: 'death',
    seen: /waits for the successor of the dead/,
    edits: one(
      GRACE_PERIODS,
      'if (!this.#processor.isPresent(processor, incarnation)) return true;',
      'if (!this.#processor.isLive(processor)) return true;\n    void incarnation;',
    ),
  },
  {
    name: 'a barrier goes on waiting for the dead',
    scenario: 'death',
    seen: /Waited .* for (a barrier to settle although|a grace period of domain machine)/,
    edits: one(DOMAIN, 'if (waitingFor === number) this.barrierDone(id);', 'void [id, waitingFor, number];'),
  },
  {
    name: 'a portable callback does not say that it has begun: it runs twice',
    scenario: 'death',
    seen: /callbacks ran 2,2,2,/,
    edits: one(
      PORTABLE,
      '    Atomics.store(memory.i64, (line + DOMAIN.BEGUN) / 8, BigInt(id));\n    try',
      '    try',
    ),
  },
  {
    name: 'a portable callback in which its processor died is run again',
    scenario: 'death',
    seen: /callbacks ran .* in one of them/,
    edits: one(
      PORTABLE,
      'else if (guarded.id > ended) this.#interrupted(number, guarded);',
      'else if (guarded.id > ended) this.#run(number, guarded);',
    ),
  },
  {
    name: 'the guardian forgets the dead',
    scenario: 'death',
    seen: /callbacks ran 1,1,1,0,0/,
    edits: one(PORTABLE, 'processor.onGone((number) => this.#inherit(number));', 'void this.#inherit;'),
  },
  {
    name: 'the guardian is told some time after a portable callback has been handed in',
    scenario: 'kill',
    seen: /known as handed in, ran 0 times, not interrupted/,
    edits: one(
      PORTABLE,
      'processor.post(0, GUARD, { domain: domain.name, id, target, args: kept } satisfies Guarded);',
      'setTimeout(() => processor.post(0, GUARD, { domain: domain.name, id, target, args: kept } satisfies Guarded), 2);',
    ),
  },
  {
    name: 'a successor is taken to have begun what its predecessor had',
    scenario: 'death',
    seen: /callbacks ran .* after the successor's death/,
    edits: one(DOMAIN, 'Atomics.store(memory.i32, word, 0);', 'void word;'),
  },
  {
    name: 'the dead are buried before all have let go of them',
    scenario: 'death',
    seen: /given out again that a processor had not let go of/,
    edits: one(
      MEMBERSHIP,
      '    if (waitingFor.size === 0) this.#buried(burial);\n',
      '    this.#buried(burial);\n',
    ),
  },
];
