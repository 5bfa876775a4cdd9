/** A thread of somebody else's that joins a machine with a ticket, and leaves it or stays. */
import { parentPort, workerData } from 'node:worker_threads';
import { joinMachine, type Ticket } from '@k42/rcu';

const { number } = await joinMachine(workerData as Ticket);
parentPort?.postMessage(number);
// Stays when it has left, so that what it does then can be seen to.
parentPort?.on('message', () => {});
