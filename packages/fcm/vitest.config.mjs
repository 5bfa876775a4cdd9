export { default } from '@k42/tooling/vitest';
