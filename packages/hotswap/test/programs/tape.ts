/**
 * What processors tell each other in the tests of the capabilities: a tape on which each notes what it does, and gates at which
 * they stand.
 *
 * A note takes its place on the tape by an atomic ticket: of two notes one of which happened before the other, on whichever
 * processors, that one has the lower place. A gate is closed and opened by the test; who passes a closed one is counted while it
 * stands there, and gives up after half a minute.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { currentProcessor } from '@k42/rcu';

const WHAT = [
  'export begins',
  'export ends',
  'import begins',
  'import ends',
  'import by reference',
  'validate',
  'adopt',
  'relinquish',
  'freeze begins',
  'freeze ends',
  'thaw',
  'flush',
  'call',
] as const;
export type What = (typeof WHAT)[number];

export interface Noted {
  readonly what: What;
  readonly processor: number;
  readonly detail: number;
}

const GATES = 16;
const NOTES_MAX = 16_384;
/** 32-bit words. Of a gate: whether it is closed, and how many stand there. Of a note: what (plus one), processor, detail. */
const WORD = { TICKET: 0, FLAGS: 1, CLOSED: 16, STANDING: 16 + GATES, NOTES: 16 + 2 * GATES } as const;
const PER_NOTE = 3;
const BYTES = (WORD.NOTES + NOTES_MAX * PER_NOTE) * 4;
const HUNG_MS = 30_000;

function word(which: number): [Int32Array, number] {
  const { memory } = currentProcessor();
  return [memory.i32, memory.block('test/tape', BYTES) / 4 + which];
}

export function note(what: What, detail = 0): void {
  const place = Atomics.add(...word(WORD.TICKET), 1);
  if (place >= NOTES_MAX) throw new Error('the tape is full');
  const [words, at] = word(WORD.NOTES + place * PER_NOTE);
  Atomics.store(words, at + 1, currentProcessor().number);
  Atomics.store(words, at + 2, detail);
  // Last: whoever sees it sees the rest.
  Atomics.store(words, at, 1 + WHAT.indexOf(what));
}

/** What has been noted, in order; of the kinds asked for, or all. */
export function noted(...kinds: What[]): Noted[] {
  const notes: Noted[] = [];
  const count = Atomics.load(...word(WORD.TICKET));
  for (let place = 0; place < count; place++) {
    const [words, at] = word(WORD.NOTES + place * PER_NOTE);
    const what = WHAT[Atomics.load(words, at) - 1];
    // Its place is taken, and it is being written.
    if (what === undefined) continue;
    const [processor, detail] = [Atomics.load(words, at + 1), Atomics.load(words, at + 2)];
    if (kinds.length === 0 || kinds.includes(what)) notes.push({ what, processor, detail });
  }
  return notes;
}

/** Between swaps only. */
export function clearTape(): void {
  const [words, at] = word(WORD.NOTES);
  words.fill(0, at, at + Atomics.load(...word(WORD.TICKET)) * PER_NOTE);
  Atomics.store(...word(WORD.TICKET), 0);
}

// Flags, for whatever a program has to know

export function setFlag(flag: number, value: number): void {
  Atomics.store(...word(WORD.FLAGS + flag), value);
}

export function flag(flag: number): number {
  return Atomics.load(...word(WORD.FLAGS + flag));
}

// Gates

export function closeGate(gate: number): void {
  Atomics.store(...word(WORD.CLOSED + gate), 1);
}

export function openGate(gate: number): void {
  const [words, at] = word(WORD.CLOSED + gate);
  Atomics.store(words, at, 0);
  Atomics.notify(words, at);
}

export function openAllGates(): void {
  for (let gate = 0; gate < GATES; gate++) openGate(gate);
}

/** How many stand at a gate now. */
export function standingAt(gate: number): number {
  return Atomics.load(...word(WORD.STANDING + gate));
}

/** Waits until the gate is open, turn by turn of the event loop. */
export async function passGate(gate: number): Promise<void> {
  const closed = word(WORD.CLOSED + gate);
  if (Atomics.load(...closed) === 0) return;
  const giveUpAt = performance.now() + HUNG_MS;
  const standing = word(WORD.STANDING + gate);
  Atomics.add(...standing, 1);
  try {
    while (Atomics.load(...closed) !== 0) {
      if (performance.now() > giveUpAt) throw new Error(`gate ${gate} was not opened`);
      await nextTurn();
    }
  } finally {
    Atomics.sub(...standing, 1);
  }
}

/** Stands still until the gate is open: neither the event loop nor anything else runs meanwhile. */
export function blockAtGate(gate: number): void {
  const closed = word(WORD.CLOSED + gate);
  if (Atomics.load(...closed) === 0) return;
  const standing = word(WORD.STANDING + gate);
  Atomics.add(...standing, 1);
  try {
    if (Atomics.wait(...closed, 1, HUNG_MS) === 'timed-out') throw new Error(`gate ${gate} was not opened`);
  } finally {
    Atomics.sub(...standing, 1);
  }
}

/** Does nothing until something holds, without letting go of the processor. */
export function spinUntil(holds: () => boolean, what: string): void {
  const giveUpAt = performance.now() + 5_000;
  while (!holds()) if (performance.now() > giveUpAt) throw new Error(`not within five seconds: ${what}`);
}
