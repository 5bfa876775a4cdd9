/**
 * Entry of a worker thread that a Machine boots: attaches the thread as a processor and serves.
 *
 * The program's modules are loaded by a call from processor 0, so that a failure to load one is an ordinary error
 * that reaches `Machine.boot` with its stack.
 */
import { workerData } from 'node:worker_threads';
import { registerBuiltins } from './internal/builtins.ts';
import { attach } from './internal/current.ts';
import { MachineMemory } from './internal/memory.ts';
import { Processor } from './internal/processor.ts';
import type { WorkerBoot } from './internal/wire.ts';

const boot = (workerData as { k42: WorkerBoot }).k42;
const processor = new Processor(new MachineMemory(boot.buffer, boot.number), boot.number, boot.processors);
registerBuiltins(processor);
attach(processor);
processor.introduce(0, boot.ports);
