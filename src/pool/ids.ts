import { createHash } from 'node:crypto';
import type { Attempt, LeaseId, LeaseKey } from './model.js';

/** How two attempts of one job stand to each other. */
export type AttemptOrder = 'same' | 'older' | 'newer' | 'rival';

/** Is `a` the same attempt as `b`, an older one, a newer one, or neither (same start count, other starter)? */
export function compareAttempts(a: Attempt, b: Attempt): AttemptOrder {
  if (a.start !== b.start) return a.start < b.start ? 'older' : 'newer';
  return a.boot === b.boot && a.pid === b.pid && a.ticks === b.ticks ? 'same' : 'rival';
}

/** The id of a request and of the lease that it becomes: both sides can compute it. 32 hexadecimal digits. */
export function leaseIdOf(key: LeaseKey): LeaseId {
  const { start, boot, pid, ticks } = key.attempt;
  const text = JSON.stringify([key.worker, key.job, start, boot, pid, ticks]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32) as LeaseId;
}
