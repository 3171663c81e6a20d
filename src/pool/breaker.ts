import type { Breaker, Context, Member, State } from './book.js';
import { isUnusable } from './book.js';
import { censusOf } from './census.js';
import type { NoteSink } from './members.js';
import { withBook } from './members.js';
import type { Millis } from './model.js';

const closed: Breaker = { failures: 0, lastFailureAt: 0, until: 0, why: null };

/**
 * A create that came to nothing. `begunAt` is when it was decided: those begun before the last counted failure
 * belong to the same burst and do not lengthen the pause.
 */
export function createFailed(s: State, begunAt: Millis, why: string, c: Context, note: NoteSink): State {
  const b = s.book.breaker;
  if (b.failures > 0 && begunAt <= b.lastFailureAt) return withBook(s, { breaker: { ...b, why } });
  const failures = b.failures + 1;
  const pause = Math.min(c.policy.backoffMaxMs, c.policy.backoffBaseMs * 2 ** Math.min(failures - 1, 30));
  note({
    at: c.now,
    kind: 'breaker',
    detail: `create failed (${failures} in a row), next try in ${pause / 1000} s: ${why}`,
  });
  return withBook(s, { breaker: { failures, lastFailureAt: c.now, until: c.now + pause, why } });
}

export function createSucceeded(s: State): State {
  return s.book.breaker.failures === 0 ? s : withBook(s, { breaker: closed });
}

/**
 * How many creates may be begun now: any number; after a failure none until the pause is over, then one, and no
 * further one while the outcome of one that was decided since is open.
 */
export function createsAllowed({ book }: State, now: Millis): number {
  const { failures, lastFailureAt, until } = book.breaker;
  if (failures === 0) return Number.POSITIVE_INFINITY;
  const isTrial = (m: Member): boolean => isUnusable(m, 'building') && m.bornAt > lastFailureAt;
  return now < until || censusOf(book).unusable.some(isTrial) ? 0 : 1;
}

/**
 * Do failures hold creates back now? Not when the pause is over and nothing is being tried: then no VM is wanted. A
 * worker that were kept out of service by failures of that time would get no job, and no job would ever ask for the
 * VM that could show the cloud well again.
 */
export function holdsBack(s: State, now: Millis): boolean {
  return createsAllowed(s, now) === 0;
}

/** After so many failures in a row, for as long as they hold creates back. */
export function isOpen(s: State, breakerAfter: number, now: Millis): boolean {
  return s.book.breaker.failures >= breakerAfter && holdsBack(s, now);
}
