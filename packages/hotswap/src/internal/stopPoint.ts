/**
 * The stop point of a processor: where synchronous interfaces become quiescent. Model: STOP, PAUSE_ENDS.
 *
 * Between its turns a processor runs no synchronous call, but its event loop may start one at any moment. To be
 * *ready* it therefore holds still: a worker step becomes ready in every swap that waits for this processor, and
 * sleeps on the doorbell until the swaps are decided or a short bound passes, whichever is first. Meanwhile it serves
 * system messages, so that steps of other swaps, and questions of calls in flight elsewhere, are answered.
 *
 * When the bound passes it withdraws and lets its event loop run. Stops have to overlap: each arrival tells the others,
 * which then stop too if they can, and the bound doubles with each stop that was in vain, up to the configured pause. Stops of one
 * length begin at common moments.
 * Between two such stops the event loop gets at least half as long as the stop took, however many swaps want one: at most two
 * thirds of a processor's time are spent stopped in vain.
 *
 * Once TRANSFER has begun for one of the swaps, its shares run here. User code may call anything, so the processor
 * first withdraws from every other swap that is still in BLOCK.
 */
import type { Processor } from '@k42/rcu';

/** What a stop point needs of a swap's participant. */
export interface Stoppable {
  /** Milliseconds this participant may hold the processor now. */
  readonly pauseMs: number;
  /** Whether the swap waits for this processor and it could become ready: in BLOCK, and no tracked call is left. */
  canBeReady(): boolean;
  /** Becomes ready. */
  becomeReady(): void;
  /** Goes back to not ready; false if it is too late (TRANSFER has begun). */
  withdraw(): boolean;
  /** TRANSFER has begun and is not decided. */
  transferring(): boolean;
  /** Does this processor's shares, tries to commit, and enforces the deadlines; harmless when repeated. */
  transfer(): void;
  /** The swap is decided: this processor may run on. */
  decided(): boolean;
  /** Does whatever is due for this participant, in a turn of its own. */
  stepLater(): void;
  /** A stop of so many milliseconds is over, in vain or not. */
  stopped(milliseconds: number, inVain: boolean): void;
}

/** How often a sleeper looks again by itself: a cap against a message that was rung for before it was deliverable. */
const SLEEP_CAP_MS = 5;

/** Milliseconds the event loop runs for each that it was held in vain. */
const RUN_PER_STOP = 0.5;

export class StopPoint {
  readonly #processor: Processor;
  readonly #ready = new Set<Stoppable>();
  /** Steps that are due but have to wait until this processor runs on. */
  readonly #afterwards = new Set<Stoppable>();
  #stopped = false;
  #open = false;
  /** Not before then does the processor stop again, and who wants it to. */
  #nextStopAt = 0;
  readonly #wanting = new Set<Stoppable>();
  #timer: NodeJS.Timeout | undefined;

  constructor(processor: Processor) {
    this.#processor = processor;
  }

  /** Whether the processor is at its stop point now. */
  get active(): boolean {
    return this.#stopped;
  }

  /** Stops for a participant; called between turns. At a stop already, the participant joins it. */
  enter(participant: Stoppable): void {
    if (this.#stopped) {
      if (this.#open) this.#add(participant);
      else this.afterwards(participant);
      return;
    }
    const early = this.#nextStopAt - performance.now();
    if (early > 0) {
      this.#enterLater(participant, early);
      return;
    }
    this.#stopped = true;
    this.#open = true;
    const beganAt = performance.now();
    try {
      this.#hold(participant, beganAt);
    } finally {
      this.#stopped = false;
      // Empty, unless something threw: then nobody may go on counting on this processor.
      for (const participant of this.#ready) participant.withdraw();
      this.#ready.clear();
      for (const waiting of this.#afterwards) waiting.stepLater();
      this.#afterwards.clear();
    }
  }

  /** What is left of the event loop's time comes first. */
  #enterLater(participant: Stoppable, milliseconds: number): void {
    this.#wanting.add(participant);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const wanting = [...this.#wanting];
      this.#wanting.clear();
      for (const participant of wanting) participant.stepLater();
    }, milliseconds);
  }

  /** Has a participant step when the processor runs on. */
  afterwards(participant: Stoppable): void {
    this.#afterwards.add(participant);
  }

  #add(participant: Stoppable): void {
    if (this.#ready.has(participant) || !participant.canBeReady()) return;
    this.#ready.add(participant);
    participant.becomeReady();
  }

  #hold(first: Stoppable, beganAt: number): void {
    const until = beganAt + boundIn(first.pauseMs);
    this.#add(first);
    while (this.#ready.size !== 0) {
      // The bell is read before anything is looked at: what arrives in between ends the sleep below at once.
      const bell = this.#processor.doorbell();
      this.#processor.serveSystemMessages();
      this.#settle(beganAt);
      if (this.#open && performance.now() >= until) this.#withdrawAll(beganAt, undefined);
      if (this.#ready.size === 0) break;
      const remaining = this.#open ? until - performance.now() : SLEEP_CAP_MS;
      this.#processor.sleep(bell, Math.min(remaining, SLEEP_CAP_MS));
    }
    this.#open = false;
  }

  /** Does what the phases of the swaps that hold this processor ask for, and lets go of the decided ones. */
  #settle(beganAt: number): void {
    for (const participant of this.#ready) {
      if (participant.transferring()) {
        this.#withdrawAll(beganAt, participant);
        participant.transfer();
      }
      if (!participant.decided()) continue;
      this.#ready.delete(participant);
      participant.stopped(performance.now() - beganAt, false);
      this.afterwards(participant);
    }
  }

  /** Withdraws from every swap still in BLOCK; from here on this stop becomes ready in nothing more. */
  #withdrawAll(beganAt: number, except: Stoppable | undefined): void {
    this.#open = false;
    const withdrawn: Stoppable[] = [];
    for (const participant of this.#ready) {
      if (participant === except || !participant.withdraw()) continue;
      this.#ready.delete(participant);
      withdrawn.push(participant);
      const milliseconds = performance.now() - beganAt;
      this.#nextStopAt = nextWindow(participant.pauseMs, milliseconds);
      participant.stopped(milliseconds, true);
    }
    // Where the stop goes on for another swap's sake, the others' arrivals are not seen: nobody will call these back.
    if (this.#ready.size !== 0) for (const participant of withdrawn) this.afterwards(participant);
  }
}

/** How long a stop lasts that begins now: to the end of the window it falls into, so that the next ones coincide as well. */
function boundIn(pauseMs: number): number {
  const into = (performance.timeOrigin + performance.now()) % (pauseMs * (1 + RUN_PER_STOP));
  return into < pauseMs / 2 ? pauseMs - into : pauseMs;
}

/**
 * When to stop again after a stop that was in vain, with that bound, and lasted so long. Windows begin at whole multiples of
 * their period in the time all processors share, so that stops of one bound coincide, whenever each of them first came.
 */
function nextWindow(pauseMs: number, milliseconds: number): number {
  const period = pauseMs * (1 + RUN_PER_STOP);
  const earliest = performance.timeOrigin + performance.now() + milliseconds * RUN_PER_STOP;
  return Math.ceil(earliest / period) * period - performance.timeOrigin;
}
