/**
 * Broken on purpose: each breaks one thing that the algorithms need, and names the cheapest scenario that has to notice.
 */
import type { Edit } from './variants.ts';

export interface Mutant {
  readonly name: string;
  readonly scenario: string;
  /** What the scenario says when it sees it: caught for another reason is not caught. */
  readonly seen: RegExp;
  readonly edits: readonly Edit[];
}

const one = (file: string, find: string, replace: string): Edit[] => [
  { file: `src/internal/${file}.ts`, find, replace },
];

export const MUTANTS: readonly Mutant[] = [
  // Destruction
  {
    name: 'no grace period before a number is free',
    scenario: 'life:untouchedThreads',
    seen: /A number was free while a thread might still use it/,
    edits: one('destruction', 'rcu.call(() => {', 'setImmediate(() => {'),
  },
  {
    name: 'retire asks nobody but the destroyer',
    scenario: 'life:goneEverywhere',
    seen: /A kept handle of processor \d outlived its object/,
    edits: one(
      'destruction',
      'doomed.touched = members.of(gtt.touched(coid));',
      'doomed.touched = [this.#processor.number];',
    ),
  },
  {
    name: 'a slot that is made is not noted',
    scenario: 'life:goneEverywhere',
    seen: /A kept handle of processor \d outlived its object/,
    edits: one('objects', '      this.gtt.touch(coid);\n', ''),
  },
  {
    name: 'retire does not wait for threads',
    scenario: 'life:callsEndFirst',
    seen: /an asynchronous call was not waited for/,
    edits: one(
      'objects',
      'if (kept.length === 0) whenThreadsElapsed(callback);',
      'if (kept.length === 0) callback();',
    ),
  },
  {
    name: 'retire does not wait for open calls',
    scenario: 'life:callsEndFirst',
    seen: /a waiting call was not waited for/,
    edits: one('destruction', 'if (open !== undefined && !open.isOver)', 'if (open === undefined)'),
  },
  {
    name: 'retire does not wait for kept Roots',
    scenario: 'life:callsEndFirst',
    seen: /use of a kept Root was not waited for/,
    edits: [
      { file: 'src/interpose.ts', find: 'objects().keep(word, until);', replace: 'void [word, until];' },
    ],
  },
  {
    name: 'the sequence number stays',
    scenario: 'coids',
    seen: /Stored number \d+ was another object's/,
    edits: [
      ...one('gtt', '(Atomics.load(this.#words, at) + 1) % SEQUENCE_RANGE', 'Atomics.load(this.#words, at)'),
      // Not to be taken for the last one.
      ...one('objects', '    if (this.gtt.sequence(coid) === 0) return;\n', ''),
    ],
  },
  {
    name: 'a destruction takes whatever object has the number by then',
    scenario: 'coids',
    seen: /it was destroyed|is in use/,
    edits: one(
      'objects',
      '    if (this.gtt.state(coid) !== STATE.LIVE) throw new ObjectGoneError(coid);\n    return sequence;',
      '    return sequence;',
    ),
  },
  {
    name: 'the views of others are not forgotten',
    scenario: 'phases',
    seen: /Waited \d+ ms for everything to be gone; .*"reps":[1-9]/,
    edits: one('destruction', 'this.#processor.post(number, FORGET, theirs);', 'void theirs;'),
  },
  {
    name: 'records are not freed',
    scenario: 'phases',
    seen: /Waited \d+ ms for everything to be gone; .*"bytes":[1-9]/,
    edits: one('objects', '    this.records.free(word);\n', ''),
  },
  {
    name: 'the view of a record that is used again is not counted out',
    scenario: 'stress',
    seen: /Waited \d+ ms for everything to be gone; .*"reps":[1-9]/,
    edits: one('records', 'if (known !== undefined) this.forget(known.context.rootWord);', ''),
  },
  // The lock of an entry
  {
    name: 'a miss does not care for a writer',
    scenario: 'life:writersKeepMissesOut',
    seen: /A miss got into an entry that is held for writing/,
    edits: one('gtt', '& LOCK_WRITER) !== 0n) {', '& LOCK_WRITER) === -1n) {'),
  },
  {
    name: 'a writer does not care for misses',
    scenario: 'life:missesKeepWritersOut',
    seen: /An object was marked during a miss/,
    edits: one('gtt', 'if ((seen & LOCK_READERS) !== 0n) return false;', ''),
  },
  {
    name: 'an object is published before its Root is',
    scenario: 'life:wholeWhenFound',
    seen: /An object was found before it was whole/,
    edits: one(
      'gtt',
      '    Atomics.store(this.#longs, this.#long(coid, ENTRY.ROOT), root);\n    this.setState(coid, live);',
      '    this.setState(coid, live);\n    for (const end = performance.now() + 3; performance.now() < end; );\n' +
        '    Atomics.store(this.#longs, this.#long(coid, ENTRY.ROOT), root);',
    ),
  },
  // Deaths
  {
    name: 'the miss of a dead processor lasts for ever',
    scenario: 'death:inMiss',
    seen: /Waited \d+ ms for a destruction to go on when who was in a miss has died/,
    edits: one(
      'orphans',
      'if (gtt.isReadLockedBy(coid, number)) gtt.forgetReader(coid, number);',
      'void gtt.isReadLockedBy;',
    ),
  },
  {
    name: 'what a writer has locked is not noted',
    scenario: 'death:holdingAnEntry',
    seen: /object \d+ is locked for writing by nobody/,
    edits: one('gtt', 'this.#words[writing] = coid + 1;', 'this.#words[writing] = 0;'),
  },
  {
    name: 'the destructions of the dead are not gone on with',
    scenario: 'death:inReclaim',
    seen: /Waited \d+ ms for the number of a destroyed object to be free/,
    edits: one(
      'orphans',
      'if (isEnding && gone.includes(gtt.destroyer(coid))) destruction.resume(coid);',
      '',
    ),
  },
  {
    name: 'the host goes on at once, whoever still uses the object',
    scenario: 'death:whileOthersRetire',
    seen: /A call in flight was not waited for when the destroyer had died/,
    edits: one(
      'destruction',
      'this.#retireAll(destroying);',
      'for (const each of destroying) this.#unreachable.add(each);',
    ),
  },
  {
    name: 'the host does not wait for a grace period that had begun',
    scenario: 'death:inLastGracePeriod',
    seen: /A number was free while a thread might still use it/,
    edits: one(
      'destruction',
      'this.#returnAll(inState(STATE.RETIRED));',
      'this.#giveBack(inState(STATE.RETIRED).map(({ coid }) => coid));',
    ),
  },
  {
    name: 'a death is no answer',
    scenario: 'death:asked',
    seen: /Waited \d+ ms for a destruction to go on when who was asked has died/,
    edits: one('round', 'processor.onGone((number) => this.#answered([...this.#asked.keys()], number));', ''),
  },
  {
    name: 'a successor takes every number of its region for free',
    scenario: 'death:atHome',
    seen: /the successor gives out/,
    edits: one('objects', '    if (this.gtt.state(coid) !== STATE.FREED) return;\n', ''),
  },
  {
    name: 'a successor does not look for numbers that were freed',
    scenario: 'death:atHome',
    seen: /the successor gives out/,
    edits: one('objects', '    this.#collectFree();\n', ''),
  },
  {
    name: 'freed numbers are told and not noted',
    scenario: 'death:atHome',
    seen: /Waited \d+ ms for the destruction of the dead to be gone on with/,
    edits: one('destruction', '      gtt.setState(coid, STATE.FREED);\n', ''),
  },
  {
    name: 'the Reps of the dead are counted',
    scenario: 'death:leavesObjects',
    seen: /Waited \d+ ms for everything to be gone; .*"reps":[1-9]/,
    edits: one('objects', '    Atomics.store(this.#words, this.#region + REGION.REPS, 0);\n', ''),
  },
  // Arenas
  {
    name: 'what others have freed is not taken in',
    scenario: 'arena',
    seen: /A chunk was added though another had room|chunks stay for/,
    edits: one(
      'arena',
      'if (i32[this.#region + REGION.ARENA_RETURNED] !== 0) this.#takeReturned();',
      'void this.#takeReturned;',
    ),
  },
  {
    name: 'a block that is freed stays marked',
    scenario: 'arena',
    seen: /blocks are marked as in use, not/,
    edits: one(
      'arena',
      'i32[at] = used ? bits | bit : bits & ~bit;\n    return i32[at] !== bits;',
      'i32[at] = bits | bit;\n    return true;',
    ),
  },
  {
    name: 'a block that is used again is not zeroed',
    scenario: 'arena',
    seen: /A block is not zeroed/,
    edits: one('arena', 'u8.fill(0, offset, offset + blockBytes);', 'void u8;'),
  },
  {
    name: 'an empty chunk is kept',
    scenario: 'arena',
    seen: /chunks stay for/,
    edits: one('arena', 'else if (chunk.used === 0 && size.roomy.length > 1) this.#removeChunk(chunk);', ''),
  },
  {
    name: 'a chunk that goes back stays in the chain',
    scenario: 'arena',
    seen: /are reserved by|blocks are marked as in use|chain of chunks|overlap|not zeroed|wrote to a block/,
    edits: one('arena', 'else Atomics.store(i32, previous.start / 4 + CHUNK.NEXT, nextUnit);', ''),
  },
  {
    name: 'blocks that were being taken in are lost with the owner',
    scenario: 'arenaDeath',
    seen: /has cost \d+ blocks/,
    edits: one(
      'arena',
      'for (const first of [Atomics.load(i32, taking), this.#takeStack(taking)]) {',
      'for (const first of [this.#takeStack(taking)]) {',
    ),
  },
  // Names
  {
    name: 'a name outlives its object',
    scenario: 'names',
    seen: /is the name of|Naming an object|Whether|Live objects are|gave \d+, not K42_OBJECT_GONE/,
    edits: [
      ...one('system', 'gtt.sequence(coid) === sequence &&', ''),
      ...one('system', 'gtt.sequence(coid) === sequence\n', 'true\n'),
    ],
  },
];
