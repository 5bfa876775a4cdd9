/** All scenes, by name. */
import { deaths } from './scenariosDeath.ts';
import { ends } from './scenariosEnd.ts';
import { forwarding } from './scenariosForward.ts';
import { stops } from './scenariosStop.ts';
import { transfers } from './scenariosTransfer.ts';

export const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  ...forwarding,
  ...transfers,
  ...stops,
  ...ends,
  ...deaths,
};
