import type { Context, Member, State } from './book.js';
import { entryAt, isUnexplained, isUnknownInBuild, membersOf, stuckSince, without } from './book.js';
import { createFailed } from './breaker.js';
import { compareAttempts } from './ids.js';
import { expireLeases, grantAll, hasEnded } from './leases.js';
import type { NoteSink } from './members.js';
import { dropMember, moveMember, patchMember, placeOf, putMember, withBook } from './members.js';
import type { Millis } from './model.js';
import { decideMembers } from './planner.js';
import { isSameQuota } from './quota.js';
import { rollUnderLoad, size } from './sizer.js';

/** A server that a lost create may still bring is waited for so long before its name is given up. */
const lateCreateMs = 30_000;
/** A look by id no older than this tells how things are now. */
const freshLookMs = 2_000;
/** Names retired longer ago than this are forgotten: a server that turns up under one is then held, not deleted. */
const rememberRetiredMs = 24 * 3600 * 1000;

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

/** What follows from the mere passing of time and from everything that was seen: the same from whatever came before. */
export function settle(s: State, c: Context, note: NoteSink): State {
  let state = expireLeases(s, c, note);
  for (const member of membersOf(state.book)) state = expireMember(state, member, c, note);
  state = forget(state, c);
  for (const { name, why } of rollUnderLoad(state, c)) {
    state = patchMember(state, name, { retire: why });
    state = moveMember(state, name, 'overdue', why, c, note);
  }
  state = grantAll(state, c, note);
  const sizing = size(state, c);
  for (const { name, why } of sizing.retire) {
    state = patchMember(state, name, { retire: why });
    state = moveMember(state, name, 'overdue', why, c, note);
  }
  const { heldBack } = sizing;
  if (!isSameQuota(state.sight.heldBack, heldBack)) state = { ...state, sight: { ...state.sight, heldBack } };
  return decideMembers(state, sizing.create, c, note);
}

function expireMember(s: State, member: Member, c: Context, note: NoteSink): State {
  const { name } = member;
  const place = placeOf(member.state);
  const unlistedSince = entryAt(s.sight.unlisted, name);
  const unlistedFor = unlistedSince === undefined ? null : c.now - unlistedSince;
  if (place === 'deleting') {
    if (member.server !== null) return s;
    if (member.engine === 'dropped') return dropMember(s, name, stateDetail(member), c, note);
    const gaveUp = member.engine === 'stateless' && unlistedFor !== null && unlistedFor >= lateCreateMs;
    return gaveUp ? dropMember(s, name, stateDetail(member), c, note) : s;
  }
  if (place === 'Free' && member.retire !== null)
    return moveMember(s, name, 'overdue', member.retire, c, note);
  if (place === 'held') return explain(s, member, c, note);
  const late = unlistedFor !== null && unlistedFor >= lateCreateMs;
  if (place === 'building' && member.engine === 'stateless' && member.server === null && late) {
    return moveMember(
      s,
      name,
      'createFailed',
      'its create was lost with a killed engine and no server came of it',
      c,
      note,
    );
  }
  const limit = limitOf(member, c);
  if (limit === null || c.now - member.state.since <= limit || isUnseen(s, c)) return s;
  const last = entryAt(s.sight.silent, name)?.why ?? stateDetail(member);
  const why = `${place} for longer than ${limit / 1000} s: ${last}`;
  const state = place === 'building' ? createFailed(s, member.bornAt, why, c, note) : s;
  return moveMember(state, name, 'overdue', why, c, note);
}

/** Time in which the service was down counts against no VM: each is looked at before it is given up. */
function isUnseen(s: State, c: Context): boolean {
  const grace = Math.max(30_000, 3 * c.policy.recheckEveryMs);
  return s.sight.startedAt > 0 && c.now - s.sight.startedAt < grace;
}

function stateDetail(member: Member): string {
  return member.state.kind === 'Unusable' ? member.state.detail : member.state.kind;
}

/**
 * A held VM whose story is now known. One that the store did not know, or that bears a stranger's marker, is
 * explained once its marker was read and every worker has said which jobs it has: a job that lives gets its lease
 * back if the marker bears this service's seal; a VM without one is retired (its baseline is not to be trusted), or verified when the store knew it before.
 * An operator's hold waits for the operator.
 */
function explain(s: State, member: Member, c: Context, note: NoteSink): State {
  const hold = member.hold;
  if (hold === null || hold.kind === 'operator' || hold.kind === 'copy-back')
    return overdueHold(s, member, c, note);
  const seen = entryAt(s.sight.markers, member.name);
  if (neverBooted(s, member, c)) {
    const why = `a server that the store does not know has been in BUILD for longer than ${c.policy.bootLimitMs / 1000} s and never answered: no job can be on it`;
    return moveMember(s, member.name, 'overdue', why, c, note);
  }
  if (seen === undefined || seen.at < hold.at) return overdueHold(s, member, c, note);
  const marker = seen.marker;
  // The worker on the marker has to speak for itself even when the configuration no longer names it.
  const asked = marker === null || !isUnexplained(member) ? c.workers : [...c.workers, marker.key.worker];
  const silentWorker = asked.find((w) => (entryAt(s.book.workers, w)?.syncedAt ?? 0) <= hold.at);
  if (silentWorker !== undefined) return overdueHold(s, member, c, note);
  const jobLives =
    marker !== null && (entryAt(s.book.workers, marker.key.worker)?.jobs.includes(marker.key.job) ?? false);
  if (marker === null && hold.kind === 'restored') {
    const state = patchMember(s, member.name, { hold: null });
    return moveMember(
      state,
      member.name,
      'unheld',
      'no job is on it: verified before it is leased again',
      c,
      note,
    );
  }
  if (marker === null || !jobLives) {
    const why = marker === null ? 'no job is on it' : `its job ${marker.key.job} has ended`;
    return moveMember(
      s,
      member.name,
      'overdue',
      `${hold.kind} VM explained: ${why}; it is not used again`,
      c,
      note,
    );
  }
  // This book has kept every lease that it ever gave: a marker it does not expect was written by a job that was root.
  if (hold.kind === 'foreign-marker') return overdueHold(s, member, c, note);
  const rival = Object.values(s.book.leases).find((l) => l.request.key.job === marker.key.job);
  const request = entryAt(s.book.requests, marker.lease);
  // Another attempt of the job may wait: one asked for after the VM was held, or with a greater start count, has
  // followed the one on the VM; any other was before it and came back with an earlier copy of the store.
  const other = Object.values(s.book.requests).find(
    (r) => r.key.job === marker.key.job && r.id !== marker.lease,
  );
  const order = other === undefined ? 'same' : compareAttempts(marker.key.attempt, other.key.attempt);
  const newer = other !== undefined && (order === 'older' || (order === 'rival' && other.askedAt >= hold.at));
  const stale = newer || (rival !== undefined && rival.member !== member.name) || hasEnded(s, marker.key);
  if (stale) {
    return moveMember(
      s,
      member.name,
      'overdue',
      `${hold.kind} VM explained: its attempt of job ${marker.key.job} is over`,
      c,
      note,
    );
  }
  // Without this service's seal it may have been, too: what runs there need not be the job that it names.
  if (!marker.authentic) return overdueHold(s, member, c, note);
  note({
    at: c.now,
    kind: 'lease',
    lease: marker.lease,
    member: member.name,
    job: marker.key.job,
    detail: 'restored from the marker on the VM',
  });
  const seq = s.book.seq + 1;
  const restored = {
    request: request ?? {
      id: marker.lease,
      key: marker.key,
      user: marker.user,
      publicKey: '',
      processors: 1,
      queue: '',
      jobName: '',
      seq,
      askedAt: hold.at,
    },
    member: member.name,
    grantedAt: c.now,
    ready: true,
  };
  const requests = without(without(s.book.requests, marker.lease), other?.id ?? '');
  return putMember(withBook(s, { seq, requests, leases: { ...s.book.leases, [marker.lease]: restored } }), {
    ...member,
    state: { kind: 'Busy', since: c.now, lease: marker.lease },
    tenant: { lease: marker.lease, worker: marker.key.worker, job: marker.key.job },
    retire: 'its baseline is not known',
    hold: null,
  });
}

/**
 * A server of ours that the store lost with its create still open, and that hangs in BUILD: it has no marker to be
 * read, and would take room for ever. No job was ever on a server that Nova never called ACTIVE. It goes when every
 * worker has spoken since it was found, and a look by id at this moment, its time being over, still shows BUILD.
 */
function neverBooted(s: State, member: Member, c: Context): boolean {
  if (!isUnknownInBuild(member) || entryAt(s.sight.markers, member.name) !== undefined) return false;
  const overdueAt = stuckSince(member) + c.policy.bootLimitMs;
  const seen = entryAt(s.sight.inBuild, member.name);
  return (
    seen !== undefined &&
    seen > overdueAt &&
    c.now - seen <= freshLookMs &&
    !isUnseen(s, c) &&
    c.workers.every((w) => (entryAt(s.book.workers, w)?.syncedAt ?? 0) > (member.hold?.at ?? Infinity))
  );
}

function overdueHold(s: State, member: Member, c: Context, note: NoteSink): State {
  const limit = limitOf(member, c);
  if (limit === null || c.now - member.state.since <= limit) return s;
  return moveMember(s, member.name, 'overdue', `held for longer than ${limit / 1000} s`, c, note);
}

function forget(s: State, c: Context): State {
  const old = Object.entries(s.book.retired).filter(([, at]) => c.now - at > rememberRetiredMs);
  if (old.length === 0) return s;
  const retired = { ...s.book.retired };
  for (const [name] of old) delete retired[name];
  return withBook(s, { retired });
}
