/**
 * An asynchronous call through a handle beside the bare one: what it costs to count the call as a thread until it settles.
 *
 * For a method that awaits nothing and for one that awaits once; and, for the first, while another thread is live, which
 * saves the two atomic stores by which an idle processor becomes busy and idle again. Each awaited before the next.
 */
import { create, defineImplementation, defineInterface, handle } from '@k42/clustered';
import { spawn } from '@k42/rcu';
import { nanosecondsEach, sampleRepeats } from '../measure/timing.ts';
import { type Result, WARM_UPS } from './passes.ts';

export interface AsyncCallSpec {
  readonly repeats: number;
  /** Calls in one sample. */
  readonly calls: number;
}

export type AsyncWay = 'bare' | 'handle' | 'handleLive' | 'bareAwaiting' | 'handleAwaiting';

/** Both give 1. */
interface Answer {
  answer(): Promise<number>;
  answerLater(): Promise<number>;
}

class AnswerRep implements Answer {
  async answer(): Promise<number> {
    return 1;
  }

  async answerLater(): Promise<number> {
    await undefined;
    return 1;
  }
}

const AnswerInterface = defineInterface<Answer>('bench/answer', { answer: 'async', answerLater: 'async' });

const AnswerImplementation = defineImplementation<Answer>({
  name: 'bench/answer@1',
  interface: AnswerInterface,
  distribution: 'distributed',
  Rep: AnswerRep,
});

/** Called by name, on a processor with nothing else to do. */
export async function timeAsyncCalls({ repeats, calls }: AsyncCallSpec): Promise<Result<AsyncWay>> {
  const plain = new AnswerRep();
  const object = handle(create(AnswerImplementation));
  const measure: Record<AsyncWay, () => Promise<number>> = {
    bare: async () => {
      let done = 0;
      const begun = performance.now();
      for (let i = 0; i < calls; i++) done += await plain.answer();
      return nanosecondsEach(begun, calls, done);
    },
    handle: async () => {
      let done = 0;
      const begun = performance.now();
      for (let i = 0; i < calls; i++) done += await object.answer();
      return nanosecondsEach(begun, calls, done);
    },
    handleLive: () =>
      spawn(async () => {
        let done = 0;
        const begun = performance.now();
        for (let i = 0; i < calls; i++) done += await object.answer();
        return nanosecondsEach(begun, calls, done);
      }),
    bareAwaiting: async () => {
      let done = 0;
      const begun = performance.now();
      for (let i = 0; i < calls; i++) done += await plain.answerLater();
      return nanosecondsEach(begun, calls, done);
    },
    handleAwaiting: async () => {
      let done = 0;
      const begun = performance.now();
      for (let i = 0; i < calls; i++) done += await object.answerLater();
      return nanosecondsEach(begun, calls, done);
    },
  };
  return { samples: await sampleRepeats(measure, { repeats, warmUps: WARM_UPS }), strays: 0 };
}
