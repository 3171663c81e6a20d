import type { FollowedFrom, ServiceInput, ServiceMember } from '../../stacks/services/plan.js';
import type { Member, State } from './book.js';
import { entryAt, isDeleting, membersOf } from './book.js';

/** Addresses of a member on its `siteNetwork`; null while they are not known. */
export type SiteAddresses = (member: Member) => readonly string[] | null;

/**
 * Has been Free once and is not being retired. Held, silent and Busy ones stay, so that nothing flaps; so does one that
 * is being rebuilt, which is told by `known`.
 */
const isFollowed = (member: Member, known: ReadonlySet<string>): boolean =>
  // `bootId` is set by the welcome that makes a VM Free for the first time.
  !isDeleting(member) && (member.bootId !== null || known.has(member.name));

export type { FollowedFrom };

/** What is known besides the book of whom the services are to be told of. */
export interface Acquaintance {
  /** Whom they were told of before. */
  readonly known: ReadonlySet<string>;
  readonly addressesOf: SiteAddresses;
  /** Whether the cloud was listed as a whole: who has no address then is left out, and keeps nobody waiting. */
  readonly complete: boolean;
}

/**
 * What the services that follow the nodes are told of the pool. `from`: with `first-free` the VMs that were Free once, so
 * that none is watched while it is only building; with `address` all that have an address, for what a VM needs before its
 * first lease; with `disk` the same, and since when each has its disk. Null while addresses of the first may still turn
 * up. Pure.
 */
export function serviceInput(
  s: State,
  { known, addressesOf, complete }: Acquaintance,
  from: FollowedFrom = 'first-free',
): ServiceInput | null {
  const members: ServiceMember[] = [];
  for (const member of membersOf(s.book).toSorted((a, b) => a.seq - b.seq)) {
    const followed = isFollowed(member, known);
    if (isDeleting(member) || !(followed || from !== 'first-free')) continue;
    const addresses = addressesOf(member);
    if (addresses === null || addresses.length === 0) {
      if (followed && !complete) return null;
      continue;
    }
    members.push({
      name: member.name,
      serverId: member.server?.id ?? null,
      addresses: [...addresses],
      flavor: member.spec.flavor,
      image: member.spec.image,
      cell: member.cell,
      bornAt: new Date(member.bornAt).toISOString(),
      ...(from === 'disk' ? { diskSince: new Date(member.diskSince ?? member.bornAt).toISOString() } : {}),
      generation: member.generation,
    });
  }
  return { pool: s.book.pool, members, slots: slotsOf(s) };
}

/** By worker: the pool's `max`, or more while more of its jobs than that wait or run. Pure. */
export function slotsOf(s: State): Record<string, number> {
  const max = s.book.shape?.max;
  if (max === undefined) return {};
  const used: Record<string, number> = {};
  const underWay = [...s.book.requests.values(), ...s.book.leases.values().map((l) => l.request)];
  for (const { key } of underWay) used[key.worker] = (used[key.worker] ?? 0) + 1;
  const workers = new Set([...Object.keys(s.book.workers), ...Object.keys(used)]);
  return Object.fromEntries([...workers].sort().map((worker) => [worker, Math.max(max, used[worker] ?? 0)]));
}

/** One pool's part of what the services are told, where several pools are told of together. */
export interface Followed {
  readonly input: ServiceInput;
  /** The pool's `max`; 0 while it has no shape. */
  readonly max: number;
  /** Whose jobs it takes; null: every worker's. */
  readonly workers: readonly string[] | null;
  /** How many of a worker's processors for Torque one VM counts for. */
  readonly slotsPerVm: number;
}

/**
 * What services are told of several pools at once: all VMs by birth, and for each worker the sum of what the pools give
 * it: to those whose jobs it takes, for each VM as many as it counts for. A pool that has not heard of a worker yet
 * counts with its `max`. `pool` is the one whose stacks the services are.
 * Null while it is not known of one of them: its VMs would be taken out. Pure.
 */
export function followedTogether(pool: string, all: readonly (Followed | null)[]): ServiceInput | null {
  const parts = all.filter((part) => part !== null);
  if (parts.length < all.length) return null;
  const workers = new Set(parts.flatMap(({ input }) => Object.keys(input.slots)));
  const slots = [...workers].sort().map((worker): [string, number] => {
    const each = parts
      .filter((part) => part.workers?.includes(worker) ?? true)
      .map(({ input, max, slotsPerVm }) => (entryAt(input.slots, worker) ?? max) * slotsPerVm);
    return [worker, each.reduce((sum, count) => sum + count, 0)];
  });
  return {
    pool,
    ...(parts.length > 1 ? { pools: parts.map(({ input }) => input.pool) } : {}),
    members: parts
      .flatMap(({ input }) => input.members)
      .toSorted((a, b) => (a.bornAt === b.bornAt ? 0 : a.bornAt < b.bornAt ? -1 : 1)),
    slots: Object.fromEntries(slots),
  };
}
