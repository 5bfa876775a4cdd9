/**
 * Entry of a worker thread that a Machine boots: joins the machine over the control channel it finds in its data.
 *
 * What goes wrong is told to the host over that channel, with its stack; the thread then has nothing left to do and ends.
 */
import { workerData } from 'node:worker_threads';
import { join } from './internal/joining.ts';
import type { WorkerBoot } from './internal/wire.ts';

const NO_DEADLINE_MS = 2 ** 31 - 1;

const { ticket, reserved, name, control } = (workerData as { k42: WorkerBoot }).k42;
// The host's deadline counts; when it gives up it ends this thread.
join(ticket, control, { reserved, name }, NO_DEADLINE_MS).catch(() => {});
