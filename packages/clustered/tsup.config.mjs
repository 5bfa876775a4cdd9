import { bundle } from '@k42/tooling/tsup';

export default bundle(['src/index.ts', 'src/interpose.ts', 'src/standard/index.ts']);
