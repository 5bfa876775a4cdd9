/**
 * Broken on purpose: each breaks one thing that a swap needs, and names the cheapest scene that has to notice.
 *
 * Not among them are lines that a variant can do without, because something else sees to the same thing:
 * - a swap that is decided only once somebody has claimed the root part: whoever begins a swap takes part in it or aborts it by
 *   its death, so that there is always a participant by then;
 * - the look at the decision after a call was queued: until a processor has finished, it is told of the decision in any case;
 * - the wait for a participant's end before its release: the initiator asks for the release only when all have reported;
 * - the withdrawal of a processor that is ready and runs a synchronous call all the same: only at a stop point is it ready, and
 *   there it runs none.
 */
import type { Edit } from './variants.ts';

export interface Mutant {
  readonly name: string;
  readonly scenario: string;
  /** What the scene says when it sees it: caught for another reason is not caught. */
  readonly seen: RegExp;
  readonly edits: readonly Edit[];
}

const one = (file: string, find: string, replace: string): Edit[] => [
  { file: `src/${file}.ts`, find, replace },
];

export const MUTANTS: readonly Mutant[] = [
  // What is on the old object
  {
    name: 'threads from before are not waited for',
    scenario: 'forward:threads',
    seen: /A thread from before the swap was not waited for/,
    edits: one('mediator', 'whenThreadsElapsed(() => {', 'setImmediate(() => {'),
  },
  {
    name: 'BLOCK begins as soon as one processor has no threads left',
    scenario: 'forward:threads',
    seen: /A thread from before the swap was not waited for|A call was held back while a thread elsewhere/,
    edits: one('internal/swapBlock', ' || this.notElapsed().length !== 0) return', ') return'),
  },
  {
    name: 'open calls from before are not waited for',
    scenario: 'forward:openCalls',
    seen: /An open call from before the swap was not waited for/,
    edits: one('mediator', 'if (open === undefined || open.count === 0) {', 'if (open !== null) {'),
  },
  {
    name: 'forwarded calls are not counted',
    scenario: 'forward:forwardedCalls',
    seen: /A forwarded call was not waited for/,
    edits: one('internal/tracked', '    this.#calls.add(tracked);\n', ''),
  },
  {
    name: 'iterators are not counted',
    scenario: 'forward:iterators',
    seen: /An iterator was not waited for/,
    edits: one('internal/tracked', 'open.whenNone(() => this.#end(tracked));', 'this.#end(tracked);'),
  },
  {
    name: 'transferable calls are waited for',
    scenario: 'forward:transferable',
    seen: /Waited \d+ ms for a swap that takes open calls along/,
    edits: one('mediator', "if (waits !== 'transferable') return", 'if (waits !== null) return'),
  },
  {
    name: 'a Rep that is finished goes on deciding',
    scenario: 'forward:keptRep',
    seen: /Waited \d+ ms for a call by a Rep that was kept/,
    edits: one(
      'mediator',
      '    if (this.#isFinished) return redispatch(this.coid, this.sequence, method, args);\n',
      '    void redispatch;\n',
    ),
  },
  // What gets through, and what does not
  {
    name: 'calls are not held back in BLOCK',
    scenario: 'forward:forwardedCalls',
    seen: /A call in BLOCK was not held back/,
    edits: one('mediator', '(declared.completes || isMarked())', 'true'),
  },
  {
    name: 'completing calls are held back',
    scenario: 'forward:completing',
    seen: /Waited \d+ ms for a completing call in BLOCK/,
    edits: one('mediator', '(declared.completes || isMarked())', 'isMarked()'),
  },
  {
    name: 'marks are forgotten',
    scenario: 'forward:nested',
    seen: /Waited \d+ ms for a call that a forwarded call has made/,
    edits: one('internal/marks', 'if (mark.live) return true;', 'void mark.live;'),
  },
  {
    name: 'marks stay on their processor',
    scenario: 'forward:elsewhere',
    seen: /Waited \d+ ms for a call that a forwarded call has made on another processor/,
    edits: one(
      'internal/marks',
      "capture: () => (isInShare() ? 'share' : isMarked() ? 'call' : undefined)",
      'capture: () => undefined',
    ),
  },
  {
    name: 'a mark outlives its call',
    scenario: 'forward:leftBehind',
    seen: /What a forwarded call had left behind was taken for a part of it/,
    edits: one('internal/marks', '    mark.live = false;\n', ''),
  },
  {
    name: 'a marked call in BLOCK does not withdraw',
    scenario: 'forward:withdrawal',
    seen: /A marked call on the old object was not waited for/,
    edits: one(
      'mediator',
      'if (block.inSet() || block.withdraw()) return',
      'if (block.withdraw !== undefined) return',
    ),
  },
  {
    name: 'a share may wait for itself',
    scenario: 'transfer:reentry',
    seen: /Waited \d+ ms for an export that calls its own object/,
    edits: one(
      'mediator',
      'if (phase === PHASE.TRANSFER && isInShare()) return Promise.reject(this.#reentry());',
      '',
    ),
  },
  // The stop point
  {
    name: 'ready without a stop',
    scenario: 'stop:ready',
    seen: /TRANSFER began while a processor was in the midst of a turn/,
    edits: one('mediator', 'if (this.block.synchronous) this.#stopPoint.enter(this);', 'if (false) void 0;'),
  },
  {
    name: 'shares begin while the processor is ready in other swaps',
    scenario: 'stop:othersFirst',
    seen: /A share began while the processor was ready in another swap/,
    edits: one('internal/stopPoint', '        this.#withdrawAll(beganAt, participant);\n', ''),
  },
  {
    name: 'the budget of stops is ignored',
    scenario: 'stop:budget',
    seen: /A processor stopped again before its event loop had run/,
    edits: one('internal/stopPoint', 'performance.now() + milliseconds * RUN_PER_STOP', '0'),
  },
  // The transfer
  {
    name: 'commit without waiting for shares',
    scenario: 'transfer:shares',
    seen: /A swap was decided before every part was moved/,
    edits: one(
      'internal/swapBlock',
      'phase === PHASE.TRANSFER && this.allAtLeast(STAGE.DONE)',
      'phase === PHASE.TRANSFER',
    ),
  },
  {
    name: 'imports do not wait for exports',
    scenario: 'transfer:barrier',
    seen: /An import began before all exports had ended/,
    edits: one(
      'internal/share',
      'if (importsAfterAllExports(rootView(newRoot)) && ',
      'if (importsAfterAllExports === undefined && ',
    ),
  },
  {
    name: 'validated before it is whole',
    scenario: 'transfer:validation',
    seen: /The new object was validated before every part was imported/,
    edits: one('internal/share', 'return this.#block.allAtLeast(STAGE.IMPORTED) ?', 'return true ?'),
  },
  {
    name: 'validation is ignored',
    scenario: 'transfer:invalid',
    seen: /An invalid object was swapped in/,
    edits: one('internal/share', 'if (valid === false) throw', 'if (valid === null) throw'),
  },
  {
    name: 'a latecomer takes no interest',
    scenario: 'transfer:latecomer',
    seen: /A swap was over before the queue of a latecomer was run/,
    edits: one('mediator', '    this.block.interest();\n    this.stepLater();\n', ''),
  },
  {
    name: 'the queue of a latecomer is not run',
    scenario: 'transfer:latecomer',
    seen: /Waited \d+ ms for the call of a latecomer to be answered/,
    edits: one(
      'mediator',
      'const blockedMs = this.#queue.run(',
      'const blockedMs = !this.#joined() ? 0 : this.#queue.run(',
    ),
  },
  {
    name: 'a synchronous latecomer runs on the old object',
    scenario: 'transfer:synchronousLatecomer',
    seen: /A synchronous latecomer (did not wait|ran on the old object)/,
    edits: one(
      'mediator',
      'if (phase === PHASE.FORWARD || phase === PHASE.BLOCK) {',
      'if (phase <= PHASE.TRANSFER) {',
    ),
  },
  {
    name: 'a latecomer takes part in the transfer',
    scenario: 'transfer:synchronousLatecomer',
    seen: /Waited \d+ ms for a synchronous latecomer to be answered/,
    edits: one(
      'internal/swapBlock',
      'phase === PHASE.FORWARD || phase === PHASE.BLOCK ? [phase, set | bit(this.#me)]',
      'phase <= PHASE.TRANSFER ? [phase, set | bit(this.#me)]',
    ),
  },
  {
    name: 'the transfer has no deadline',
    scenario: 'transfer:deadline',
    seen: /Waited \d+ ms for a transfer to pass its deadline/,
    edits: one(
      'mediator',
      '    if (performance.now() - this.#transferSeenAt <= block.transferDeadlineMs) return;\n',
      '    return;\n',
    ),
  },
  {
    name: 'signals are ignored',
    scenario: 'transfer:signal',
    seen: /Waited \d+ ms for a swap to be given up by its signal/,
    edits: one(
      'internal/initiation',
      "    signal?.addEventListener('abort', this.#onAbort, { once: true });\n",
      '',
    ),
  },
  {
    name: 'the others are not told of an abort',
    scenario: 'transfer:signal',
    seen: /Waited \d+ ms for a queued call on another processor to be answered after an abort/,
    edits: one(
      'mediator',
      '  abortHasBegun(): void {\n    this.#swing();\n    this.#announce();\n',
      '  abortHasBegun(): void {\n    this.#swing();\n',
    ),
  },
  {
    name: 'what a late export brings is imported',
    scenario: 'transfer:lateExport',
    seen: /A late export was imported/,
    edits: one(
      'internal/share',
      'while (!this.#isBusy && !this.#block.decided) {',
      'while (!this.#isBusy) {',
    ),
  },
  {
    name: 'objects are freed before a late share has ended',
    scenario: 'transfer:lateShare',
    seen: /An object was freed that a share might still touch/,
    edits: one('internal/share', 'keepRoot(root, ended);', 'void [keepRoot, root, ended];'),
  },
  {
    name: 'freezes are not awaited',
    scenario: 'transfer:freeze',
    seen: /A freeze was not awaited/,
    edits: one(
      'mediator',
      'if (!this.#freezing.isFrozen || !this.canBeReady()) return;',
      'if (!this.canBeReady()) return;',
    ),
  },
  {
    name: 'thaws are forgotten',
    scenario: 'transfer:thaw',
    seen: /Background work went on 0 times after an abort/,
    edits: one('mediator', '    else this.#freezing.undo();\n', ''),
  },
  // What has waited
  {
    name: 'queues run backwards',
    scenario: 'transfer:order',
    seen: /Calls ran in the order 0,4,3,2,1,5/,
    edits: one('internal/queue', 'this.#calls[next] as', 'this.#calls[this.#calls.length - 1 - next] as'),
  },
  {
    name: 'queued calls lose the contexts of their callers',
    scenario: 'transfer:order',
    seen: /Calls ran in the contexts .*, not in their callers'/,
    edits: one('internal/queue', 'inContext: AsyncLocalStorage.snapshot(),', 'inContext: (run) => run(),'),
  },
  {
    name: 'queues are not bounded',
    scenario: 'transfer:overflow',
    seen: /Waited \d+ ms for a swap to be given up for its queue/,
    edits: one('mediator', 'if (this.#queue.length > queueBound)', 'if (this.#queue.length < 0)'),
  },
  {
    name: 'the next swap overtakes what waits for the one before',
    scenario: 'end:earlierQueue',
    seen: /Calls that had waited were overtaken by way of the next swap/,
    edits: one(
      'mediator',
      'if (earlier === undefined || earlier.isFinished) return true;',
      'if (earlier !== null) return true;',
    ),
  },
  // The end
  {
    name: 'ownership passes more than once',
    scenario: 'end:handOver',
    seen: /Ownership passed [2-9] times/,
    edits: one(
      'mediator',
      'if (!block.claimHandOver(predecessor)) return;',
      'block.claimHandOver(predecessor);',
    ),
  },
  {
    name: 'what is decided can be given up',
    scenario: 'end:decidedOnce',
    seen: /A swap that was decided was given up|the new object answers/,
    edits: one('internal/swapBlock', '(phase < PHASE.COMPLETE ?', '(phase <= PHASE.COMPLETE ?'),
  },
  {
    name: 'the slot is left on the Mediator',
    scenario: 'end:slot',
    seen: /The slot was left on the Mediator/,
    edits: one(
      'mediator',
      '      resetSlot(this.coid, this.sequence);\n      // The next',
      '      // The next',
    ),
  },
  {
    name: 'a swap is over when the first processor has done its part',
    scenario: 'end:everybody',
    seen: /A swap was over before every processor had done its part/,
    edits: one(
      'internal/initiation',
      'if (!this.#reports.has(number) && !this.#gone.has(number)) return;',
      'void number;',
    ),
  },
  {
    name: 'release does not wait for threads',
    scenario: 'end:threads',
    seen: /An object was freed while a thread might still use it/,
    edits: one('internal/exchange', 'whenRootsUnused(roots, () => {', 'setImmediate(() => {'),
  },
  {
    name: 'the table is swung from whatever is in it',
    scenario: 'end:swing',
    seen: /The next swap was taken out of the table by the one before/,
    edits: [
      ...one(
        'mediator',
        'swingRoot(this.coid, this.context.rootWord,',
        'swingRoot(this.coid, currentRoot(this.coid),',
      ),
      ...one('mediator', '  holdRoot,\n', '  currentRoot,\n  holdRoot,\n'),
    ],
  },
  {
    name: 'what a refused swap has made is left',
    scenario: 'end:refused',
    seen: /What a refused swap had made was left behind/,
    edits: one('swap', '        reclaimRoot(newRoot);\n', '        void reclaimRoot;\n'),
  },
  // Deaths
  {
    name: 'the dead are not taken out of the sets',
    scenario: 'death:beforeTransfer',
    seen: /Waited \d+ ms for a swap to go on without the dead/,
    edits: one('mediator', 'else if (!block.bury(number))', 'else if (block.bury === undefined)'),
  },
  {
    name: 'a death in a share is taken for one before it',
    scenario: 'death:inShare',
    seen: /A swap went through without a part/,
    edits: one(
      'internal/swapBlock',
      'if (stage !== STAGE.NONE && stage !== STAGE.DONE) return false;',
      'void stage;',
    ),
  },
  {
    name: 'nobody takes over from who has died passing ownership on',
    scenario: 'death:inHandOver',
    seen: /Waited \d+ ms for a swap to go through when a processor has died as it passed ownership on/,
    edits: one('mediator', 'this.#handOver(predecessor)', 'void predecessor'),
  },
  {
    name: 'the swaps of dead initiators are left to themselves',
    scenario: 'death:initiator',
    seen: /Waited \d+ ms for what a dead initiator had made to be freed/,
    edits: one(
      'internal/exchange',
      'of this.journal.takeOver(number)) runGuarded(() => this.#adopt(block));',
      'of this.journal.takeOver(number)) void block;',
    ),
  },
];
