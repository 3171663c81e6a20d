/** When a failed exchange is worth another try. Pure: time and chance come in. */

export interface RetryPolicy {
  /** Tries in all, the first one included. */
  readonly maxTries: number;
  readonly baseMs: number;
  readonly maxMs: number;
  /** A server that asks for a longer pause than this is not waited for: the caller hears of it instead. */
  readonly longestRetryAfterMs: number;
}

export const defaultRetryPolicy: RetryPolicy = {
  maxTries: 4,
  baseMs: 250,
  maxMs: 5_000,
  longestRetryAfterMs: 15_000,
};

/** Statuses that a later try may not meet: too many requests, a service or a proxy that is not well. */
export function isPassing(status: number): boolean {
  return status === 413 || status === 429 || (status >= 500 && status !== 501);
}

/** Retry-After in milliseconds: seconds or an HTTP date; null when absent or unreadable. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | null {
  const text = header?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000);
  if (!/^[A-Za-z]{3},? /.test(text)) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

/** Pause before try number `tries + 1`, or null to give up. `random` in [0, 1). */
export function pauseBeforeRetry(
  policy: RetryPolicy,
  tries: number,
  askedMs: number | null,
  random: number,
): number | null {
  if (tries >= policy.maxTries) return null;
  if (askedMs !== null) {
    // A little more than asked, so that many callers told the same second do not come back together.
    return askedMs > policy.longestRetryAfterMs ? null : askedMs + Math.floor(random * policy.baseMs);
  }
  const ceiling = Math.min(policy.maxMs, policy.baseMs * 2 ** (tries - 1));
  return Math.floor(ceiling / 2 + (random * ceiling) / 2);
}
