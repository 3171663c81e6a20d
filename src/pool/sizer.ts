import type { Context, Member, Request, State } from './book.js';
import { isDeleting, isUnusable } from './book.js';
import { createsAllowed } from './breaker.js';
import { censusOf } from './census.js';
import { lateMembers } from './late.js';
import { blockedBy, waiting } from './leases.js';
import type { MemberName, Shape } from './model.js';
import { failsAgain, placeOf } from './members.js';
import { quotaRoom, type TightQuota } from './quota.js';
import type { EndedFor, MadeFor } from './reasons.js';

/** A member to be made, and why. */
export interface Wanted extends MadeFor {
  /** Of those that are made because a job waits. It gets whichever VM is Free when it is its turn. */
  readonly request?: Request;
}

/** A Free member to be retired, and why. */
export interface Leaving {
  readonly name: MemberName;
  readonly why: string;
  readonly reason: EndedFor;
}

/** What the pool's size should become: which members to make, and which Free ones to retire. */
export interface Sizing {
  readonly create: readonly Wanted[];
  readonly retire: readonly Leaving[];
  /** Members wanted for the load, between min and max. */
  readonly target: number;
  /** The quota for want of which fewer are made than are wanted. */
  readonly heldBack: TightQuota | null;
}

/** Counts toward the pool's strength although it is Unusable: it is on its way to be ready. */
function isComing(s: State, member: Member): boolean {
  const { state } = member;
  if (state.kind !== 'Unusable' || member.retire !== null || member.hold?.kind === 'drain') return false;
  // A scrub that cannot get through is no promise.
  return state.reason === 'building' || (state.reason === 'scrubbing' && !failsAgain(s, member.name));
}

const byAge = (a: Member, b: Member): number => a.seq - b.seq;

/** Why a member is to be replaced, or null. */
function outdatedWhy(m: Member, shape: Shape, c: Context): string | null {
  if (m.generation !== shape.generation)
    return `the pool's spec has changed (${m.generation} -> ${shape.generation})`;
  if (shape.maxAgeMs !== null && c.now - m.bornAt > shape.maxAgeMs)
    return `older than ${shape.maxAgeMs / 1000} s`;
  if (m.engine === 'stateless') return 'no stack holds it: its create was lost with a killed engine';
  return null;
}

interface Outdated {
  readonly member: Member;
  readonly why: string;
}

/** Those that are to be replaced, oldest first. */
function outdatedOf(members: readonly Member[], shape: Shape, c: Context): Outdated[] {
  const outdated: Outdated[] = [];
  // Nearly always there are none among many, and this is asked in every step: nothing is made for those that are not.
  for (const member of members) {
    const why = outdatedWhy(member, shape, c);
    if (why !== null) outdated.push({ member, why });
  }
  return outdated.sort((a, b) => byAge(a.member, b.member));
}

/**
 * Outdated VMs that are to go before the line is served: a pool that is never idle would otherwise keep its old VMs
 * for ever. `maxSurge` at a time, and none while the cloud refuses new ones.
 */
export function rollUnderLoad(s: State, c: Context): Leaving[] {
  const shape = s.book.shape;
  if (shape === null || s.book.breaker.failures > 0 || s.book.requests.size === 0) return [];
  const { free, unusable } = censusOf(s.book);
  const inChange = unusable.filter(
    (m) => isDeleting(m) || (isUnusable(m, 'building') && m.generation === shape.generation),
  ).length;
  return outdatedOf(free, shape, c)
    .slice(0, Math.max(0, c.policy.maxSurge - inChange))
    .map(({ member, why }) => ({ name: member.name, why, reason: 'outdated' }));
}

/**
 * Decides from what is: waiting requests, leases and spare against what there is. A member that is not gone
 * counts against `max` whatever its state (surge, held, retiring, deleting), so the cloud never holds more.
 */
export function size(s: State, c: Context): Sizing {
  const shape = s.book.shape;
  if (shape === null) return { create: [], retire: [], target: 0, heldBack: null };
  const { busy, free: ready, unusable } = censusOf(s.book);
  const line = waiting(s).filter((r) => blockedBy(s, r) === null);
  const demand = line.length;
  const target = Math.max(shape.min, Math.min(shape.max, demand + busy + shape.spare));
  const free = ready.filter((m) => m.retire === null);
  const late = demand === 0 ? [] : lateMembers(s, c);
  const coming = unusable.filter((m) => isComing(s, m) && !late.includes(m));
  /** Leased, ready, or on its way to be ready. */
  const supply = busy + free.length + coming.length;

  const retire: Leaving[] = [];
  const outdatedFree = outdatedOf(free, shape, c);
  const olderComing = outdatedOf(coming, shape, c);
  const outdatedComing = olderComing.map(({ member }) => member);
  const outdated = outdatedFree.length + outdatedComing.length;
  // What is still being built makes up for nothing yet: were it counted, another one that is well and idle would go in
  // the place of the old one, and yet another be made for that.
  const isBuilding = (m: Member): boolean => isUnusable(m, 'building');
  const standing = (list: readonly Member[]): number => list.filter((m) => !isBuilding(m)).length;
  const fresh = busy + free.length + standing(coming) - outdatedFree.length - standing(outdatedComing);
  /** Members beyond the target for as long as old ones wait for their replacements. */
  const surge = Math.max(0, Math.min(c.policy.maxSurge, outdated, target - fresh));

  // Rolling: an old one goes when those that are ready now make up the strength without it, so that a spec that does
  // not boot never eats the pool up; without room for a replacement, one out, one in. Strength that a waiting request
  // needs is never taken away.
  const room = shape.max - s.book.members.size;
  const inChange =
    unusable.filter(isDeleting).length +
    coming.filter(isBuilding).length -
    outdatedComing.filter(isBuilding).length;
  for (const { member, why } of demand > 0 ? [] : outdatedFree) {
    const replaced = busy + free.length - retire.length - 1 >= target;
    const noRoom = room <= 0 && inChange + retire.length < c.policy.maxSurge;
    if (replaced || noRoom) retire.push({ name: member.name, why, reason: 'outdated' });
  }

  // Shrinking: the newest idle ones go first, so that the members in use stay the same few. While an old one is on its
  // way to be Free, none goes that would be made anew to take its place: the old one goes then, and is the one too many.
  const leavingNow = new Set(retire.map((r) => r.name));
  const old = new Set(outdatedFree.map(({ member }) => member.name));
  let spareFresh = outdated > 0 ? Math.max(0, fresh - target) : Infinity;
  let excess = supply - retire.length - Math.min(shape.max, target + surge);
  for (const member of excess > 0 ? free.toSorted(byAge).reverse() : []) {
    if (excess <= 0) break;
    if (leavingNow.has(member.name)) continue;
    const overMax = supply - retire.length > shape.max;
    if (!overMax && c.now - member.state.since < c.policy.idleBeforeShrinkMs) continue;
    if (!overMax && !old.has(member.name)) {
      if (spareFresh <= 0) continue;
      spareFresh -= 1;
    }
    retire.push({
      name: member.name,
      why: overMax ? `the pool's maximum is ${shape.max}` : 'idle and not needed',
      reason: overMax ? 'above-maximum' : 'idle',
    });
    excess -= 1;
  }

  const wanted = target + surge - (supply - retire.length);
  const allowed = Math.max(0, Math.min(wanted, room, createsAllowed(s, c.now)));
  if (allowed === 0 || s.sight.restUntil !== null) return { create: [], retire, target, heldBack: null };
  const quota = quotaRoom(s, c);
  const heldBack = allowed > quota.room ? quota.tight : null;
  const strength = {
    shape,
    busy,
    line,
    target,
    have: supply - retire.length,
    outdated: [...outdatedFree, ...olderComing],
  };
  const create = wantedOf(Math.min(allowed, quota.room), strength, () =>
    uncountedOf(s, [...free, ...coming]),
  );
  return { create, retire, target, heldBack };
}

interface Strength {
  readonly shape: Shape;
  readonly busy: number;
  /** Waiting requests that can be served. */
  readonly line: readonly Request[];
  readonly target: number;
  /** Members that count: leased, ready, or on their way to be ready. */
  readonly have: number;
  readonly outdated: readonly Outdated[];
}

/**
 * What each of `count` new members is for. What there is serves the line first, then makes up the minimum, then the
 * spare ones; beyond the target only replacements of outdated ones are made.
 */
function wantedOf(count: number, of: Strength, uncounted: () => string): Wanted[] {
  if (count <= 0) return [];
  const { shape, busy, line, target, have, outdated } = of;
  const rest = uncounted();
  return Array.from({ length: count }, (_, i): Wanted => {
    const others = have + i;
    const request = line[others - busy];
    if (request !== undefined)
      return { reason: 'request', detail: `job ${request.key.job} waits for a VM${rest}`, request };
    if (others < shape.min)
      return {
        reason: 'minimum',
        detail: `the pool's minimum is ${shape.min}, and it has ${others}${rest}`,
      };
    if (others < target)
      return { reason: 'spare', detail: `the pool keeps ${shape.spare} Free beyond demand${rest}` };
    const old = outdated[others - target];
    const whom = old === undefined ? 'an older VM' : old.member.name;
    return { reason: 'roll', detail: `takes the place of ${whom}${old === undefined ? '' : `: ${old.why}`}` };
  });
}

/** The first of those that do not count toward the pool's strength: they are what a new one often makes up for. */
function uncountedOf({ book }: State, counted: readonly Member[]): string {
  const counts = new Set(counted.map(({ name }) => name));
  const { free, unusable } = censusOf(book);
  const others = [...free, ...unusable].filter(({ name }) => !counts.has(name));
  if (others.length === 0) return '';
  const named = others
    .slice(0, 3)
    .map(
      (m) => `${m.name} (${m.retire === null || isDeleting(m) ? '' : 'to be retired, '}${placeOf(m.state)})`,
    );
  const more = others.length > named.length ? ` and ${others.length - named.length} more` : '';
  return `; not counted: ${named.join(', ')}${more}`;
}
