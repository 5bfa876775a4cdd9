/**
 * A module that is loaded only when a swap asks for it: it defines the version that the controls say, or does not load. Each query
 * of its URL makes it another module.
 */
import { currentProcessor } from '@k42/rcu';
import { CalmTally, defineVersion, Tally } from './tally.ts';
import { AT, controlsOf } from './tallyControls.ts';

const { memory, number } = currentProcessor();
const controls = controlsOf(memory);
controls.add(AT.LATER_LOADED);
if (controls.get(AT.NOT_ON) === 1 + number) throw new Error('asked not to load');
defineVersion(Tally, controls.get(AT.LATER_VERSION));
defineVersion(CalmTally, controls.get(AT.LATER_VERSION));
