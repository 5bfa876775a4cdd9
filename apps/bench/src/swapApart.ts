/**
 * What the suite `swap` runs in processes of its own: normal calls after swaps, timed where V8 has learnt nothing yet.
 *
 * Its one argument is what to measure, as JSON; so is what it writes to standard output.
 */
import { Machine } from '@k42/rcu';
import { entryUrl } from './entryUrl.ts';
import { type NormalCallSpec, timeNormalCalls } from './swap/normal/calls.ts';

const machine = await Machine.boot({ processors: 1, program: entryUrl('swap'), name: 'swap' });
const result = await timeNormalCalls(JSON.parse(process.argv[2] as string) as NormalCallSpec);
await machine.close();
process.stdout.write(JSON.stringify(result));
