import type { Millis } from '../pool/model.js';

/** Time for everything that decides or waits. */
export interface Clock {
  /** Pool time: wall-clock milliseconds that never run backwards. */
  now(): Millis;
  /** Resolves after `ms`, or at once when the signal fires (it never rejects). */
  sleep(ms: Millis, signal: AbortSignal): Promise<void>;
}

/**
 * Pool time starts from the wall clock, but never before `notBefore` (the newest time that the book has seen),
 * and then follows the monotonic clock: a step of the wall clock shortens or lengthens no time-out.
 */
export function poolClock(notBefore: Millis): Clock {
  const anchor = Math.max(Date.now(), notBefore);
  const started = performance.now();
  return {
    now: () => Math.floor(anchor + (performance.now() - started)),
    sleep: (ms, signal) => sleep(ms, signal),
  };
}

/** Waits for `ms` milliseconds or until the signal fires, whichever is first. */
export function sleep(ms: Millis, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
