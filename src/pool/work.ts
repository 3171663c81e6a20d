import type { CellWish } from '../engine/port.js';
import type { GuestTarget, StageOrder } from '../guest/port.js';
import { Table, type TableIndex } from '../table.js';
import type { Context, Lease, Member, State } from './book.js';
import { entryAt, isDeleting, isUnknownInBuild, membersOf } from './book.js';
import { cellSight } from './engine-events.js';
import { stuckAfter } from './limits.js';
import { placeOf } from './members.js';
import type { LeaseId, MemberName, Millis, ServerId } from './model.js';
import { strayWhy } from './observe.js';
import { cellsDue, wishOf } from './planner.js';
import { isBeingAsked } from './spent.js';

/**
 * What has to be done in the world, derived from the durable state alone. Each item's `key` names the thing it
 * works on: the shell never runs two with the same key at once.
 */
export type Work =
  | {
      readonly kind: 'welcome';
      readonly key: string;
      readonly member: MemberName;
      readonly target: GuestTarget;
      readonly server: ServerId | null;
    }
  | {
      readonly kind: 'probe';
      readonly key: string;
      readonly member: MemberName;
      readonly target: GuestTarget;
      readonly server: ServerId | null;
      /** When a VM of which nothing bad is known was last asked; null where an answer is waited for. */
      readonly routineSince: Millis | null;
    }
  | {
      readonly kind: 'stage';
      readonly key: string;
      readonly member: MemberName;
      readonly target: GuestTarget;
      readonly order: StageOrder;
    }
  | {
      readonly kind: 'scrub';
      readonly key: string;
      readonly member: MemberName;
      readonly target: GuestTarget;
      readonly lease: LeaseId | null;
    }
  /** Of a VM that goes after its job without a scrub: what the job used. */
  | {
      readonly kind: 'measure';
      readonly key: string;
      readonly member: MemberName;
      readonly target: GuestTarget;
      readonly lease: LeaseId;
    }
  | {
      readonly kind: 'rebuild';
      readonly key: string;
      readonly member: MemberName;
      readonly server: ServerId;
      readonly image: string;
      readonly target: GuestTarget | null;
      /** The lease whose traces the rebuild ends; another one's marker stops it. */
      readonly lease: LeaseId | null;
    }
  /** A second look by id. */
  | { readonly kind: 'look'; readonly key: string; readonly member: MemberName; readonly server: ServerId }
  /** A look by id, then a delete through Nova. */
  | { readonly kind: 'end'; readonly key: string; readonly member: MemberName; readonly server: ServerId }
  | {
      readonly kind: 'endStray';
      readonly key: string;
      readonly member: MemberName;
      readonly server: ServerId;
    }
  | { readonly kind: 'converge'; readonly key: string; readonly wish: CellWish };

/** A server that boots is tried often: a waiting job hangs on it. */
export const welcomeEveryMs = 200;
const welcomeSlowMs = 2_000;
const quickWelcomes = 150;
const scrubRetryMs = 2_000;
const stageRetryMs = 500;
const lookEveryMs = 2_000;

function pace(s: State, member: Member, c: Context, every: (failures: number) => Millis): boolean {
  const last = s.sight.checked.get(member.name);
  return last === undefined || c.now - last.at >= every(last.failures);
}

/** Looks by id have a pace of their own: they neither delay probes nor count as an answer of the guest. */
function lookIsDue(s: State, member: Member, c: Context): boolean {
  const last = entryAt(s.sight.looked, member.name);
  return last === undefined || c.now - last >= lookEveryMs;
}

function target(member: Member): GuestTarget | null {
  return member.endpoint === null
    ? null
    : { member: member.name, endpoint: member.endpoint, hostKeys: member.hostKeys };
}

/** Of what is seen, that from which work follows at once; all else of it only says when something was last tried. */
const sightsOfWork = ['unlisted', 'cells', 'unexplored', 'resurfaced'] as const;

/**
 * Can there be work in `after` that `before` did not have? What only comes due with time is found by the next tick: a
 * large idle pool is probed all the while, and a look for work at each answer would be most of what it costs.
 */
export function bringsWork(before: State, after: State): boolean {
  return before.book !== after.book || sightsOfWork.some((key) => before.sight[key] !== after.sight[key]);
}

/** Everything due now. Pure: asking twice gives the same. */
export function workOf(s: State, c: Context): Work[] {
  const work: Work[] = [];
  for (const member of membersOf(s.book)) {
    const item = memberWork(s, member, c);
    if (item !== null) work.push(item);
    const last = measureWork(member, c);
    if (last !== null) work.push(last);
  }
  if (s.book.paused !== undefined) return work;
  for (const stray of Object.values(s.book.strays)) {
    const key = `stray/${stray.server}`;
    if (strayWhy(s, stray.server) !== null)
      work.push({ kind: 'endStray', key, member: stray.name, server: stray.server });
  }
  for (const cell of cellsDue(s, c))
    work.push({ kind: 'converge', key: `cell/${cell}`, wish: wishOf(s, cell) });
  return work;
}

/** By id. Few at a time, while every look for work asks for all Busy members. */
const notReady: TableIndex<Lease, Table<Lease>> = {
  empty: Table.of(),
  changed: (index, before, after) => {
    const left = before === undefined ? index : index.without(before.request.id);
    return after === undefined || after.ready ? left : left.with(after.request.id, after);
  },
};

function memberWork(s: State, member: Member, c: Context): Work | null {
  const key = `member/${member.name}`;
  const name = member.name;
  const to = target(member);
  const server = member.server?.id ?? null;
  const unlisted = entryAt(s.sight.unlisted, name) !== undefined;
  if (isDeleting(member)) return s.book.paused === undefined ? deletingWork(s, member, c) : null;
  // Of a Busy one whose server is known to be gone nothing more is to be learned; any other ends by this look.
  const known = member.state.kind === 'Busy' && member.server?.status === 'GONE';
  if (unlisted && server !== null && !known && lookIsDue(s, member, c)) {
    return { kind: 'look', key, member: name, server };
  }
  const place = placeOf(member.state);
  switch (place) {
    case 'building':
      if (to === null || member.server?.status !== 'ACTIVE') return null;
      return pace(s, member, c, (n) => (n < quickWelcomes ? welcomeEveryMs : welcomeSlowMs))
        ? { kind: 'welcome', key, member: name, target: to, server }
        : null;
    case 'Busy': {
      const lease =
        member.state.kind === 'Busy' ? s.book.leases.index(notReady).get(member.state.lease) : undefined;
      if (lease !== undefined && to !== null) {
        const { request } = lease;
        const order: StageOrder = {
          lease: request.id,
          key: request.key,
          user: request.user,
          publicKey: request.publicKey,
          environment: {},
          ...(request.limits === undefined ? {} : { limits: request.limits }),
        };
        return pace(s, member, c, () => stageRetryMs)
          ? { kind: 'stage', key, member: name, target: to, order }
          : null;
      }
      return probeWork(s, member, c, probePeriod(s, c));
    }
    case 'Free':
      return probeWork(s, member, c, probePeriod(s, c));
    case 'held': {
      // It may have no address to be probed at: a look by id tells whether it is still being built.
      const stuck = isUnknownInBuild(member) && c.now > stuckAfter(member, c);
      const lookDue = c.now - (entryAt(s.sight.looked, name) ?? -Infinity) >= c.policy.recheckEveryMs;
      if (stuck && server !== null && lookDue) return { kind: 'look', key, member: name, server };
      return probeWork(s, member, c, c.policy.recheckEveryMs);
    }
    case 'unreachable':
    case 'error':
      return probeWork(s, member, c, c.policy.recheckEveryMs);
    case 'scrubbing': {
      if (c.policy.reuse === 'rebuild' && server !== null) {
        return pace(s, member, c, () => scrubRetryMs)
          ? {
              kind: 'rebuild',
              key,
              member: name,
              server,
              image: member.spec.pinned?.image ?? member.spec.image,
              target: to,
              lease: member.tenant?.lease ?? null,
            }
          : null;
      }
      if (to === null) return null;
      return pace(s, member, c, () => scrubRetryMs)
        ? { kind: 'scrub', key, member: name, target: to, lease: member.tenant?.lease ?? null }
        : null;
    }
    case 'lost':
      return server !== null && lookIsDue(s, member, c) ? { kind: 'look', key, member: name, server } : null;
    case 'deleting':
      return null;
  }
}

/** Beside what ends the VM, which waits for it a little (`cellsDue`). */
function measureWork(member: Member, c: Context): Work | null {
  const to = target(member);
  if (to === null || member.tenant === null || !isBeingAsked(member, c.now)) return null;
  const { name, tenant } = member;
  return { kind: 'measure', key: `measure/${name}`, member: name, target: to, lease: tenant.lease };
}

/** Each probe is packets, a script on the VM and a step of the core: their number is not to grow with the pool for ever. */
export const mostProbesASecond = 4;

/** Between two probes of a Free or Busy VM: longer than the policy says where there are so many VMs. */
function probePeriod({ book }: State, c: Context): Millis {
  return Math.max(c.policy.probeEveryMs, (book.members.size / mostProbesASecond) * 1_000);
}

function probeWork(s: State, member: Member, c: Context, everyMs: Millis): Work | null {
  const to = target(member);
  if (to === null) return null;
  // After a first failure the second opinion comes soon.
  const every = (failures: number): Millis => (failures === 1 ? Math.min(2_000, everyMs) : everyMs);
  if (!pace(s, member, c, every)) return null;
  const last = s.sight.checked.get(member.name);
  const isRoutine = member.state.kind !== 'Unusable' && last?.failures === 0;
  return {
    kind: 'probe',
    key: `member/${member.name}`,
    member: member.name,
    target: to,
    server: member.server?.id ?? null,
    routineSince: isRoutine ? last.at : null,
  };
}

/** Who ends a member's server: Pulumi while it can, Nova for what Pulumi does not hold, hangs on or is too slow for. */
function deletingWork(s: State, member: Member, c: Context): Work | null {
  const server = member.server?.id;
  if (server === undefined || !lookIsDue(s, member, c)) return null;
  const stuck = member.engine === 'planned' && cellSight(s, member.cell).running;
  const slow = c.now - member.state.since > c.policy.deleteFallbackMs;
  const byNova = member.engine === 'stateless' || member.engine === 'dropped' || stuck || slow;
  if (byNova) return { kind: 'end', key: `member/${member.name}`, member: member.name, server };
  return null;
}
