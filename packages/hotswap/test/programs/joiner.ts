/** A thread of somebody else's that joins a machine with a ticket, and stays until it is killed or the machine closes. */
import { parentPort, workerData } from 'node:worker_threads';
import { joinMachine, type Ticket } from '@k42/rcu';

const { number } = await joinMachine(workerData as Ticket);
parentPort?.postMessage(number);
