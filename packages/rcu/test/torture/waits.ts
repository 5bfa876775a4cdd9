/**
 * The forms in which an updater can wait for a grace period, each as a function that settles when it is over.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Random } from '@k42/tooling/random';
import type { Domain } from '../../src/index.ts';
import { inTime, PROGRAM, turns, WAIT_MS } from './harness.ts';
import { COUNTER, PROBLEM, type Words } from './words.ts';

export const FORMS = [
  'synchronize',
  'expedited',
  'call',
  'retire',
  'portable',
  'poll',
  'conditional',
  'barrier',
] as const;
type Form = (typeof FORMS)[number];

/** What a wait is made for and by. */
export interface Updating {
  readonly domain: Domain;
  readonly lane: number;
  readonly words: Words;
  readonly random: Random;
}

const options = { deadlineMs: WAIT_MS };
const expedited = { deadlineMs: WAIT_MS, expedited: true };

/** Resolvers of portable callbacks that were handed in here, by number. */
const portable = new Map<number, () => void>();
let lastPortable = 0;

/** The portable callback of the wait of that kind. */
export function portableRan(number: number): void {
  portable.get(number)?.();
  portable.delete(number);
}

/** Callbacks of a domain run in the order in which they were handed in. */
const order = new WeakMap<Domain, { handedIn: number; ran: number }>();

function numbered({ domain, lane, words }: Updating, ran: () => void): () => void {
  let numbers = order.get(domain);
  if (numbers === undefined) {
    numbers = { handedIn: 0, ran: 0 };
    order.set(domain, numbers);
  }
  const { handedIn } = numbers;
  const mine = handedIn + 1;
  numbers.handedIn = mine;
  return () => {
    if (numbers.ran >= mine) words.problem(PROBLEM.ORDER, mine, numbers.ran, lane);
    numbers.ran = mine;
    ran();
  };
}

type Wait = (updating: Updating) => Promise<unknown>;

const WAITS: Readonly<Record<Form, Wait>> = {
  synchronize: ({ domain }) => domain.synchronize(options),
  expedited: ({ domain }) => domain.synchronize(expedited),
  call: (updating) =>
    inTime(new Promise<void>((ran) => updating.domain.call(numbered(updating, ran))), 'a callback'),
  retire: (updating) =>
    inTime(
      new Promise<void>((ran) => updating.domain.retire({}, numbered(updating, ran))),
      'a retired object to be reclaimed',
    ),
  portable: async ({ domain }) => {
    const number = ++lastPortable;
    const ran = new Promise<void>((resolve) => portable.set(number, resolve));
    await domain.callPortable({ module: PROGRAM, name: 'portableRan' }, [number]);
    await inTime(ran, 'a portable callback');
  },
  poll: async ({ domain }) => {
    const cookie = domain.startPoll();
    const end = performance.now() + WAIT_MS;
    while (!domain.poll(cookie)) {
      if (performance.now() > end) throw new Error(`Polled for ${WAIT_MS} ms: ${JSON.stringify(cookie)}`);
      await nextTurn();
    }
  },
  conditional: async ({ domain, random }) => {
    const cookie = domain.startPoll();
    await turns(random(4));
    await domain.conditional(cookie, options);
  },
  barrier: async (updating) => {
    const { domain, words, lane } = updating;
    let ran = false;
    domain.call(
      numbered(updating, () => {
        ran = true;
      }),
    );
    await domain.barrier(options);
    if (!ran) words.problem(PROBLEM.BARRIER, lane);
  },
};

/** Waits for a grace period in one of the forms, and counts it. */
export async function waitFor(form: Form, updating: Updating): Promise<void> {
  await WAITS[form](updating);
  updating.words.count(COUNTER.FORMS + FORMS.indexOf(form));
}
