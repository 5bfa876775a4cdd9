/**
 * How a processor describes itself to those who ask (`stall.ts`).
 */
import { onAttach } from './current.ts';
import { localDomains, machineDomain } from './domain.ts';
import type { Processor } from './processor.ts';
import { installReports, type ProcessorView } from './stall.ts';

const THREADS_MAX = 32;

function describe(processor: Processor): ProcessorView {
  return {
    processor: processor.number,
    incarnation: processor.incarnation,
    name: processor.name,
    domains: localDomains().map((domain) => domain.view()),
    threads: machineDomain.threads
      .named()
      .slice(0, THREADS_MAX)
      .map((thread) => thread.name),
  };
}

onAttach((processor) => installReports(processor, () => describe(processor)));
