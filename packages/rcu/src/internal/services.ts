/**
 * What a processor needs of the layers it is made of, put together: threads of the machine's domain, loading modules.
 */
import { ProcessorGoneError } from '../errors.ts';
import { BUILTIN } from './builtins.ts';
import { machineDomain } from './domain.ts';
import type { ProcessorServices } from './processor.ts';
// They set themselves up on every processor.
import './portable.ts';
import './reporting.ts';

export const processorServices: ProcessorServices = {
  spawn: (work, source) => machineDomain.spawn(work, source),

  async load(processor, module, options) {
    // The list first, then the members: a processor that becomes live in between finds the module on the list.
    await processor.calls.call(0, BUILTIN.EXTEND, false, [module], options);
    let succeeded = false;
    try {
      await Promise.all(
        processor.liveProcessors().map(async (number) => {
          try {
            await processor.calls.call(number, BUILTIN.LOAD, false, [module], options);
          } catch (error) {
            // Who goes meanwhile needs no module.
            if (!(error instanceof ProcessorGoneError)) throw error;
          }
        }),
      );
      succeeded = true;
    } finally {
      // If the host is gone, so is its list.
      await processor.calls.call(0, BUILTIN.SETTLE, false, [module, succeeded]).catch(() => {});
    }
  },
};
