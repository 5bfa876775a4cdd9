/**
 * Goal: whoever looks at a frame without a lock can tell whether it has changed.
 * Method: the version before and after each thing that can be done to a frame; a real worker that holds one too long.
 */
import { expect, test } from 'vitest';
import { framePool } from '../src/internal/framePool.ts';
import { secondLook } from '../src/internal/frames.ts';
import { FRAME } from '../src/internal/layout.ts';
import { boot, until } from './support.ts';

test('every change of contents or owner changes the version, and nothing else does', async () => {
  await boot(1);
  const pool = framePool();
  const { frames } = pool;
  const frame = pool.allocate();
  const at = frames.header(frame) + FRAME.VERSION;
  const version = (): number => Atomics.load(frames.words, at);
  const changedBy = (what: () => void): boolean => {
    const before = version();
    what();
    expect(version() & 1).toBe(0);
    return secondLook(frames.words, at) !== before;
  };
  expect(changedBy(() => frames.publish(frame, 7, 2 ** 31 + 1))).toBe(true);
  expect(frames.words[frames.header(frame) + FRAME.PAGE]).toBe((2 ** 31 + 1) | 0);
  expect(changedBy(() => frames.unlock(frame, frames.lock(frame)))).toBe(true);
  expect(changedBy(() => frames.unlockUnchanged(frame, frames.lock(frame)))).toBe(false);
  expect(changedBy(() => frames.invalidate(frame))).toBe(true);
  // The count wraps without ever becoming odd.
  Atomics.store(frames.words, at, 2 ** 31 - 2);
  expect(changedBy(() => frames.publish(frame, 7, 0))).toBe(true);
  expect(version()).toBe(-(2 ** 31));
  expect(changedBy(() => frames.invalidate(frame))).toBe(true);
  pool.release(frame);
  expect(pool.used()).toBe(0);
});

test('a frame that is held is waited for', async () => {
  const machine = await boot(2);
  const { frames } = framePool();
  const frame = framePool().allocate();
  const version = frames.lock(frame);
  const taken = machine.call<number>(1, 'takeFrame', [frame]);
  const at = frames.header(frame) + FRAME.OWNER;
  for (let turn = 0; turn < 200; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  expect(frames.words[at]).toBe(0);
  frames.unlock(frame, version);
  expect(await taken).toBe(version + 2);
  await until(() => Atomics.load(frames.words, at) === 1);
});

test('magazines and the list give every frame once, to the last', async () => {
  await boot(1);
  const pool = framePool();
  const taken = new Set<number>();
  for (let count = 0; count < pool.total; count++) taken.add(pool.allocate());
  expect(taken.size).toBe(pool.total);
  expect(Math.max(...taken)).toBe(pool.total - 1);
  expect(() => pool.reserve(1)).toThrowError(expect.objectContaining({ code: 'K42_FCM_POOL_EXHAUSTED' }));
  expect(pool.used()).toBe(pool.total);
  for (const frame of taken) pool.release(frame);
  expect(pool.used()).toBe(0);
  pool.reserve(pool.total);
  expect(() => pool.reserve(pool.total + 1)).toThrowError(
    expect.objectContaining({ code: 'K42_FCM_POOL_EXHAUSTED', needed: pool.total + 1 }),
  );
});
