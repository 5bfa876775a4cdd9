/**
 * Portable callbacks: those that run although the processor that handed them in is gone.
 *
 * A closure dies with the heap it lives in. A portable callback is the name of an exported function and its arguments; the
 * host is told of it before its grace period is asked for, and keeps it. Nothing is sent when it has run: the number of the
 * last one *begun*, and of the last one *ended*, stand in machine memory, and they run in order. When a processor is found
 * gone, the host runs, after a grace period of its own, all that had not been begun. One that was begun and not ended is
 * not run again, for nobody knows how far it came: it is reported.
 */
import { channels } from './channels.ts';
import { onAttach } from './current.ts';
import { type LocalDomain, localDomain } from './domain.ts';
import { DOMAIN, DOMAIN_BYTES, DOMAIN_LINE_BYTES } from './layout.ts';
import type { Processor } from './processor.ts';
import { importFunction } from './remoteCalls.ts';
import type { RemoteFunction } from './wire.ts';

const GUARD = 'rcu/guard';

/** Entries of a processor after which the host forgets those that have ended. */
const FORGET_AFTER = 256;

interface Guarded {
  readonly domain: string;
  readonly id: number;
  readonly target: RemoteFunction;
  readonly args: readonly unknown[];
}

interface Entries {
  list: Guarded[];
  forgetAt: number;
}

/** What the host keeps for the others, by processor and domain. */
class Guardian {
  readonly #processor: Processor;
  readonly #entries = new Map<number, Map<string, Entries>>();

  constructor(processor: Processor) {
    this.#processor = processor;
    processor.onSystemMessage(GUARD, (from, payload) => this.#keep(from, payload as Guarded));
    // Before the dead one's number can be given out again, and so before its words are reset.
    processor.onGone((number) => this.#inherit(number));
  }

  #keep(from: number, guarded: Guarded): void {
    const ofProcessor = this.#entries.get(from) ?? new Map<string, Entries>();
    this.#entries.set(from, ofProcessor);
    const entries = ofProcessor.get(guarded.domain) ?? { list: [], forgetAt: FORGET_AFTER };
    ofProcessor.set(guarded.domain, entries);
    entries.list.push(guarded);
    if (entries.list.length < entries.forgetAt) return;
    const ended = this.#word(from, guarded.domain, DOMAIN.ENDED);
    entries.list = entries.list.filter(({ id }) => id > ended);
    entries.forgetAt = Math.max(FORGET_AFTER, entries.list.length * 2);
  }

  #inherit(number: number): void {
    const ofProcessor = this.#entries.get(number);
    this.#entries.delete(number);
    for (const [domain, { list }] of ofProcessor ?? []) {
      const begun = this.#word(number, domain, DOMAIN.BEGUN);
      const ended = this.#word(number, domain, DOMAIN.ENDED);
      for (const guarded of list) {
        if (guarded.id > begun) this.#run(number, guarded);
        else if (guarded.id > ended) this.#interrupted(number, guarded);
      }
    }
  }

  #run(number: number, { domain, target, args }: Guarded): void {
    if (channels.callback.hasSubscribers)
      channels.callback.publish({ processor: number, domain, event: 'inherited', target, args });
    // Counted as handed in here and now, though the function may have to be loaded first: a barrier waits for it.
    const loaded = importFunction(target);
    loaded.catch(() => {});
    localDomain(domain).inherit(async () => {
      const run = await loaded;
      if (!this.#processor.closed) run(...args);
    });
  }

  #interrupted(number: number, { domain, target, args }: Guarded): void {
    if (channels.callback.hasSubscribers)
      channels.callback.publish({ processor: number, domain, event: 'interrupted', target, args });
    process.emitWarning(
      `Processor ${number} died in the portable callback ${target.name} of ${target.module}; it is not run again.`,
      'K42Warning',
    );
  }

  #word(number: number, domain: string, field: number): number {
    const { memory } = this.#processor;
    const line = memory.block(`rcu/domain/${domain}`, DOMAIN_BYTES) + number * DOMAIN_LINE_BYTES;
    return Number(Atomics.load(memory.i64, (line + field) / 8));
  }
}

const lastIds = new WeakMap<Processor, Map<string, number>>();
onAttach((processor) => {
  lastIds.set(processor, new Map());
  if (processor.number === 0) new Guardian(processor);
});

/** Hands in a portable callback whose function is loaded already, so that it can be begun and ended in one go. */
export function callPortable(
  domain: LocalDomain,
  target: RemoteFunction,
  run: (...args: readonly unknown[]) => unknown,
  args: readonly unknown[],
): boolean {
  const { processor, line } = domain.part;
  const { memory } = processor;
  const ids = lastIds.get(processor) as Map<string, number>;
  const id = (ids.get(domain.name) ?? 0) + 1;
  // Clones now, on the host as well: what cannot be cloned throws before anything is counted.
  const kept = structuredClone(args);
  const more = domain.call(() => {
    // Pairs with the guardian's loads: once this is visible nobody else begins it.
    Atomics.store(memory.i64, (line + DOMAIN.BEGUN) / 8, BigInt(id));
    try {
      run(...kept);
    } finally {
      Atomics.store(memory.i64, (line + DOMAIN.ENDED) / 8, BigInt(id));
    }
  });
  // Admitted: from here on it is not lost. Its grace period has not been asked for yet, so the host knows in time.
  ids.set(domain.name, id);
  if (processor.number !== 0)
    processor.post(0, GUARD, { domain: domain.name, id, target, args: kept } satisfies Guarded);
  return more;
}
