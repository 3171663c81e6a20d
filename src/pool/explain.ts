import type { Context, Hold, Lease, MarkerSeen, Member, Request, State } from './book.js';
import { entryAt, isUnexplained, isUnknownInBuild } from './book.js';
import { compareAttempts } from './ids.js';
import { endLive, hasEnded } from './leases.js';
import { isUnseen, limitOf, stuckAfter } from './limits.js';
import type { NoteSink } from './members.js';
import { moveMember, patchMember, putMember, withBook } from './members.js';
import { decided } from './reasons.js';

/** A look by id no older than this tells how things are now. */
const freshLookMs = 2_000;

type Marker = NonNullable<MarkerSeen['marker']>;

/**
 * A held VM whose story is now known. One that the store did not know, or that bears a stranger's marker, is
 * explained once its marker was read and every worker has said which jobs it has: a job that lives gets its lease
 * back if the marker bears this service's seal; a VM without one is retired (its baseline is not to be trusted), or verified when the store knew it before.
 * An operator's hold waits for the operator.
 */
export function explain(s: State, member: Member, c: Context, note: NoteSink): State {
  const hold = member.hold;
  if (hold === null) return overdueHold(s, member, c, note);
  if (hold.kind === 'operator' || hold.kind === 'drain' || hold.kind === 'copy-back') {
    const { limitMs } = hold;
    if (limitMs === undefined || c.now - member.state.since <= limitMs)
      return overdueHold(s, member, c, note);
    const why = `held for ${limitMs / 1000} s, as long as was asked: ${hold.why}`;
    return moveMember(s, member.name, 'unheld', why, c, note);
  }
  const seen = entryAt(s.sight.markers, member.name);
  if (neverBooted(s, member, c)) {
    const why = `a server that the store does not know has been in BUILD for longer than ${c.policy.bootLimitMs / 1000} s and never answered: no job can be on it`;
    return moveMember(s, member.name, 'overdue', why, c, note, { ended: 'never-booted' });
  }
  if (seen === undefined || seen.at < hold.at) return overdueHold(s, member, c, note);
  const marker = seen.marker;
  // The worker on the marker has to speak for itself even when the configuration no longer names it.
  const asked = marker === null || !isUnexplained(member) ? c.workers : [...c.workers, marker.key.worker];
  const silentWorker = asked.find((w) => (entryAt(s.book.workers, w)?.syncedAt ?? 0) <= hold.at);
  if (silentWorker !== undefined) return overdueHold(s, member, c, note);
  const jobLives =
    marker !== null && (entryAt(s.book.workers, marker.key.worker)?.jobs.includes(marker.key.job) ?? false);
  // Nobody has been there whom the copy of the store does not know of.
  const asKnown =
    hold.kind === 'restored' &&
    (marker === null || (marker.lease === member.tenant?.lease && (!jobLives || hasEnded(s, marker.key))));
  if (asKnown) return stands(s, member, hold, marker, c, note);
  if (marker === null || !jobLives) {
    const why = marker === null ? 'no job is on it' : `its job ${marker.key.job} has ended`;
    return endExplained(s, member, `${why}; it is not used again`, c, note);
  }
  // This book has kept every lease that it ever gave: a marker it does not expect was written by a job that was root.
  if (hold.kind === 'foreign-marker') return overdueHold(s, member, c, note);
  const { rival, waiting, over } = othersOf(s, member, hold, marker);
  if (over) return endExplained(s, member, `its attempt of job ${marker.key.job} is over`, c, note);
  // Without this service's seal it may have been, too: what runs there need not be the job that it names.
  if (!marker.authentic) return overdueHold(s, member, c, note);
  const ended =
    rival === null
      ? s
      : endLive(s, { request: rival.request, lease: rival }, 'a later attempt runs on another VM', c, note);
  return giveBack(ended, member, hold, marker, waiting, c, note);
}

/** What the copy of the store says of the VM is still so: it is verified, or held for what it was held for. */
function stands(
  s: State,
  member: Member,
  hold: Hold,
  marker: Marker | null,
  c: Context,
  note: NoteSink,
): State {
  const state = patchMember(s, member.name, { hold: hold.before ?? null });
  if (hold.before !== undefined) return state;
  const why = marker === null ? 'no job is on it' : `its job ${marker.key.job} has ended`;
  return moveMember(state, member.name, 'unheld', `${why}: verified before it is leased again`, c, note);
}

function endExplained(s: State, member: Member, why: string, c: Context, note: NoteSink): State {
  const detail = `${member.hold?.kind ?? ''} VM explained: ${why}`;
  return moveMember(s, member.name, 'overdue', detail, c, note, { ended: 'explained' });
}

interface Others {
  /** A lease of another attempt of the job that the one on the VM has followed. */
  readonly rival: Lease | null;
  /** A waiting request of another attempt, before the one on the VM. */
  readonly waiting: Request | null;
  /** The attempt on the VM is the one that was followed, or has ended. */
  readonly over: boolean;
}

/**
 * Other attempts of the job that the marker names. One asked for (or served) after the VM was held, or with a greater
 * start count, has followed the one on the VM; any other was before it and came back with an earlier copy of the store.
 */
function othersOf(s: State, member: Member, hold: Hold, marker: Marker): Others {
  const { job, attempt } = marker.key;
  const lease = s.book.leases.values().find((l) => l.request.key.job === job && l.member !== member.name);
  const request = s.book.requests.values().find((r) => r.key.job === job && r.id !== marker.lease);
  const follows = (other: Request, since: number): boolean => {
    const order = compareAttempts(attempt, other.key.attempt);
    return order === 'older' || order === 'same' || (order === 'rival' && since >= hold.at);
  };
  const over =
    hasEnded(s, marker.key) ||
    (lease !== undefined && follows(lease.request, lease.grantedAt)) ||
    (request !== undefined && follows(request, request.askedAt));
  return { rival: lease ?? null, waiting: request ?? null, over };
}

/** The VM is Busy again under the lease that its marker names. */
function giveBack(
  s: State,
  member: Member,
  hold: Hold,
  marker: Marker,
  waiting: Request | null,
  c: Context,
  note: NoteSink,
): State {
  note({
    at: c.now,
    kind: 'lease',
    lease: marker.lease,
    member: member.name,
    job: marker.key.job,
    ...decided('leased', 'marker'),
    detail: 'restored from the marker on the VM',
  });
  const seq = s.book.seq + 1;
  const lease: Lease = {
    request: s.book.requests.get(marker.lease) ?? {
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
  const requests = s.book.requests.without(marker.lease).without(waiting?.id ?? '');
  return putMember(withBook(s, { seq, requests, leases: s.book.leases.with(marker.lease, lease) }), {
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
  const overdueAt = stuckAfter(member, c);
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
