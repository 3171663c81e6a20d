import type { Context, Member, State } from './book.js';
import { isUnexplained } from './book.js';
import { placeOf } from './members.js';
import type { Millis } from './model.js';

/** How long a member may stay where it is; null: for ever. */
export function limitOf(member: Member, c: Context): Millis | null {
  const place = placeOf(member.state);
  switch (place) {
    case 'building':
      return c.policy.bootLimitMs;
    case 'unreachable':
      return c.policy.unreachableLimitMs;
    case 'error':
      return c.policy.errorLimitMs;
    case 'scrubbing':
      return c.policy.scrubLimitMs;
    case 'lost':
      return c.policy.errorLimitMs;
    case 'held':
      return isUnexplained(member) ? null : c.policy.heldLimitMs;
    case 'Free':
    case 'Busy':
    case 'deleting':
      return null;
  }
}

/** Time in which the service was down counts against no VM: each is looked at before it is given up. */
export function isUnseen(s: State, c: Context): boolean {
  const grace = Math.max(30_000, 3 * c.policy.recheckEveryMs);
  return s.sight.startedAt > 0 && c.now - s.sight.startedAt < grace;
}

/**
 * Until when a server of ours that the store does not know may be in BUILD: its time counts from its create or, by a
 * clock of another machine, from its finding.
 */
export function stuckAfter(member: Member, c: Context): Millis {
  return Math.max(member.bornAt, member.hold?.at ?? member.bornAt) + c.policy.bootLimitMs;
}
