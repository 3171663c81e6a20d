import type { Context, Member, State } from './book.js';
import { isUnusable } from './book.js';
import { censusOf } from './census.js';
import type { Millis } from './model.js';

const remembered = 8;
const enough = 3;
/** Twice the usual time is late; but boots that take seconds differ by seconds for no reason. */
const [lateFactor, leastLateMs] = [2, 10_000];

/** Its first boot? One that was rebuilt later shows that its image boots, not that the cloud gives new servers again. */
export function isFirst(member: Member): boolean {
  return member.state.since === member.bornAt;
}

/** The times from decision to Free of the last VMs, with one more. */
export const withBoot = (boots: readonly Millis[], ms: Millis): readonly Millis[] =>
  [...boots, ms].slice(-remembered);

/** When a VM that is being built is late, by how long those before it took; null while that is not known. */
export function lateAfter(boots: readonly Millis[]): Millis | null {
  if (boots.length < enough) return null;
  const usual = boots.toSorted((a, b) => a - b)[boots.length >> 1] as Millis;
  return Math.max(lateFactor * usual, usual + leastLateMs);
}

/**
 * VMs on whose coming nobody counts any more although their boot's limit is not over: all who wait behind one that is
 * stuck get a VM later by its place in the line, and the last of them only after that limit. Few at a time, and none while
 * creates fail: where the whole cloud is slow, each would be made twice. To be asked only while a request waits.
 */
export function lateMembers(s: State, c: Context): readonly Member[] {
  const limit = lateAfter(s.sight.boots);
  if (limit === null || s.book.breaker.failures > 0) return [];
  return censusOf(s.book)
    .unusable.filter((m) => isUnusable(m, 'building') && isFirst(m) && c.now - m.bornAt > limit)
    .slice(0, c.policy.maxSurge);
}
