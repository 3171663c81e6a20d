import { setTimeout as wait } from 'node:timers/promises';

/** Time and chance as this part needs them. */
export interface CloudClock {
  /** Milliseconds since the epoch; also used for token ages, so a jump costs at most one renewal or a 401. */
  now(): number;
  /** Rejects with the signal's reason when it fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** In [0, 1). */
  random(): number;
}

export const systemClock: CloudClock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    try {
      await wait(ms, undefined, { signal });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  },
  random: () => Math.random(),
};
