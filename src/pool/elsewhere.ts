import type { State } from './book.js';
import { leaseIdOf } from './ids.js';
import { blockedBy, standingOf, type AskOutcome } from './leases.js';
import type { LeaseId, LeaseKey, Millis } from './model.js';

/** What one of several pools says of an attempt that is to have its VM of another of them. */
export type PoolStanding =
  /** Nothing of its job is here. */
  | { readonly kind: 'free' }
  /** This very request or its lease lives here. */
  | { readonly kind: 'here' }
  /** An earlier start lives here and is to be ended first. */
  | { readonly kind: 'earlier'; readonly id: LeaseId }
  /** It is not to be served, or (`rival-attempt`) not yet. */
  | Extract<AskOutcome, { kind: 'refused' }>;

/**
 * How an attempt stands to this pool's book. What a single book sees to by itself holds for several together: two
 * attempts of a job never have VMs at the same time, a stale one gets none, and a newer one is not served before the
 * VM of the earlier is clean. Pure.
 */
export function standingIn(s: State, key: LeaseKey, now: Millis): PoolStanding {
  const standing = standingOf(s, key);
  switch (standing.kind) {
    case 'known':
      return { kind: 'here' };
    case 'refused':
      return standing;
    case 'newer':
      return { kind: 'earlier', id: standing.live.request.id };
    case 'new': {
      const blocker = blockedBy(s, { id: leaseIdOf(key), key, askedAt: now });
      if (blocker === null) return { kind: 'free' };
      return {
        kind: 'refused',
        code: 'rival-attempt',
        detail: `an earlier start of job ${key.job} may still be on ${blocker.name} of pool ${s.book.pool}`,
      };
    }
  }
}
