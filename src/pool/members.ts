import type { Table, TableIndex } from '../table.js';
import type { Book, Context, Member, Note, Sight, State } from './book.js';
import { without } from './book.js';
import { failureOf } from './failures.js';
import type { Occurrence, Place } from './lifecycle.js';
import { next } from './lifecycle.js';
import type { LeaseId, MemberName, VmState } from './model.js';
import { decisionOf, type EndedFor } from './reasons.js';

/** Collects the history lines of one step. */
export type NoteSink = (note: Note) => void;

export function placeOf(state: VmState): Place {
  return state.kind === 'Unusable' ? state.reason : state.kind;
}

export function putMember(s: State, member: Member): State {
  return { ...s, book: { ...s.book, members: s.book.members.with(member.name, member) } };
}

export function patchMember(s: State, name: MemberName, patch: Partial<Member>): State {
  const member = s.book.members.get(name);
  return member === undefined ? s : putMember(s, { ...member, ...patch });
}

export function withBook(s: State, patch: Partial<Book>): State {
  return { ...s, book: { ...s.book, ...patch } };
}

/** Whoever is held and comes to be here is held again from here. */
const keepsHold: ReadonlySet<Place> = new Set(['Busy', 'lost', 'unreachable', 'error']);

export interface MoveFacts {
  /** Of a grant. */
  readonly lease?: LeaseId;
  /** Why a VM that is to go has to, where the occurrence alone does not tell. */
  readonly ended?: EndedFor;
}

/**
 * Moves a member as the life cycle says, with what always goes with it: a VM that becomes Free has no tenant,
 * and does not become Free when it is to be retired; a VM that is to be held is held when its job ends, and one that is
 * drained as soon as it is clean.
 */
export function moveMember(
  s: State,
  name: MemberName,
  what: Occurrence,
  detail: string,
  c: Context,
  note: NoteSink,
  facts: MoveFacts = {},
): State {
  const member = s.book.members.get(name);
  if (member === undefined) return s;
  const from = placeOf(member.state);
  let to = next(from, what);
  if (to === from) return s;
  let why = detail;
  let ended = facts.ended ?? null;
  const drain = member.hold?.kind === 'drain' ? member.hold : null;
  if (
    from !== 'held' &&
    (to === 'unreachable' || to === 'scrubbing') &&
    member.hold !== null &&
    drain === null
  ) {
    // Its job has ended, or it is back from where it could not be reached: what it was held for is still so.
    to = 'held';
    why = member.hold.why;
  } else if (to === 'scrubbing' && member.tenant !== null && c.policy.reuse === 'never') {
    // Also when it was held in between: nobody gets a VM that had a job.
    to = 'deleting';
    ended = 'not-reused';
    why = `${detail}; VMs are not reused here`;
  } else if (to === 'scrubbing' && c.policy.reuse === 'rebuild' && member.spec.bootVolumeGiB !== null) {
    // Nova leaves a boot volume as it is when it rebuilds (before microversion 2.93): the job's traces would stay.
    to = 'deleting';
    ended = 'not-reused';
    why = `${detail}; a rebuild does not clean a VM that boots from a volume`;
  } else if (to === 'Free' && member.retire !== null) {
    to = 'deleting';
    ended = 'retired';
    why = member.retire;
  } else if (to === 'Free' && drain !== null) {
    to = 'held';
    why = drain.why;
  }
  const state: VmState =
    to === 'Free'
      ? { kind: 'Free', since: c.now }
      : to === 'Busy'
        ? { kind: 'Busy', since: c.now, lease: facts.lease as LeaseId }
        : { kind: 'Unusable', reason: to, since: c.now, detail: why };
  const scrubbed = what === 'scrubbed' || what === 'rebuilt' || to === 'Free';
  const moved: Member = {
    ...member,
    state,
    tenant: scrubbed ? null : member.tenant,
    hold:
      to === 'held'
        ? (member.hold ?? { kind: 'operator', why, at: c.now })
        : keepsHold.has(to) || (drain !== null && to !== 'deleting')
          ? member.hold
          : null,
  };
  const failure = failureOf(from, what, member.retire !== null);
  note({
    at: c.now,
    kind: 'vm',
    member: name,
    ...(failure === null ? {} : { failure }),
    ...(member.tenant === null ? {} : { lease: member.tenant.lease, job: member.tenant.job }),
    from,
    to,
    ...(from === 'building' && to === 'Free' ? { ms: c.now - member.bornAt } : {}),
    ...decisionOf(to, what, ended),
    detail: `${from} -> ${to}: ${why}`,
  });
  const sight = {
    ...s.sight,
    checked: s.sight.checked.without(name),
    using: s.sight.using.without(name),
    silent: without(s.sight.silent, name),
    markers: without(s.sight.markers, name),
  };
  return putMember({ ...s, sight }, moved);
}

/** Forgets a member whose server is gone; its name is remembered as retired. */
export function dropMember(s: State, name: MemberName, detail: string, c: Context, note: NoteSink): State {
  note({ at: c.now, kind: 'vm', member: name, detail: `gone: ${detail}` });
  return {
    book: {
      ...s.book,
      members: s.book.members.without(name),
      retired: s.book.retired.with(name, c.now),
    },
    sight: {
      ...s.sight,
      checked: s.sight.checked.without(name),
      using: s.sight.using.without(name),
      looked: without(s.sight.looked, name),
      inBuild: without(s.sight.inBuild, name),
      silent: without(s.sight.silent, name),
      unlisted: without(s.sight.unlisted, name),
      markers: without(s.sight.markers, name),
    },
  };
}

type Checked = Sight['checked'] extends Table<infer Entry> ? Entry : never;

/** How many members failed their last two checks or more: nearly always none, and then none need be looked up. */
const failingAgain: TableIndex<Checked, number> = {
  empty: 0,
  changed: (count, before, after) =>
    count - Number((before?.failures ?? 0) >= 2) + Number((after?.failures ?? 0) >= 2),
};

/** Did the last two checks of this member fail, or more of them? */
export function failsAgain({ sight }: State, name: MemberName): boolean {
  return sight.checked.index(failingAgain) > 0 && (sight.checked.get(name)?.failures ?? 0) >= 2;
}

/** Remembers that a check of this member has ended, so that the next one keeps its distance. */
export function checked(s: State, name: MemberName, ok: boolean, c: Context): State {
  if (s.book.members.get(name) === undefined) return s;
  const before = s.sight.checked.get(name);
  const entry = { at: c.now, failures: ok ? 0 : (before?.failures ?? 0) + 1 };
  return { ...s, sight: { ...s.sight, checked: s.sight.checked.with(name, entry) } };
}
