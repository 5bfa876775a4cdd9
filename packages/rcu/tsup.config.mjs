import { bundle } from '@k42/tooling/tsup';

export default bundle([
  'src/index.ts',
  'src/machine.ts',
  'src/generations.ts',
  'src/locks.ts',
  'src/worker.ts',
]);
