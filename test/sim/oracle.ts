import type { Book, Member, Request, State } from '../../src/pool/book.js';
import { membersOf } from '../../src/pool/book.js';
import { compareAttempts } from '../../src/pool/ids.js';
import type { Attempt, LeaseId } from '../../src/pool/model.js';
import type { Policy } from '../../src/pool/policy.js';
import { limitOf } from '../../src/pool/settle.js';
import type { PoolEvent, Stepped } from '../../src/pool/step.js';
import type { Agenda } from './agenda.js';
import type { SimCloud, SimGuest, SimServer } from './cloud.js';
import type { SimService, Watcher } from './service.js';
import type { Run } from './workers.js';

/** A rule that did not hold. */
export class Violation extends Error {
  constructor(
    readonly rule: string,
    message: string,
  ) {
    super(`${rule}: ${message}`);
    this.name = 'Violation';
  }
}

/** What the service has promised for one attempt, and whether something has happened that may end it. */
interface Promise_ {
  readonly run: Run;
  /** Asked and answered. */
  answered: boolean;
  readyOn: string | null;
  mayEnd: boolean;
  askedAt: number;
  absences: number;
  lastPoll: number;
}

/** Lag between a limit and the step that enforces it: one tick, and the commit. */
const slackMs = 3_000;

/**
 * Knows what must always hold and checks it from outside: it looks at the world, at the answers that were given
 * and at the book, and shares no decision with the core.
 */
export class Oracle implements Watcher {
  private readonly promises = new Map<LeaseId, Promise_>();
  /** Attempts whose end has been answered. */
  private readonly over = new Set<LeaseId>();
  /** The highest start that was accepted, by worker and job. */
  private readonly newest = new Map<string, number>();
  /** Since when each member is neither Free nor Busy nor held nor going. */
  private readonly ill = new Map<string, number>();
  /** The place in line of every request, by its first acceptance. */
  private readonly arrival = new Map<LeaseId, number>();
  /** After a store was lost or put back, old promises are void. */
  storeFaults = false;
  /** Leases from before a store fault: until their VM's marker is read, nobody can know of them. */
  private readonly forgotten = new Set<LeaseId>();
  service!: SimService;

  constructor(
    private readonly agenda: Agenda,
    private readonly cloud: SimCloud,
    private readonly policy: () => Policy,
  ) {
    cloud.onDelete = (server, by) => this.deleting(server, by);
  }

  private fail(rule: string, message: string): never {
    throw new Violation(rule, message);
  }

  // ---- what the workers did -----------------------------------------------------------------------------

  private promiseOf(run: Run): Promise_ {
    let p = this.promises.get(run.id);
    if (p === undefined) {
      p = {
        run,
        answered: false,
        readyOn: null,
        mayEnd: false,
        askedAt: this.agenda.now,
        absences: 0,
        lastPoll: this.agenda.now,
      };
      this.promises.set(run.id, p);
    }
    return p;
  }

  askSent(run: Run): void {
    this.promiseOf(run);
    for (const p of this.promises.values()) {
      if (p.run.job === run.job && compareAttempts(p.run.key.attempt, run.key.attempt) === 'older')
        p.mayEnd = true;
    }
  }

  askAnswered(run: Run): void {
    if (this.over.has(run.id) && !this.storeFaults)
      this.fail('stale attempts get nothing', `job ${run.job.id} was accepted after its end was answered`);
    const p = this.promiseOf(run);
    p.answered = true;
    p.lastPoll = this.agenda.now;
    this.kept(p, this.service.durable().book);
  }

  polled(run: Run): void {
    const p = this.promises.get(run.id);
    if (p !== undefined) p.lastPoll = this.agenda.now;
  }

  sawReady(run: Run, member: string): void {
    const p = this.promiseOf(run);
    if (p.readyOn !== null && p.readyOn !== member && !this.storeFaults)
      this.fail('a lease stays where it is', `${run.id} was ready on ${p.readyOn}, now on ${member}`);
    p.readyOn = member;
  }

  releaseSent(worker: string, job: string, attempt: Attempt): void {
    for (const p of this.promises.values()) {
      const { key } = p.run;
      if (key.worker !== worker || key.job !== job) continue;
      const order = compareAttempts(key.attempt, attempt);
      if (order === 'same' || order === 'older') p.mayEnd = true;
    }
  }

  releaseAnswered(run: Run): void {
    this.over.add(run.id);
    const book = this.service.durable().book;
    if (!this.storeFaults && (book.leases[run.id] !== undefined || book.requests[run.id] !== undefined))
      this.fail('an answered release holds', `job ${run.job.id} still holds something`);
  }

  syncSent(worker: string, jobs: readonly string[]): void {
    const present = new Set(jobs);
    for (const p of this.promises.values()) {
      if (p.run.key.worker !== worker) continue;
      if (present.has(p.run.key.job)) p.absences = 0;
      else if ((p.absences += 1) >= 2) p.mayEnd = true;
    }
  }

  /** A job's processes are about to start on a VM. */
  jobStarts(run: Run, guest: SimGuest, host: string): void {
    for (const [lease, other] of guest.running) {
      if (lease !== run.id)
        this.fail('one lease a VM', `job ${run.job.id} meets job ${other.job} on ${host}`);
    }
    for (const lease of guest.traces) {
      if (lease !== run.id)
        this.fail('nothing of a job is left', `job ${run.job.id} finds traces of ${lease} on ${host}`);
    }
    for (const server of this.cloud.servers.values()) {
      if (server.gone) continue;
      for (const [lease, other] of server.guest.running) {
        if (other.job === run.job.id && lease !== run.id && !this.forgotten.has(lease))
          this.fail(
            'one attempt anywhere',
            `start ${run.key.attempt.start} of ${run.job.id} begins on ${host} while start ${other.start} runs on ${server.host}`,
          );
      }
    }
  }

  // ---- what the cloud saw ------------------------------------------------------------------------------

  private deleting(server: SimServer, by: string): void {
    const book = this.service.durable().book;
    const member = book.members[server.member];
    if (member?.state.kind === 'Busy' && member.server?.id === server.id)
      this.fail('a Busy VM is left alone', `${server.member} is deleted by ${by}`);
    for (const [lease, other] of server.guest.running) {
      const p = this.promises.get(lease);
      if (p !== undefined && p.run.starterAlive && !p.mayEnd)
        this.fail('a Busy VM is left alone', `${server.member} runs ${other.job} and is deleted by ${by}`);
    }
  }

  // ---- what the core did -------------------------------------------------------------------------------

  restarted(book: Book): void {
    if (this.storeFaults) {
      for (const [id, p] of this.promises) {
        p.mayEnd = true;
        this.forgotten.add(id);
      }
      return;
    }
    for (const p of this.promises.values()) this.kept(p, book);
  }

  stepped(before: State, event: PoolEvent, after: Stepped): void {
    const a = before.book;
    const b = after.state.book;
    if (event.type === 'staged' && !event.result.ok && event.result.kind === 'refused') {
      const p = this.promises.get(event.lease);
      if (p !== undefined) p.mayEnd = true;
    }
    const { outcome } = after;
    if (!this.storeFaults && outcome.type === 'ask' && outcome.outcome.kind === 'accepted') {
      const { id } = outcome.outcome;
      if (this.over.has(id)) this.fail('stale attempts get nothing', `${id} was accepted after its end`);
      if (!this.arrival.has(id)) this.arrival.set(id, this.arrival.size);
    }
    if (a !== b) {
      this.leases(b);
      if (a.members !== b.members) this.sizes(a, b);
      if (a.leases !== b.leases) this.fifo(a, b);
      if (a.leases !== b.leases || a.requests !== b.requests) {
        for (const p of this.promises.values()) this.kept(p, b);
        this.clean();
      }
      this.freeOnes(a, b);
    }
    this.limits(b);
  }

  /** Promises that are over need no watching. */
  private clean(): void {
    if (this.promises.size < 200) return;
    for (const [id, p] of this.promises)
      if (p.mayEnd && !p.run.starterAlive && p.run.over) this.promises.delete(id);
  }

  private kept(p: Promise_, book: Book): void {
    if (!p.answered || p.mayEnd) return;
    const { id } = p.run;
    const lease = book.leases[id];
    if (lease === undefined && book.requests[id] === undefined) {
      const idle = this.agenda.now - p.lastPoll;
      if (idle > this.policy().requestIdleLimitMs || this.expired(p)) return;
      this.fail('what was answered is durable', `${id} of job ${p.run.job.id} is gone without a reason`);
    }
    if (p.readyOn !== null && lease?.member !== p.readyOn && !this.expired(p))
      this.fail('what was answered is durable', `the ready lease ${id} left ${p.readyOn}`);
  }

  private expired(p: Promise_): boolean {
    const limit = this.policy().leaseLimitMs;
    return limit !== null && this.agenda.now - p.askedAt > limit;
  }

  private leases(book: Book): void {
    const on = new Set<string>();
    const jobs = new Set<string>();
    for (const lease of Object.values(book.leases)) {
      const { id, key } = lease.request;
      if (on.has(lease.member)) this.fail('one lease a VM', `${lease.member} has two leases`);
      if (jobs.has(key.job)) this.fail('one attempt anywhere', `job ${key.job} has two leases`);
      on.add(lease.member);
      jobs.add(key.job);
      const member = book.members[lease.member];
      if (member?.state.kind !== 'Busy' || member.state.lease !== id)
        this.fail('a lease has its VM', `${lease.member} of lease ${id} is not Busy with it`);
    }
    for (const member of Object.values(book.members)) {
      if (member.state.kind === 'Busy' && book.leases[member.state.lease] === undefined)
        this.fail('a Busy VM has its lease', `${member.name} is Busy without a lease`);
    }
    for (const request of Object.values(book.requests)) {
      if (jobs.has(request.key.job))
        this.fail('one attempt anywhere', `job ${request.key.job} waits and holds a lease`);
      jobs.add(request.key.job);
    }
  }

  private sizes(a: Book, b: Book): void {
    const max = b.shape?.max ?? 0;
    let count = 0;
    let made: Member | null = null;
    for (const member of Object.values(b.members)) {
      count += 1;
      if (a.members[member.name] === undefined && member.hold?.kind !== 'unknown') made = member;
    }
    if (made !== null && count > max)
      this.fail('never more than max', `${made.name} was made as number ${count} of at most ${max}`);
    for (const member of Object.values(a.members)) {
      const now = b.members[member.name];
      if (member.state.kind === 'Busy' && now?.state.kind === 'Unusable') {
        if (b.leases[member.state.lease]?.member === member.name)
          this.fail('a Busy VM is left alone', `${member.name} became ${now.state.reason} under its lease`);
      }
    }
  }

  /** Whoever got a VM in this step was the first in line that could be served. */
  private fifo(a: Book, b: Book): void {
    let last = -1;
    const place = (r: Request): number => this.arrival.get(r.id) ?? r.seq;
    for (const lease of Object.values(b.leases)) {
      // A lease read back from the marker on a held VM is not given, it was there.
      if (a.members[lease.member]?.hold != null) {
        // Ready from the first moment: nobody staged it since, so the marker said so.
        if (lease.ready && a.leases[lease.request.id] === undefined)
          this.cameBack(lease.request.id, b.members[lease.member]);
        continue;
      }
      if (a.leases[lease.request.id] === undefined && b.requests[lease.request.id] === undefined)
        last = Math.max(last, place(lease.request));
    }
    if (last < 0) return;
    for (const request of Object.values(b.requests)) {
      if (place(request) >= last) continue;
      const { job } = request.key;
      const held = Object.values(b.members).some(
        (m) => m.tenant !== null && m.tenant.job === job && m.tenant.lease !== request.id,
      );
      const marked = Object.values(this.service.state().sight.markers).some((m) => m.marker?.key.job === job);
      // A later start waits until every VM whose story is not known was asked whether it bears an earlier one.
      const mystery =
        request.key.attempt.start > 1 &&
        Object.values(b.members).some(
          (m) =>
            (m.hold?.kind === 'unknown' || m.hold?.kind === 'restored') &&
            this.service.state().sight.markers[m.name] === undefined,
        );
      if (!held && !marked && !mystery)
        this.fail('first come, first served', `${request.id} of job ${job} was passed over`);
    }
  }

  /** A lease comes back on the VM alone where it was: a marker that was forged there gives none. */
  private cameBack(lease: LeaseId, member: Member | undefined): void {
    const server = member?.server == null ? undefined : this.cloud.servers.get(member.server.id);
    if (server === undefined || server.gone || server.guest.traces.has(lease)) return;
    this.fail('no lease from a forged marker', `${lease} came back on ${server.member}, where it never was`);
  }

  /** A VM that has just become Free bears nothing of a job. */
  private freeOnes(a: Book, b: Book): void {
    if (a.members === b.members) return;
    for (const member of Object.values(b.members)) {
      if (member.state.kind !== 'Free' || a.members[member.name]?.state.kind === 'Free') continue;
      if (member.tenant !== null)
        this.fail('nothing of a job is left', `${member.name} is Free with a tenant`);
      if (this.policy().reuse === 'never' && a.members[member.name]?.tenant)
        this.fail('VMs are not reused', `${member.name} is Free after a job`);
      const server = member.server === null ? undefined : this.cloud.servers.get(member.server.id);
      if (server === undefined || server.gone) continue;
      if (server.guest.running.size > 0 || server.guest.traces.size > 0)
        this.fail(
          'nothing of a job is left',
          `${member.name} is Free and bears ${[...server.guest.traces].join()}`,
        );
      if (!server.guest.baseline)
        this.fail('nothing of a job is left', `${member.name} is Free and has no baseline`);
    }
  }

  /** Nobody stays Unusable for longer than its reason allows, nor drifts from reason to reason for ever. */
  private limits(book: Book): void {
    const c = this.service.context();
    const p = c.policy;
    const whole =
      p.bootLimitMs + p.unreachableLimitMs + 2 * p.errorLimitMs + p.scrubLimitMs + p.errorLimitMs + 60_000;
    for (const member of membersOf(book)) {
      const { state, name } = member;
      const ill =
        state.kind === 'Unusable' && state.reason !== 'held' && state.reason !== 'deleting'
          ? state.reason
          : null;
      if (ill === null) {
        this.ill.delete(name);
        continue;
      }
      const from = Math.max(state.since, this.service.upSince);
      const limit = limitOf(member, c);
      if (
        limit !== null &&
        this.agenda.now - state.since > limit + slackMs &&
        this.agenda.now - from > slackMs
      )
        this.fail('Unusable VMs end', `${name} is ${ill} for ${this.agenda.now - state.since} ms`);
      const since = this.ill.get(name) ?? state.since;
      this.ill.set(name, since);
      if (this.agenda.now - since > whole && this.agenda.now - from > slackMs)
        this.fail('Unusable VMs end', `${name} has been no use for ${this.agenda.now - since} ms`);
    }
  }
}
