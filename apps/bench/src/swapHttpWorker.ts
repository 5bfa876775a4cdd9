/**
 * The worker that is going to be killed: it joins the machine whose ticket it is given, and serves until then.
 *
 * The machine has not started it, so whoever did has its `Worker` and can terminate it, at any instruction.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { joinMachine, type Ticket } from '@k42/rcu';

const { number } = await joinMachine(workerData as Ticket);
parentPort?.postMessage(number);
