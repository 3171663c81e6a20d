import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { MomThread } from '../../mom/thread.js';

/** When each of four jobs that are started together begins, in seconds of a clock that is not the wall's. */
async function begins(blockMs: number, prologueMs: number): Promise<number[]> {
  const thread = new MomThread({ blockMs, loopMs: 1000 });
  const began: number[] = [];
  const zero = Date.now();
  const prologue = (): Promise<void> => {
    began.push((Date.now() - zero) / 1000);
    return new Promise((resolve) => setTimeout(resolve, prologueMs));
  };
  const all = Promise.all([1, 2, 3, 4].map(() => thread.start(prologue)));
  await jest.advanceTimersByTimeAsync(200_000);
  await all;
  return began;
}

describe('the double’s mom has one thread', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it.each([
    [5000, [0, 9, 21, 30]],
    [0, [0, 4, 12, 26]],
  ])(
    'four 20 s prologues with $jobstartblocktime %i ms begin as they did under Torque',
    async (block, seen) => {
      const began = await begins(block, 20_000);
      for (const [index, second] of began.entries()) {
        expect(second).toBeGreaterThanOrEqual((seen[index] ?? 0) * 0.85);
        expect(second).toBeLessThanOrEqual((seen[index] ?? 0) * 1.15);
      }
    },
  );

  it('quick prologues do not wait for each other', async () => {
    expect((await begins(0, 0)).at(-1)).toBeLessThan(0.1);
    expect((await begins(5000, 300)).at(-1)).toBeLessThan(1);
  });
});
