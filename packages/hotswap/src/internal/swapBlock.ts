/**
 * Transitions of the swap word.
 *
 *     FORWARD {participants} -> BLOCK {not ready} -> TRANSFER {} -> COMPLETE {}
 *          \________________________\______________________\-----> ABORTED {}
 *
 * Each is one compare-and-swap by whoever finds its condition true; nobody is appointed. Per-processor words are
 * written *before* the compare-and-swap that relies on them, so whoever sees the new word sees them too. The order of
 * phases is the order of their numbers, and the word never goes back.
 *
 * Names in capitals after "Model:", here and elsewhere, are steps of the protocol's model (`model/README.md`).
 */

import { bit, members } from '@k42/clustered/interpose';
import { type MachineMemory, PROCESSORS_MAX } from '@k42/rcu';
import type { PhaseName } from '../errors.ts';
import {
  HANDED_OVER,
  LONG,
  OWN,
  PER_PROCESSOR,
  PHASE,
  PHASE_SHIFT,
  PROCESSOR_WORDS,
  ROOT_PART,
  SET_MASK,
  STAGE,
  TIME,
  WORD,
} from './layout.ts';

export type Phase = bigint;

/** What the initiator decides before anyone sees the block. */
export interface SwapPlan {
  readonly coid: number;
  readonly newRoot: bigint;
  readonly initiator: number;
  readonly initiatorIncarnation: number;
  readonly synchronous: boolean;
  readonly protocol: string;
  readonly deadlineMs: number;
  readonly maxPauseMs: number;
  readonly transferDeadlineMs: number;
  readonly queueBound: number;
}

const NAMES: Readonly<Record<string, PhaseName>> = {
  [String(PHASE.FORWARD)]: 'forward',
  [String(PHASE.BLOCK)]: 'block',
  [String(PHASE.TRANSFER)]: 'transfer',
  [String(PHASE.COMPLETE)]: 'complete',
  [String(PHASE.ABORTED)]: 'aborted',
};

export function phaseName(phase: Phase): PhaseName {
  return NAMES[String(phase)] as PhaseName;
}

/** Milliseconds since the epoch, comparable between threads. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Where the time of a phase's beginning stands. */
function timeOf(phase: Phase): number {
  if (phase === PHASE.BLOCK) return TIME.BLOCKED;
  return phase === PHASE.TRANSFER ? TIME.TRANSFERRING : TIME.DECIDED;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One processor's view of the swap block. */
export class SwapBlock {
  readonly #memory: MachineMemory;
  readonly #long: number;
  readonly #word: number;
  readonly #me: number;

  constructor(memory: MachineMemory, offset: number, processor: number) {
    this.#memory = memory;
    this.#long = offset / 8;
    this.#word = offset / 4;
    this.#me = processor;
  }

  /** Fills in what is known before interposition. Nobody else can see the block yet. */
  plan(plan: SwapPlan): void {
    const { i32, i64, f64, u8 } = this.#memory;
    i64[this.#long + LONG.NEW_ROOT] = plan.newRoot;
    i32[this.#word + WORD.COID] = plan.coid;
    i32[this.#word + WORD.INITIATOR] = plan.initiator;
    i32[this.#word + WORD.INITIATOR_INCARNATION] = plan.initiatorIncarnation;
    i32[this.#word + WORD.SYNCHRONOUS] = plan.synchronous ? 1 : 0;
    i32[this.#word + WORD.MAX_PAUSE_MS] = plan.maxPauseMs;
    i32[this.#word + WORD.TRANSFER_MS] = plan.transferDeadlineMs;
    i32[this.#word + WORD.QUEUE_BOUND] = plan.queueBound;
    f64[this.#long + TIME.BEGUN] = now();
    f64[this.#long + TIME.DEADLINE] = now() + plan.deadlineMs;
    const protocol = encoder.encode(plan.protocol);
    i32[this.#word + WORD.PROTOCOL_BYTES] = protocol.length;
    u8.set(protocol, (this.#word + WORD.PROTOCOL) * 4);
  }

  /**
   * Opens FORWARD for those processors. Before the entry is swung to the Mediator: whoever finds the Mediator there
   * finds a swap that has begun. Model: INTERPOSE.
   */
  begin(oldRoot: bigint, sequence: number, participants: readonly number[]): void {
    const { i32, i64 } = this.#memory;
    i64[this.#long + LONG.OLD_ROOT] = oldRoot;
    i32[this.#word + WORD.SEQUENCE] = sequence;
    let set = 0n;
    for (const number of participants) {
      set |= bit(number);
      i32[this.#own(number, OWN.JOINED)] = 1;
    }
    i64[this.#long + LONG.INTERESTED] = set | bit(this.initiator);
    // Publishes all of the above: pairs with every load of the swap word.
    Atomics.store(i64, this.#long + LONG.SWAP_WORD, (PHASE.FORWARD << PHASE_SHIFT) | set);
  }

  get coid(): number {
    return this.#memory.i32[this.#word + WORD.COID] as number;
  }

  /** Sequence number of the object's entry: its slots of any other are another object's. */
  get sequence(): number {
    return this.#memory.i32[this.#word + WORD.SEQUENCE] as number;
  }

  get initiator(): number {
    return this.#memory.i32[this.#word + WORD.INITIATOR] as number;
  }

  /** Whether it has ever been interposed, or was about to be. */
  get hasBegun(): boolean {
    return this.phase() !== 0n;
  }

  /** Where it is, in bytes. */
  get offset(): number {
    return this.#word * 4;
  }

  /** Root word of its Mediator. Like `next` it is read by the host after its initiator's end: pairs with the store there. */
  get mediator(): bigint {
    return Atomics.load(this.#memory.i64, this.#long + LONG.MEDIATOR);
  }

  set mediator(word: bigint) {
    Atomics.store(this.#memory.i64, this.#long + LONG.MEDIATOR, word);
  }

  /** Offset of the next block of the same initiator; 0 for none. */
  get next(): number {
    return Number(Atomics.load(this.#memory.i64, this.#long + LONG.NEXT));
  }

  set next(offset: number) {
    Atomics.store(this.#memory.i64, this.#long + LONG.NEXT, BigInt(offset));
  }

  get initiatorIncarnation(): number {
    return this.#memory.i32[this.#word + WORD.INITIATOR_INCARNATION] as number;
  }

  get synchronous(): boolean {
    return this.#memory.i32[this.#word + WORD.SYNCHRONOUS] === 1;
  }

  get maxPauseMs(): number {
    return this.#memory.i32[this.#word + WORD.MAX_PAUSE_MS] as number;
  }

  get transferDeadlineMs(): number {
    return this.#memory.i32[this.#word + WORD.TRANSFER_MS] as number;
  }

  /** More calls than this waiting on one processor abort the swap. */
  get queueBound(): number {
    return this.#memory.i32[this.#word + WORD.QUEUE_BOUND] as number;
  }

  /** Milliseconds from now to the deadline, at least 1. */
  get deadlineMs(): number {
    return Math.max(1, this.time('DEADLINE') - now());
  }

  get oldRoot(): bigint {
    return this.#memory.i64[this.#long + LONG.OLD_ROOT] as bigint;
  }

  get newRoot(): bigint {
    return this.#memory.i64[this.#long + LONG.NEW_ROOT] as bigint;
  }

  get protocol(): string {
    const start = (this.#word + WORD.PROTOCOL) * 4;
    return decoder.decode(
      this.#memory.u8.slice(start, start + (this.#memory.i32[this.#word + WORD.PROTOCOL_BYTES] as number)),
    );
  }

  time(which: keyof typeof TIME): number {
    return this.#memory.f64[this.#long + TIME[which]] as number;
  }

  phase(): Phase {
    return this.#load() >> PHASE_SHIFT;
  }

  get decided(): boolean {
    return this.phase() >= PHASE.COMPLETE;
  }

  /** The Root the phase implies once the swap is decided. */
  get finalRoot(): bigint {
    return this.phase() === PHASE.COMPLETE ? this.newRoot : this.oldRoot;
  }

  /** Processors in the swap word's set: participants in FORWARD, those not ready in BLOCK. */
  waiting(): number[] {
    return members(this.#load() & SET_MASK);
  }

  /** Whether this processor's bit is in the set. */
  inSet(): boolean {
    return (this.#load() & bit(this.#me)) !== 0n;
  }

  /** Participants. What begin() stored plainly is published by its store of the swap word, which comes before any look. */
  joined(): number[] {
    const numbers: number[] = [];
    for (let number = 0; number < PROCESSORS_MAX; number++) if (this.isJoined(number)) numbers.push(number);
    return numbers;
  }

  isJoined(number: number): boolean {
    return Atomics.load(this.#memory.i32, this.#own(number, OWN.JOINED)) === 1;
  }

  /** Participants whose untracked threads have not all gone. */
  notElapsed(): number[] {
    return this.joined().filter((number) => !this.isElapsed(number));
  }

  isElapsed(number: number): boolean {
    return Atomics.load(this.#memory.i32, this.#own(number, OWN.ELAPSED)) === 1;
  }

  /** Asks to be told of every transition from now on. Afterwards look at the phase: it may have been the last. Model: INTEREST. */
  interest(): void {
    // Pairs with interested() after a transition: either the announcer sees us, or we see the new phase.
    Atomics.or(this.#memory.i64, this.#long + LONG.INTERESTED, bit(this.#me));
  }

  interested(): number[] {
    return members(Atomics.load(this.#memory.i64, this.#long + LONG.INTERESTED));
  }

  /** A processor first touched during the swap takes part; false if it is too late for that. Model: JOIN. */
  join(): boolean {
    const { i32 } = this.#memory;
    // Before the compare-and-swap: whoever sees our bit finds that we have nothing to wait for.
    Atomics.store(i32, this.#own(this.#me, OWN.ELAPSED), 1);
    Atomics.store(i32, this.#own(this.#me, OWN.JOINED), 1);
    const joined = this.#change((phase, set) =>
      phase === PHASE.FORWARD || phase === PHASE.BLOCK ? [phase, set | bit(this.#me)] : undefined,
    );
    if (!joined) Atomics.store(i32, this.#own(this.#me, OWN.JOINED), 0);
    return joined;
  }

  /** This processor's untracked threads have gone. Model: ELAPSE. */
  elapsed(): void {
    Atomics.store(this.#memory.i32, this.#own(this.#me, OWN.ELAPSED), 1);
  }

  /** FORWARD to BLOCK, once every participant's untracked threads have gone (to TRANSFER at once, without any). Model: TO_BLOCK. */
  tryBlock(): boolean {
    return this.#change((phase, set) => {
      if (phase !== PHASE.FORWARD || this.notElapsed().length !== 0) return undefined;
      return [set === 0n ? PHASE.TRANSFER : PHASE.BLOCK, set];
    });
  }

  /** Takes this processor out of those not ready; the last one opens TRANSFER. Model: READY, TO_TRANSFER. */
  ready(): boolean {
    return this.#clear(bit(this.#me));
  }

  /** Puts this processor back among those not ready; false if TRANSFER has begun. Model: WITHDRAW. */
  withdraw(): boolean {
    return this.#change((phase, set) => (phase === PHASE.BLOCK ? [phase, set | bit(this.#me)] : undefined));
  }

  #clear(bits: bigint): boolean {
    return this.#change((phase, set) => {
      if (phase !== PHASE.BLOCK || (set & bits) === 0n) return undefined;
      const left = set & ~bits;
      return [left === 0n ? PHASE.TRANSFER : PHASE.BLOCK, left];
    });
  }

  /**
   * In TRANSFER, where there is no participant: this processor takes part all the same. Only the initiator does so, hence no
   * compare-and-swap.
   */
  stepIn(): void {
    Atomics.store(this.#memory.i32, this.#own(this.#me, OWN.JOINED), 1);
  }

  /** Claims the root part; true for exactly one processor. Only once its share has BEGUN. Model: CLAIM. */
  claimRoot(): boolean {
    return this.#claim(ROOT_PART);
  }

  /** Claims the part of a share in machine memory; true for exactly one processor. Only once its share has BEGUN. */
  claimShare(share: number): boolean {
    return this.#claim(bit(share));
  }

  #claim(part: bigint): boolean {
    return (Atomics.or(this.#memory.i64, this.#long + LONG.CLAIMED, part) & part) === 0n;
  }

  /**
   * This processor's share of the transfer has come so far. After everything that was written for it: pairs with the loads in
   * allAtLeast(), which others rely on before they import, validate or commit.
   */
  reached(stage: number): void {
    Atomics.store(this.#memory.i32, this.#own(this.#me, OWN.STAGE), stage);
  }

  /** Whether every participant's share has come so far; they have then claimed every part there is. */
  allAtLeast(stage: number): boolean {
    // The root part is claimed before anything is exported: where there is no participant (yet) nobody has.
    const claimed = Atomics.load(this.#memory.i64, this.#long + LONG.CLAIMED);
    return (claimed & ROOT_PART) !== 0n && this.#behind(stage).length === 0;
  }

  /** TRANSFER to COMPLETE, once all parts are imported. True for the one that decided it. Model: COMMIT. */
  tryCommit(): boolean {
    return this.#change((phase) =>
      phase === PHASE.TRANSFER && this.allAtLeast(STAGE.DONE) ? [PHASE.COMPLETE, 0n] : undefined,
    );
  }

  /** Participants whose parts are not imported yet. */
  sharesMissing(): number[] {
    return this.#behind(STAGE.DONE);
  }

  #behind(stage: number): number[] {
    return this.joined().filter((number) => this.#stageOf(number) < stage);
  }

  #stageOf(number: number): number {
    return Atomics.load(this.#memory.i32, this.#own(number, OWN.STAGE));
  }

  /**
   * After COMPLETE: true if this processor is the one to pass ownership on. A dead one that was, is `predecessor`: then the
   * hand-over may be made a second time.
   */
  claimHandOver(predecessor?: number): boolean {
    const expected = predecessor === undefined ? 0 : predecessor + 1;
    const at = this.#word + WORD.HAND_OVER;
    return Atomics.compareExchange(this.#memory.i32, at, expected, this.#me + 1) === expected;
  }

  /** Who has claimed the hand-over and not said that it is done. */
  get handOverBy(): number | undefined {
    const by = Atomics.load(this.#memory.i32, this.#word + WORD.HAND_OVER);
    return by > 0 ? by - 1 : undefined;
  }

  /** Ownership has passed. Pairs with the load in isHandedOver(), on which reclamation relies. */
  handedOver(): void {
    Atomics.store(this.#memory.i32, this.#word + WORD.HAND_OVER, HANDED_OVER);
  }

  get isHandedOver(): boolean {
    return Atomics.load(this.#memory.i32, this.#word + WORD.HAND_OVER) === HANDED_OVER;
  }

  /** To ABORTED from any phase before the decision. True for the one that decided it. Model: ABORT. */
  tryAbort(): boolean {
    return this.#change((phase) => (phase < PHASE.COMPLETE ? [PHASE.ABORTED, 0n] : undefined));
  }

  /**
   * Takes a dead processor out of every set. False if it died in the midst of its share: parts it had claimed are then
   * neither here nor there, and the swap has to be aborted. One that had not begun has claimed nothing; one that was done has
   * left what it imported in machine memory, and what was in its heap is gone with either object. Model: BURY.
   */
  bury(number: number): boolean {
    const { i32 } = this.#memory;
    const stage = this.#stageOf(number);
    if (stage !== STAGE.NONE && stage !== STAGE.DONE) return false;
    Atomics.store(i32, this.#own(number, OWN.JOINED), 0);
    this.#change((phase, set) =>
      phase === PHASE.FORWARD && (set & bit(number)) !== 0n ? [phase, set & ~bit(number)] : undefined,
    );
    this.#clear(bit(number));
    return true;
  }

  /** Sleeps until the swap word changes from what it was, or the time is over. Blocks the event loop. */
  sleepWhile(phase: Phase, milliseconds: number): void {
    const word = this.#load();
    if (word >> PHASE_SHIFT === phase)
      Atomics.wait(this.#memory.i64, this.#long + LONG.SWAP_WORD, word, milliseconds);
  }

  /** Retries `next` until it declines (false) or its result is in the word (true). */
  #change(next: (phase: Phase, set: bigint) => readonly [Phase, bigint] | undefined): boolean {
    const { i64, f64 } = this.#memory;
    const at = this.#long + LONG.SWAP_WORD;
    for (;;) {
      const word = Atomics.load(i64, at);
      const phase = word >> PHASE_SHIFT;
      const wanted = next(phase, word & SET_MASK);
      if (wanted === undefined) return false;
      const [newPhase, newSet] = wanted;
      // For reports only, and before: whoever sees the phase sees its time. One that comes too late is off by its lateness.
      if (newPhase !== phase) f64[this.#long + timeOf(newPhase)] = now();
      if (Atomics.compareExchange(i64, at, word, (newPhase << PHASE_SHIFT) | newSet) !== word) continue;
      // Wakes processors that sleep on the word for the outcome: pairs with sleepWhile().
      Atomics.notify(i64, at);
      return true;
    }
  }

  #load(): bigint {
    return Atomics.load(this.#memory.i64, this.#long + LONG.SWAP_WORD);
  }

  #own(number: number, field: number): number {
    return this.#word + PROCESSOR_WORDS + number * PER_PROCESSOR + field;
  }
}
