import { bundle } from '@k42/tooling/tsup';

export default bundle([
  'src/main.ts',
  'src/instance.ts',
  'src/grace.ts',
  'src/dispatch.ts',
  'src/counter.ts',
  'src/objects.ts',
  'src/swap.ts',
  'src/swapApart.ts',
  'src/swapPeers.ts',
  'src/swapPeersWorker.ts',
  'src/swapHttp.ts',
  'src/swapHttpWorker.ts',
  'src/swapHttpLoad.ts',
]);
