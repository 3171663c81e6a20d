import type { LeaseView, MemberView, StatusView } from '../http/api.js';
import type { Book, Context, EndedJob, Lease, Member, Request, State, Using } from './book.js';
import { entryAt, membersOf } from './book.js';
import { holdsBack, isOpen } from './breaker.js';
import { censusOf } from './census.js';
import { cellSight, cellsOf } from './engine-events.js';
import { blockedBy, waiting } from './leases.js';
import type { Millis } from './model.js';
import { disturbanceOf, troubleOf } from './observe.js';
import { isMystery } from './operator.js';
import { quotaLines, quotaObjection, quotaWords } from './quota.js';

const iso = (at: Millis): string => new Date(at).toISOString();

/** Pulumi's name of a cell's stack. */
export function stackOf(pool: string, cell: string): string {
  return `${pool}-${cell}`;
}

export function leaseView(s: State, id: string): LeaseView | null {
  const lease = s.book.leases.get(id);
  if (lease !== undefined) return grantedView(s, lease);
  const request = s.book.requests.get(id);
  if (request !== undefined) return waitingView(s, request);
  for (const ended of s.book.ended.values()) {
    if (ended.attempts.some((e) => e.id === id)) return endedView(ended, id);
  }
  return null;
}

function grantedView(s: State, lease: Lease): LeaseView {
  const { request } = lease;
  const member = s.book.members.get(lease.member);
  const endpoint = member?.endpoint ?? null;
  const using = s.sight.using.get(lease.member);
  return {
    id: request.id,
    state: 'granted',
    worker: request.key.worker,
    job: request.key.job,
    user: request.user.name,
    queue: request.queue,
    position: null,
    detail: lease.ready ? `ready on ${lease.member}` : `granted; ${lease.member} is being made ready`,
    vm:
      member === undefined || endpoint === null
        ? null
        : {
            member: member.name,
            host: endpoint.host,
            port: endpoint.port,
            hostKeys: [...member.hostKeys],
            user: request.user.name,
            stack: member.engine === 'managed' ? stackOf(s.book.pool, member.cell) : null,
          },
    ready: lease.ready,
    askedAt: iso(request.askedAt),
    grantedAt: iso(lease.grantedAt),
    ...(using?.lease === request.id ? { usage: usageView(using) } : {}),
  };
}

function usageView({ at, cpuSeconds, memoryBytes, wallSeconds }: Using): LeaseView['usage'] {
  return { at: iso(at), cpuSeconds, memoryBytes, wallSeconds };
}

function waitingView(s: State, request: Request): LeaseView {
  const line = waiting(s);
  return {
    id: request.id,
    state: 'waiting',
    worker: request.key.worker,
    job: request.key.job,
    user: request.user.name,
    queue: request.queue,
    position: line.findIndex((r) => r.id === request.id) + 1,
    detail: waitDetail(s, request),
    vm: null,
    ready: false,
    askedAt: iso(request.askedAt),
    grantedAt: null,
    ...(request.maxWaitMs === undefined ? {} : { maxWaitSeconds: Math.round(request.maxWaitMs / 1000) }),
  };
}

/** What a waiting request waits for, in words for the job's owner. */
function waitDetail(s: State, request: Request): string {
  const blocker = blockedBy(s, request);
  if (blocker !== null) return `an earlier start of this job is still being cleaned from ${blocker.name}`;
  const members = membersOf(s.book);
  const building = members.filter((m) => m.state.kind === 'Unusable' && m.state.reason === 'building').length;
  const shape = s.book.shape;
  if (shape === null) return 'the pool has no shape yet';
  if (s.book.breaker.failures > 0)
    return `no VM is free; the cloud gives no new one at the moment: ${s.book.breaker.why ?? ''}`;
  if (building > 0) return `no VM is free; ${building} being built`;
  if (members.length >= shape.max) return `all ${shape.max} VMs of the pool are taken`;
  const { heldBack, restUntil } = s.sight;
  if (restUntil !== null)
    return `no VM is free; the cloud asked for a pause until ${iso(restUntil)}, then one is ordered`;
  if (heldBack !== null) return `no VM is free; ${quotaObjection(heldBack)}`;
  return 'no VM is free; one is about to be built';
}

function endedView(ended: EndedJob, id: string): LeaseView {
  return {
    id,
    state: 'ended',
    worker: ended.worker,
    job: ended.job,
    position: null,
    detail: ended.detail,
    vm: null,
    ready: false,
    askedAt: iso(ended.at),
    grantedAt: null,
  };
}

/** What is wrong with the server of a VM that is otherwise in use, or null. */
function serverTrouble(member: Member): string | null {
  const status = member.server?.status;
  if (status === undefined) return null;
  if (status === 'GONE') return 'its server is gone';
  return troubleOf(status) ?? disturbanceOf(status);
}

/** One VM as the status tells it. */
export function memberView(s: State, member: Member): MemberView {
  const { state } = member;
  const lease = state.kind === 'Busy' ? s.book.leases.get(state.lease) : undefined;
  const silent = entryAt(s.sight.silent, member.name);
  const probe = s.sight.checked.get(member.name);
  const trouble = serverTrouble(member);
  const detail =
    state.kind === 'Unusable'
      ? (silent?.why ?? state.detail)
      : [
          ...(trouble === null ? [] : [trouble]),
          ...(silent === undefined ? [] : [`does not answer: ${silent.why}`]),
        ].join('; ');
  return {
    name: member.name,
    cell: member.cell,
    state: state.kind,
    reason: state.kind === 'Unusable' ? state.reason : null,
    detail,
    since: iso(state.since),
    bornAt: iso(member.bornAt),
    generation: member.generation,
    current: member.generation === s.book.shape?.generation,
    serverId: member.server?.id ?? null,
    address: member.endpoint?.host ?? null,
    retiring: member.retire,
    probe: probe === undefined ? null : { at: iso(probe.at), failures: probe.failures },
    job:
      lease === undefined
        ? null
        : {
            id: lease.request.key.job,
            worker: lease.request.key.worker,
            user: lease.request.user.name,
            lease: lease.request.id,
            since: iso(lease.grantedAt),
          },
  };
}

/** What ends a hold: a person's order, or what the pool still has to learn. */
function holdAdvice(s: State, member: Member, c: Context): string {
  if (!isMystery(member)) {
    const { limitMs } = member.hold ?? {};
    const byItself = limitMs === undefined ? '' : `, and so does the end of ${limitMs / 60_000} min`;
    return member.hold?.kind === 'drain'
      ? `drained: vmpool undrain ${member.name} gives it back`
      : `vmpool unhold ${member.name} gives it back${byItself}`;
  }
  const silent = c.workers.filter(
    (w) => (entryAt(s.book.workers, w)?.syncedAt ?? 0) <= (member.hold?.at ?? 0),
  );
  const missing = [
    ...(entryAt(s.sight.markers, member.name) === undefined ? [unreadAdvice(s, member)] : []),
    ...(silent.length === 0 ? [] : [`no sync yet from ${silent.join(', ')}`]),
  ];
  if (missing.length > 0) return missing.join('; ');
  const marker = entryAt(s.sight.markers, member.name)?.marker;
  return marker?.authentic === false
    ? `its marker names job ${marker.key.job} and was not written by this service with its present secret: nobody gets a lease by it; ` +
        `look whether that job runs there, then vmpool retire ${member.name}`
    : 'its job is still on its worker';
}

/** A VM that answers nobody may still run its job: only a person can know that it does not. */
function unreadAdvice(s: State, member: Member): string {
  const failures = s.sight.checked.get(member.name)?.failures ?? 0;
  return failures < 3
    ? 'its marker has not been read yet'
    : `its marker cannot be read; when no job can run there any more, vmpool retire ${member.name} ends it`;
}

/** Everything that keeps the pool from doing its work, worst first, each with what to do. */
export function problemsOf(s: State, c: Context): string[] {
  const problems: string[] = [];
  if (s.book.shape === null)
    problems.push('the pool has no shape: bring the pool stack up (pulumi up) and adopt it');
  if (s.sight.shapeProblem !== null)
    problems.push(`the pool stack's shape was not adopted: ${s.sight.shapeProblem}`);
  if (s.sight.cloudProblem !== null) problems.push(`the cloud does not answer: ${s.sight.cloudProblem}`);
  const { restUntil } = s.sight;
  if (restUntil !== null)
    problems.push(`no new VM is ordered before ${iso(restUntil)}: the cloud asked for a pause`);
  const { paused } = s.book;
  if (paused !== undefined) {
    problems.push(
      `changes of the cloud are paused until ${iso(paused.until)}: ${paused.why} (vmpool resume ends that)`,
    );
  }
  const b = s.book.breaker;
  if (b.failures > 0 && holdsBack(s, c.now)) {
    const next = b.until > c.now ? `next try at ${iso(b.until)}` : 'trying one now';
    problems.push(`no new VM can be had (${b.failures} failures in a row, ${next}): ${b.why ?? ''}`);
  }
  const { heldBack } = s.sight;
  if (heldBack !== null) problems.push(quotaObjection(heldBack));
  for (const cell of cellsOf(s)) {
    const sight = cellSight(s, cell);
    if (sight.error !== null)
      problems.push(`stack ${stackOf(s.book.pool, cell)} does not converge: ${sight.error}`);
  }
  for (const member of membersOf(s.book)) {
    if (member.state.kind === 'Unusable' && member.state.reason === 'held') {
      problems.push(`VM ${member.name} is held: ${member.state.detail} (${holdAdvice(s, member, c)})`);
    }
  }
  for (const lease of s.book.leases.values()) {
    const member = s.book.members.get(lease.member);
    const trouble = member === undefined ? null : serverTrouble(member);
    if (trouble === null) continue;
    const { job } = lease.request.key;
    problems.push(
      `job ${job} runs on VM ${lease.member}, but ${trouble}; the pool leaves it alone until the job ends (qdel ${job} ends it)`,
    );
  }
  const alarm = c.policy.leaseAlarmMs;
  if (alarm !== null) {
    for (const lease of s.book.leases.values()) {
      if (c.now - lease.grantedAt > alarm)
        problems.push(`lease of job ${lease.request.key.job} is older than ${alarm / 1000} s`);
    }
  }
  return problems;
}

/** How many VMs are in each state, requests waiting and leases. */
export function countsOf(book: Book): StatusView['counts'] {
  const { free, busy, unusable } = censusOf(book);
  return {
    free: free.length,
    busy,
    unusable: unusable.length,
    waiting: book.requests.size,
    leases: book.leases.size,
  };
}

export function statusView(s: State, c: Context, version: string): Omit<StatusView, 'services'> {
  const { book } = s;
  const members = membersOf(book).toSorted((a, b) => a.seq - b.seq);
  return {
    pool: book.pool,
    installation: book.installation,
    version,
    now: iso(c.now),
    shape:
      book.shape === null
        ? null
        : {
            min: book.shape.min,
            max: book.shape.max,
            spare: book.shape.spare,
            generation: book.shape.generation,
            flavor: book.shape.spec.flavor,
            image: book.shape.spec.image,
          },
    counts: countsOf(book),
    paused:
      book.paused === undefined
        ? null
        : { why: book.paused.why, since: iso(book.paused.since), until: iso(book.paused.until) },
    problems: problemsOf(s, c),
    breaker: {
      open: isOpen(s, c.policy.breakerAfter, c.now),
      failures: book.breaker.failures,
      until: book.breaker.until > c.now ? iso(book.breaker.until) : null,
      why: book.breaker.why,
    },
    quota:
      s.sight.quota === null
        ? null
        : {
            at: iso(s.sight.quota.at),
            lines: quotaLines(s).map(({ what, used, limit, perVm }) => ({
              what: quotaWords[what],
              used,
              limit,
              perVm,
            })),
          },
    members: members.map((m) => memberView(s, m)),
    requests: waiting(s).map((r) => waitingView(s, r)),
    leases: book.leases.values().map((l) => grantedView(s, l)),
    cells: cellsOf(s).map((cell) => {
      const sight = cellSight(s, cell);
      return {
        name: cell,
        stack: stackOf(book.pool, cell),
        members: members.filter((m) => m.cell === cell).length,
        running: sight.running,
        lastError: sight.error,
      };
    }),
    workers: Object.entries(book.workers).map(([name, w]) => ({
      name,
      lastSync: iso(w.syncedAt),
      jobs: w.jobs.length,
    })),
  };
}

/** May Torque send jobs to the worker? No while new VMs cannot be had and nothing is Free. */
export function nodeVerdict(s: State, c: Context): { ok: boolean; detail: string } {
  const free = membersOf(s.book).some((m) => m.state.kind === 'Free');
  if (s.book.shape === null) return { ok: false, detail: 'the pool has no shape yet' };
  if (!free && isOpen(s, c.policy.breakerAfter, c.now)) {
    return { ok: false, detail: `no VM is free and no new one can be had: ${s.book.breaker.why ?? ''}` };
  }
  return { ok: true, detail: '' };
}
