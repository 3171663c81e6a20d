import type { Context, Lease, Member, State } from './book.js';
import { entryAt, isDeleting } from './book.js';
import { exitCodeOf, jobEndOf, measuredText, type Measured } from './measured.js';
import type { NoteSink } from './members.js';
import { patchMember } from './members.js';
import type { LeaseId, MemberName, Millis } from './model.js';

/** Statuses of Nova's under which no job goes on. */
const notRunning = new Set(['GONE', 'DELETED', 'SOFT_DELETED', 'SHUTOFF', 'ERROR']);

function isLost(s: State, member: Member): boolean {
  return (
    notRunning.has(member.server?.status ?? '') ||
    entryAt(s.sight.silent, member.name) !== undefined ||
    entryAt(s.sight.unlisted, member.name) !== undefined
  );
}

/** A lease has ended: what is known of it stays with its VM until that was asked what the job used. */
export function tenantEnded(s: State, lease: Lease, exit: number | null, c: Context): State {
  const member = s.book.members.get(lease.member);
  if (member?.tenant?.lease !== lease.request.id) return s;
  const { user, queue, processors } = lease.request;
  const ended = {
    ...{ at: c.now, user: user.name, queue, processors, flavor: member.spec.flavor },
    ...{ grantedAt: lease.grantedAt, ready: lease.ready, lost: isLost(s, member), exit },
  };
  return patchMember(s, member.name, { tenant: { ...member.tenant, ended } });
}

/** A VM that is to go waits so long for its answer. */
const askLimitMs = 5_000;

/** On its way out after a job, and not yet asked what that used. */
export function isBeingAsked(member: Member, now: Millis): boolean {
  return (
    member.tenant?.ended !== undefined &&
    member.endpoint !== null &&
    isDeleting(member) &&
    member.server?.status === 'ACTIVE' &&
    now - member.state.since < askLimitMs
  );
}

/** Tells once what an ended lease used, null for what can be asked no more. Nothing where there is nothing to tell. */
export function spent(
  s: State,
  name: MemberName,
  measured: Measured | null,
  c: Context,
  note: NoteSink,
): State {
  const tenant = s.book.members.get(name)?.tenant;
  if (tenant?.ended === undefined) return s;
  const { ended, ...rest } = tenant;
  const end = jobEndOf(ended, measured);
  note({
    at: c.now,
    kind: 'job-ended',
    member: name,
    lease: tenant.lease,
    job: tenant.job,
    worker: tenant.worker,
    user: ended.user,
    queue: ended.queue,
    spent: { ...ended, end, measured },
    detail: measuredText(end, exitCodeOf(ended, measured), measured),
  });
  return patchMember(s, name, { tenant: rest });
}

/** The answer of a VM that is not scrubbed after its job. */
export function measuredOn(
  s: State,
  name: MemberName,
  lease: LeaseId,
  measured: Measured | null,
  c: Context,
  note: NoteSink,
): State {
  return s.book.members.get(name)?.tenant?.lease === lease ? spent(s, name, measured, c, note) : s;
}
