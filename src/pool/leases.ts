import { indexBy } from '../table.js';
import type { Context, EndedJob, Lease, LeaseFacts, Member, Note, Request, State } from './book.js';
import { entryAt, isUnexplained, without } from './book.js';
import { censusOf } from './census.js';
import { compareAttempts, leaseIdOf } from './ids.js';
import type { NoteSink } from './members.js';
import { moveMember, patchMember, putMember, withBook } from './members.js';
import type { JobLimits } from './measured.js';
import { decided } from './reasons.js';
import { tenantEnded } from './spent.js';
import type { Attempt, JobUser, LeaseId, LeaseKey, Millis } from './model.js';

export interface Ask {
  readonly key: LeaseKey;
  readonly user: JobUser;
  readonly publicKey: string;
  readonly processors: number;
  readonly queue: string;
  readonly jobName: string;
  readonly limits?: JobLimits | undefined;
  readonly maxWaitMs?: Millis | undefined;
}

export type AskOutcome =
  | { readonly kind: 'accepted'; readonly id: LeaseId }
  | { readonly kind: 'refused'; readonly code: 'stale-attempt' | 'rival-attempt'; readonly detail: string };

export type ReleaseOutcome = { readonly ended: readonly LeaseId[]; readonly detail: string };

export interface Live {
  readonly request: Request;
  readonly lease: Lease | null;
}

const leasesByJob = indexBy<Lease>((lease) => lease.request.key.job);
const requestsByJob = indexBy<Request>((request) => request.key.job);

/** Everything that lives for a job: at most one request or lease. */
function liveOf({ book }: State, job: string): Live | null {
  const lease = book.leases.index(leasesByJob).get(job)?.[0];
  if (lease !== undefined) return { request: lease.request, lease };
  const request = book.requests.index(requestsByJob).get(job)?.[0];
  return request === undefined ? null : { request, lease: null };
}

/** What one worker says of a start that this book does not know binds that worker alone: `worker job`. */
const wordOf = (key: LeaseKey): string => `${key.worker} ${key.job}`;

/** Has this attempt, or a later start of its job, ended as far as the book knows? */
export function hasEnded(s: State, key: LeaseKey): boolean {
  return (
    isEnded(s.book.ended.get(key.job), key.attempt) || isEnded(s.book.ended.get(wordOf(key)), key.attempt)
  );
}

function isEnded(ended: EndedJob | undefined, attempt: Attempt): boolean {
  if (ended === undefined) return false;
  if (attempt.start !== ended.start) return attempt.start < ended.start;
  return ended.attempts.some((e) => compareAttempts(e.attempt, attempt) === 'same');
}

function rememberEnd(s: State, key: LeaseKey, detail: string, c: Context, under: string = key.job): State {
  const id = leaseIdOf(key);
  const before = s.book.ended.get(under);
  const entry = { attempt: key.attempt, id };
  const start = key.attempt.start;
  if (before !== undefined && before.start > start) return s;
  const attempts =
    before !== undefined && before.start === start ? before.attempts.filter((e) => e.id !== id) : [];
  const ended: EndedJob = {
    worker: key.worker,
    job: key.job,
    start,
    attempts: [...attempts, entry],
    at: c.now,
    detail,
  };
  return withBook(s, { ended: s.book.ended.with(under, ended) });
}

/** How an attempt that asks stands to what the book knows of its job. */
export type Standing =
  /** Nothing lives for the job. */
  | { readonly kind: 'new' }
  /** Its request or lease lives already. */
  | { readonly kind: 'known' }
  /** An earlier start lives, and ends with this one. */
  | { readonly kind: 'newer'; readonly live: Live }
  | Extract<AskOutcome, { kind: 'refused' }>;

export function standingOf(s: State, key: LeaseKey): Standing {
  const id = leaseIdOf(key);
  const refused = (code: 'stale-attempt' | 'rival-attempt', detail: string): Standing => ({
    kind: 'refused',
    code,
    detail,
  });
  if (s.book.leases.get(id) !== undefined || s.book.requests.get(id) !== undefined) return { kind: 'known' };
  const live = liveOf(s, key.job);
  if (hasEnded(s, key)) return refused('stale-attempt', `this start of job ${key.job} has already ended`);
  if (live === null) return { kind: 'new' };
  if (live.request.key.worker !== key.worker) {
    return refused(
      'rival-attempt',
      `job ${key.job} still holds a request or lease for another worker; it ends with that worker's sync or by an operator`,
    );
  }
  const order = compareAttempts(key.attempt, live.request.key.attempt);
  if (order === 'older') return refused('stale-attempt', `a newer start of job ${key.job} is under way`);
  if (order === 'rival') {
    return refused(
      'rival-attempt',
      `another starter of job ${key.job} with the same start count is not ended yet`,
    );
  }
  return { kind: 'newer', live };
}

export const supersededBy = ({ start }: Attempt): string => `superseded by start ${start}`;

/**
 * A worker asks for a VM. Idempotent for the same attempt; an ended or older attempt is refused; a newer one
 * ends the older (whose VM must be clean before the newer is served); of two with the same start count the
 * second waits until the first has ended.
 */
export function ask(s: State, a: Ask, c: Context, note: NoteSink): { state: State; outcome: AskOutcome } {
  const id = leaseIdOf(a.key);
  const standing = standingOf(s, a.key);
  if (standing.kind === 'known') return { state: polled(s, id, c), outcome: { kind: 'accepted', id } };
  if (standing.kind === 'refused') return { state: s, outcome: standing };
  let state = s;
  if (standing.kind === 'newer') state = endLive(state, standing.live, supersededBy(a.key.attempt), c, note);
  const seq = state.book.seq + 1;
  const request: Request = { id, ...a, seq, askedAt: c.now };
  note({
    at: c.now,
    kind: 'request',
    lease: id,
    job: a.key.job,
    user: a.user.name,
    detail: `asked by ${a.key.worker}, start ${a.key.attempt.start}${a.maxWaitMs === undefined ? '' : `, waits ${a.maxWaitMs / 1000} s at most`}`,
  });
  state = withBook(state, { seq, requests: state.book.requests.with(id, request) });
  return { state: polled(state, id, c), outcome: { kind: 'accepted', id } };
}

/** Ends a request or a lease: the VM goes to the scrub (or is held, or retired), the attempt is remembered. */
export function endLive(
  s: State,
  live: Live,
  detail: string,
  c: Context,
  note: NoteSink,
  exit: number | null = null,
): State {
  const { request, lease } = live;
  let state = rememberEnd(s, request.key, detail, c);
  state = withBook(state, {
    requests: state.book.requests.without(request.id),
    leases: state.book.leases.without(request.id),
  });
  state = {
    ...state,
    sight: {
      ...state.sight,
      polled: state.sight.polled.without(request.id),
      missing: without(state.sight.missing, request.id),
    },
  };
  note({
    at: c.now,
    kind: lease === null ? 'request-ended' : 'lease-ended',
    ms: c.now - (lease?.grantedAt ?? request.askedAt),
    worker: request.key.worker,
    queue: request.queue,
    lease: request.id,
    job: request.key.job,
    user: request.user.name,
    ...(lease === null ? {} : { member: lease.member, used: factsOf(s, request, lease) }),
    detail,
  });
  if (lease === null) return state;
  state = tenantEnded(state, lease, exit, c);
  return moveMember(state, lease.member, 'released', `job ${request.key.job} ended: ${detail}`, c, note);
}

function factsOf(s: State, { jobName, processors, askedAt }: Request, lease: Lease): LeaseFacts {
  const flavor = s.book.members.get(lease.member)?.spec.flavor ?? '';
  return { jobName, processors, flavor, askedAt, grantedAt: lease.grantedAt };
}

export interface Release {
  readonly worker: string;
  readonly job: string;
  /** Absent: whatever attempt of that job lives on this worker. */
  readonly attempt: Attempt | null;
  readonly reason: string;
  /** Set: the VM is held with this reason instead of scrubbed. */
  readonly holdFor: string | null;
  /** The job's exit status, as Torque told it. */
  readonly exit?: number | null;
}

/** The end of an attempt, known here or not: a release that comes before its request refuses it later. */
export function release(
  s: State,
  r: Release,
  c: Context,
  note: NoteSink,
): { state: State; outcome: ReleaseOutcome } {
  const live = liveOf(s, r.job);
  const mine = live !== null && live.request.key.worker === r.worker ? live : null;
  const order =
    mine === null || r.attempt === null ? 'same' : compareAttempts(mine.request.key.attempt, r.attempt);
  let state = s;
  // Also the end of a start that is not known here: its late request is refused.
  if (r.attempt !== null && (mine === null || order !== 'same')) {
    const key = { worker: r.worker, job: r.job, attempt: r.attempt };
    state = rememberEnd(state, key, r.reason, c, wordOf(key));
  }
  if (mine === null) return { state, outcome: { ended: [], detail: `job ${r.job} holds nothing here` } };
  // An older attempt than the one that is ended cannot be alive any more: the start count grew since.
  if (order === 'newer' || order === 'rival') {
    return {
      state,
      outcome: { ended: [], detail: `another start of job ${r.job} is under way and was left alone` },
    };
  }
  if (r.holdFor !== null && mine.lease !== null) {
    state = patchMember(state, mine.lease.member, { hold: { kind: 'copy-back', why: r.holdFor, at: c.now } });
  }
  state = endLive(state, mine, r.reason, c, note, r.exit ?? null);
  return { state, outcome: { ended: [mine.request.id], detail: 'ended' } };
}

export function releaseById(
  s: State,
  id: string,
  reason: string,
  c: Context,
  note: NoteSink,
): { state: State; outcome: ReleaseOutcome } {
  const lease = s.book.leases.get(id);
  const request = lease?.request ?? s.book.requests.get(id);
  if (request === undefined)
    return { state: s, outcome: { ended: [], detail: 'nothing with that id lives' } };
  const state = endLive(s, { request, lease: lease ?? null }, reason, c, note);
  return { state, outcome: { ended: [request.id], detail: 'ended' } };
}

/** Its owner asks for a request: it is wanted. */
export function polled(s: State, id: string, c: Context): State {
  if (s.book.requests.get(id) === undefined) return s;
  return { ...s, sight: { ...s.sight, polled: s.sight.polled.with(id, c.now) } };
}

/** Two listings closer together than this may be one that was delivered twice. */
const betweenSyncsMs = 10_000;

/**
 * A worker's list of living jobs, taken `ageMs` ago. What is older than the listing and absent twice has ended;
 * silence alone never ends a lease.
 */
export function sync(
  s: State,
  worker: string,
  jobs: readonly string[],
  ageMs: number,
  c: Context,
  note: NoteSink,
): { state: State; ended: readonly string[] } {
  const takenAt = c.now - ageMs;
  const present = new Set(jobs);
  const missing: Record<string, number> = { ...s.sight.missing };
  const ended: Live[] = [];
  const lives: Live[] = [
    ...s.book.leases.values().map((lease) => ({ request: lease.request, lease })),
    ...s.book.requests.values().map((request) => ({ request, lease: null })),
  ];
  for (const live of lives) {
    const { id, key, askedAt } = live.request;
    if (key.worker !== worker) continue;
    if (present.has(key.job)) delete missing[id];
    else if ((live.lease?.grantedAt ?? askedAt) >= takenAt) continue;
    else if (missing[id] === undefined) missing[id] = c.now;
    else if (missing[id] < takenAt && c.now - missing[id] >= betweenSyncsMs) ended.push(live);
  }
  let state: State = { ...s, sight: { ...s.sight, missing } };
  const known = entryAt(s.book.workers, worker);
  // Kept to explain VMs whose lease is not known. Jobs with an ended start belong to it: they may have a newer one.
  const listed = [...jobs].sort();
  if (known === undefined || known.syncedAt + 30_000 < c.now || known.jobs.join() !== listed.join()) {
    state = withBook(state, {
      workers: { ...state.book.workers, [worker]: { syncedAt: takenAt, jobs: listed } },
    });
  }
  for (const live of ended) {
    state = endLive(state, live, `the worker no longer has the job`, c, note);
  }
  return { state, ended: ended.map((live) => live.request.key.job) };
}

/** Does nothing run there any more, as Nova says? What is started again begins without the job's processes. */
function isStopped(member: Member): boolean {
  const status = member.server?.status;
  return status === 'SHUTOFF' || status === 'GONE' || status === 'DELETED' || status === 'SOFT_DELETED';
}

/**
 * May this request be served now, as far as earlier attempts of its job are concerned? Null: yes. Also a held VM whose
 * marker names the job bears an earlier attempt, whether the store knows of it or not. A request that is older than
 * the hold comes from a copy of the store and may have been granted since: that very VM may be its own.
 */
export function blockedBy(s: State, request: Pick<Request, 'id' | 'key' | 'askedAt'>): Member | null {
  for (const member of censusOf(s.book).tainted) {
    const tenant = isStopped(member) ? null : member.tenant;
    if (tenant !== null && tenant.job === request.key.job && tenant.lease !== request.id) return member;
    if (!isUnexplained(member) || isStopped(member)) continue;
    const fromCopy = request.askedAt < (member.hold?.at ?? 0);
    const seen = entryAt(s.sight.markers, member.name);
    // A VM whose story is not known may carry an earlier start of this very job.
    if (seen === undefined) {
      if (fromCopy || request.key.attempt.start > 1) return member;
    } else if (seen.marker !== null && seen.marker.key.job === request.key.job) {
      if (fromCopy || seen.marker.lease !== request.id) return member;
    }
  }
  return null;
}

/** Waiting requests, next first. */
export function waiting(s: State): Request[] {
  return s.book.requests.values().toSorted((a, b) => a.seq - b.seq);
}

/** Free VMs, best first: of the wanted generation, then the oldest name, so that the rest can idle and go. */
function freeMembers(s: State): Member[] {
  const generation = s.book.shape?.generation;
  const usable = censusOf(s.book).free.filter(
    (m) => m.retire === null && m.hold === null && m.endpoint !== null,
  );
  const old = usable.filter((m) => m.generation !== generation);
  return old.length === 0 ? usable : [...usable.filter((m) => m.generation === generation), ...old];
}

/** What a line of history about a lease names. */
const idsOf = ({ request, member }: Lease): Pick<Note, 'lease' | 'member' | 'job' | 'user'> => ({
  ...{ lease: request.id, member, job: request.key.job, user: request.user.name },
});

/** Serves the line: first come, first served, one VM each. */
export function grantAll(s: State, c: Context, note: NoteSink): State {
  if (s.book.requests.size === 0) return s;
  const line = waiting(s);
  const free = freeMembers(s);
  let state = s;
  let passedOver = 0;
  for (const request of line) {
    const member = free[0];
    if (member === undefined) break;
    if (blockedBy(state, request) !== null) {
      passedOver += 1;
      continue;
    }
    free.shift();
    const lease: Lease = { request, member: member.name, grantedAt: c.now, ready: false };
    const tenant = { lease: request.id, worker: request.key.worker, job: request.key.job };
    state = putMember(state, { ...member, tenant });
    state = moveMember(state, member.name, 'granted', `leased to job ${request.key.job}`, c, note, {
      lease: request.id,
    });
    state = withBook(state, {
      requests: state.book.requests.without(request.id),
      leases: state.book.leases.with(request.id, lease),
    });
    state = { ...state, sight: { ...state.sight, polled: state.sight.polled.without(request.id) } };
    note({
      at: c.now,
      kind: 'lease',
      ...idsOf(lease),
      ms: c.now - request.askedAt,
      ...decided('leased', 'first-in-line'),
      detail: `granted after ${c.now - request.askedAt} ms: ${passedOver === 0 ? 'first in line' : `first in line but for ${passedOver} that wait for earlier starts of their jobs`}`,
    });
  }
  return state;
}

/** Account, key, environment and marker are there. */
export function staged(s: State, lease: Lease, c: Context, note: NoteSink): State {
  const { id } = lease.request;
  note({
    at: c.now,
    kind: 'staged',
    ...idsOf(lease),
    ms: c.now - lease.grantedAt,
    detail: `ready ${c.now - lease.grantedAt} ms after the grant`,
  });
  return withBook(s, { leases: s.book.leases.with(id, { ...lease, ready: true }) });
}

/**
 * The VM could not be made ready: the request returns to its place in the line, the VM is looked at.
 * Nothing of the job has reached the VM: the worker sends nothing before `ready`.
 */
export function stageFailed(s: State, lease: Lease, why: string, c: Context, note: NoteSink): State {
  const { id } = lease.request;
  note({ at: c.now, kind: 'stage-failed', ...idsOf(lease), detail: why });
  const state = withBook(s, {
    leases: s.book.leases.without(id),
    requests: s.book.requests.with(id, lease.request),
  });
  return polled(moveMember(state, lease.member, 'unstageable', `staging failed: ${why}`, c, note), id, c);
}

/** The VM is well but can never serve this user: the lease ends with the reason. */
export function stageRefused(s: State, lease: Lease, why: string, c: Context, note: NoteSink): State {
  return endLive(s, { request: lease.request, lease }, why, c, note);
}

/** A call that was on its way when its job ended may arrive so much later. */
const lateCallsMs = 3_600_000;

/** So that the book stays small: a job that its worker has long stopped to list needs no memory. */
function isForgettable(s: State, ended: EndedJob, c: Context): boolean {
  const age = c.now - ended.at;
  // While the service was down somebody may have set the clock: only time that this service has seen pass counts here.
  const seen = Math.min(age, c.now - s.sight.startedAt);
  if (seen < Math.min(lateCallsMs, c.policy.rememberEndedMs)) return false;
  if (age > c.policy.rememberEndedMs) return true;
  if (seen < lateCallsMs) return false;
  const worker = entryAt(s.book.workers, ended.worker);
  return worker !== undefined && worker.syncedAt > ended.at && !worker.jobs.includes(ended.job);
}

/** Requests nobody asks for any more, leases beyond their life. */
export function expireLeases(s: State, c: Context, note: NoteSink): State {
  let state = s;
  for (const request of s.book.requests.values()) {
    const last = s.sight.polled.get(request.id);
    if (last === undefined) state = polled(state, request.id, c);
    else if (c.now - last > c.policy.requestIdleLimitMs) {
      state = endLive(state, { request, lease: null }, 'its worker no longer asks for it', c, note);
    }
  }
  const limit = c.policy.leaseLimitMs;
  if (limit !== null) {
    for (const lease of s.book.leases.values()) {
      if (c.now - lease.grantedAt > limit) {
        state = endLive(
          state,
          { request: lease.request, lease },
          `older than the limit of ${limit / 1000} s for a lease`,
          c,
          note,
        );
      }
    }
  }
  return state;
}

export function forgetEnded(s: State, c: Context): State {
  let { ended } = s.book;
  for (const [under, e] of ended) if (isForgettable(s, e, c)) ended = ended.without(under);
  return ended === s.book.ended ? s : withBook(s, { ended });
}
