import type { Context, Member, State } from './book.js';
import { isDeleting, membersOf } from './book.js';
import { createsAllowed } from './breaker.js';
import { blockedBy, waiting } from './leases.js';
import type { MemberName } from './model.js';

/** What the pool's size should become: how many members to make, and which Free ones to retire and why. */
export interface Sizing {
  readonly create: number;
  readonly retire: readonly { readonly name: MemberName; readonly why: string }[];
  /** Members wanted for the load, between min and max. */
  readonly target: number;
}

/** Counts toward the pool's strength: leased, ready, or on its way to be ready. */
function isSupply(member: Member): boolean {
  if (member.state.kind === 'Busy') return true;
  if (member.retire !== null) return false;
  if (member.state.kind === 'Free') return true;
  return member.state.reason === 'building' || member.state.reason === 'scrubbing';
}

const byAge = (a: Member, b: Member): number => a.seq - b.seq;

/**
 * Decides from what is: waiting requests, leases and spare against what there is. A member that is not gone
 * counts against `max` whatever its state (surge, held, retiring, deleting), so the cloud never holds more.
 */
export function size(s: State, c: Context): Sizing {
  const shape = s.book.shape;
  if (shape === null) return { create: 0, retire: [], target: 0 };
  const members = membersOf(s.book);
  const busy = members.filter((m) => m.state.kind === 'Busy').length;
  const demand = waiting(s).filter((r) => blockedBy(s, r) === null).length;
  const target = Math.max(shape.min, Math.min(shape.max, demand + busy + shape.spare));
  const supply = members.filter(isSupply);
  const free = supply.filter((m) => m.state.kind === 'Free').sort(byAge);

  const isOutdated = (m: Member): string | null => {
    if (m.generation !== shape.generation)
      return `the pool's spec has changed (${m.generation} -> ${shape.generation})`;
    if (shape.maxAgeMs !== null && c.now - m.bornAt > shape.maxAgeMs)
      return `older than ${shape.maxAgeMs / 1000} s`;
    return null;
  };
  const retire: { name: MemberName; why: string }[] = [];
  const outdated = supply.filter((m) => m.state.kind !== 'Busy' && isOutdated(m) !== null);
  const surge = Math.min(c.policy.maxSurge, outdated.length);

  // Rolling: replacements first while there is room, so that strength does not dip; without room, one out, one in.
  // Strength that a waiting request needs is never taken away.
  const room = shape.max - members.length;
  const leaving = members.filter(isDeleting).length;
  const fresh = supply.length - outdated.length;
  for (const member of free) {
    const why = isOutdated(member);
    if (why === null || demand > 0) continue;
    const after = supply.length - retire.length - 1;
    const replaced = after >= target && fresh > 0;
    const noRoom = room <= 0 && leaving + retire.length < c.policy.maxSurge;
    if (replaced || noRoom) retire.push({ name: member.name, why });
    if (retire.length >= c.policy.maxSurge) break;
  }

  // Shrinking: the newest idle ones go first, so that the members in use stay the same few.
  const leavingNow = new Set(retire.map((r) => r.name));
  let excess =
    supply.length - retire.length - Math.max(target, Math.min(shape.max, target + (surge > 0 ? surge : 0)));
  for (const member of [...free].reverse()) {
    if (excess <= 0) break;
    if (leavingNow.has(member.name) || member.state.kind !== 'Free') continue;
    const overMax = supply.length - retire.length > shape.max;
    if (!overMax && c.now - member.state.since < c.policy.idleBeforeShrinkMs) continue;
    retire.push({
      name: member.name,
      why: overMax ? `the pool's maximum is ${shape.max}` : 'idle and not needed',
    });
    excess -= 1;
  }

  const wanted = target + surge - (supply.length - retire.length);
  const create = Math.max(0, Math.min(wanted, room, createsAllowed(s.book.breaker, c.now)));
  return { create, retire, target };
}
