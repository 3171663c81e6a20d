import type { Book, Member, Note, State } from '../../src/pool/book.js';
import { compareAttempts } from '../../src/pool/ids.js';
import type { Attempt, LeaseId, MemberName } from '../../src/pool/model.js';
import type { PoolEvent, Stepped } from '../../src/pool/step.js';
import type { Agenda } from './agenda.js';
import { BookRules } from './book-rules.js';
import type { SimCloud, SimGuest, SimServer } from './cloud.js';
import { Explanations } from './explanations.js';
import { LimitRules } from './limit-rules.js';
import { RestraintRules } from './restraint-rules.js';
import type { Checks } from './rules.js';
import { holdsSecret } from './secrets.js';
import type { Core, SimService, Watcher } from './service.js';
import { maxWaitOf, type Run } from './workers.js';

/** What the service has promised for one attempt, and whether something has happened that may end it. */
interface Promise_ {
  readonly run: Run;
  /** Asked and answered. */
  answered: boolean;
  readyOn: string | null;
  mayEnd: boolean;
  readonly askedAt: number;
  readonly askedAtPoolTime: number;
  absences: number;
  lastPoll: number;
  /** Given before the store was lost or put back: the service may know nothing of it, and may not end its job. */
  forgotten: boolean;
}

/**
 * Knows what must always hold and checks it from outside: it looks at the world, at the answers that were given
 * and at the book, and shares no decision with the core.
 */
export class Oracle implements Watcher {
  private readonly promises = new Map<LeaseId, Promise_>();
  /** Attempts whose end has been answered. */
  private readonly over = new Set<LeaseId>();
  /** After a store was lost or put back, old promises are void. */
  storeFaults = false;
  /** Leases from before a store fault: until their VM's marker is read, nobody can know of them. */
  private readonly forgotten = new Set<LeaseId>();
  /** Servers looked at by id, since the last delete of each. */
  private readonly looked = new Set<string>();
  private readonly book: BookRules;
  private readonly limits: LimitRules;
  private readonly restraint: RestraintRules;
  readonly explanations: Explanations;
  private poolTime = 0;
  service!: SimService;

  constructor(
    private readonly agenda: Agenda,
    private readonly cloud: SimCloud,
    private readonly core: Core,
    private readonly checks: Checks,
  ) {
    this.book = new BookRules(checks, cloud, () => this.service);
    this.limits = new LimitRules(checks, cloud, agenda, () => this.service);
    this.restraint = new RestraintRules(checks);
    this.explanations = new Explanations(checks);
    cloud.onDelete = (server, by) => this.deleting(server, by);
    cloud.onCreate = (metadata, cell) => {
      this.checks.must(
        'no secret leaves',
        !holdsSecret(metadata),
        () => `${JSON.stringify(metadata)} goes to the cloud from ${cell}`,
      );
    };
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
        askedAtPoolTime: this.service.now(),
        absences: 0,
        lastPoll: this.agenda.now,
        forgotten: false,
      };
      this.promises.set(run.id, p);
    }
    return p;
  }

  askSent(run: Run): void {
    this.promiseOf(run);
    this.limits.wanted(run.id);
    for (const p of this.promises.values()) {
      if (p.run.job === run.job && compareAttempts(p.run.key.attempt, run.key.attempt) === 'older')
        p.mayEnd = true;
    }
  }

  /** The answer may be overtaken by that of the release: what was accepted when is looked at where it is decided. */
  askAnswered(run: Run): void {
    const p = this.promiseOf(run);
    p.answered = true;
    p.lastPoll = this.agenda.now;
    this.kept(p, this.service.durable().book);
  }

  /** A starter looks at its lease with the capability that it once got. */
  polled(run: Run, state: string | null): void {
    const p = this.promises.get(run.id);
    if (p !== undefined) p.lastPoll = this.agenda.now;
    this.limits.wanted(run.id);
    this.checks.must(
      'stale attempts get nothing',
      this.storeFaults || !this.over.has(run.id) || (state !== 'granted' && state !== 'waiting'),
      () => `job ${run.job.id} is shown a ${state ?? ''} lease after its end was answered`,
    );
  }

  sawReady(run: Run, member: string): void {
    const p = this.promiseOf(run);
    this.checks.must(
      'a lease stays where it is',
      p.readyOn === null || p.readyOn === member || this.storeFaults,
      () => `${run.id} was ready on ${p.readyOn ?? ''}, now on ${member}`,
    );
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

  /** An operator orders the end of a lease or request. */
  forced(id: string): void {
    const p = this.promises.get(id as LeaseId);
    if (p !== undefined) p.mayEnd = true;
  }

  releaseAnswered(run: Run): void {
    this.over.add(run.id);
    const book = this.service.durable().book;
    this.checks.must(
      'an answered release holds',
      this.storeFaults || (book.leases.get(run.id) === undefined && book.requests.get(run.id) === undefined),
      () => `job ${run.job.id} still holds something`,
    );
  }

  syncSent(worker: string, jobs: readonly string[]): void {
    const present = new Set(jobs);
    for (const p of this.promises.values()) {
      if (p.run.key.worker !== worker) continue;
      if (present.has(p.run.key.job)) p.absences = 0;
      // A VM that nobody knows is explained by one listing; what the book knows is ended by two.
      else if ((p.absences += 1) >= (p.forgotten ? 1 : 2)) p.mayEnd = true;
    }
  }

  /** A job's processes are about to start on a VM. */
  jobStarts(run: Run, guest: SimGuest, host: string): void {
    for (const [lease, other] of guest.running)
      this.checks.must(
        'one lease a VM',
        lease === run.id,
        () => `job ${run.job.id} meets job ${other.job} on ${host}`,
      );
    for (const lease of guest.traces)
      this.checks.must(
        'nothing of a job is left',
        lease === run.id,
        () => `job ${run.job.id} finds traces of ${lease} on ${host}`,
      );
    for (const server of this.cloud.servers.values()) {
      if (server.gone) continue;
      for (const [lease, other] of server.guest.running)
        this.checks.must(
          'one attempt anywhere',
          other.job !== run.job.id || lease === run.id || this.forgotten.has(lease),
          () =>
            `start ${run.key.attempt.start} of ${run.job.id} begins on ${host} while start ${other.start} runs on ${server.host}`,
        );
    }
  }

  // ---- what the cloud saw ------------------------------------------------------------------------------

  lookedAt(server: string): void {
    this.looked.add(server);
  }

  private deleting(server: SimServer, by: string): void {
    const { book } = this.service.durable();
    const member = book.members.get(server.member);
    this.checks.must(
      'a Busy VM is left alone',
      !(member?.state.kind === 'Busy' && member.server?.id === server.id),
      () => `${server.member} is deleted by ${by}`,
    );
    for (const [lease, other] of server.guest.running) {
      const p = this.promises.get(lease);
      this.checks.must(
        'a Busy VM is left alone',
        p === undefined || !p.run.starterAlive || p.mayEnd || this.expired(p) || this.forged(p, server),
        () => `${server.member} runs ${other.job} and is deleted by ${by}`,
      );
    }
    if (by === 'engine' || by === 'rebuild') return;
    this.checks.must(
      'a second look comes before a delete',
      this.looked.has(server.id),
      () => `${server.id} is deleted by ${by} without a look by id`,
    );
    this.looked.delete(server.id);
    this.checks.must(
      'what is not explained stays',
      member !== undefined || by !== 'stray' || book.retired.get(server.member) !== undefined,
      () => `${server.member} is deleted as a stray, and the store never retired that name`,
    );
  }

  // ---- what the core did -------------------------------------------------------------------------------

  told(notes: readonly Note[]): void {
    this.checks.must(
      'no secret leaves',
      !holdsSecret(notes),
      () => `in the log or history: ${JSON.stringify(notes)}`,
    );
  }

  restarted(book: Book, forgetful: boolean): void {
    this.looked.clear();
    // Pool time goes on from the newest moment that is durable: nothing in the book is from later.
    this.poolTime = book.at;
    this.explanations.restarted();
    this.limits.restarted();
    this.restraint.restarted();
    if (forgetful) {
      this.book.recovered(book);
      for (const [id, p] of this.promises) {
        p.forgotten = true;
        this.forgotten.add(id);
      }
      return;
    }
    for (const p of this.promises.values()) this.kept(p, book);
  }

  stepped(before: State, event: PoolEvent, after: Stepped): void {
    const a = before.book;
    const b = after.state.book;
    const now = this.service.now();
    this.checks.must(
      'time does not run backwards',
      now >= this.poolTime && b.at >= a.at,
      () => `${now} after ${this.poolTime}`,
    );
    this.poolTime = now;
    if (event.type === 'staged' && !event.result.ok && event.result.kind === 'refused') {
      const p = this.promises.get(event.lease);
      if (p !== undefined) p.mayEnd = true;
    }
    if (event.type === 'retire') this.ordered(a.members.get(event.member));
    if (event.type === 'kill') this.killed(event.member);
    this.staleCalls(before, event, after);
    if (a !== b) {
      this.book.check(a, b);
      this.explanations.check(event, before, after.state, this.service.context());
      if (a.leases !== b.leases || a.requests !== b.requests) {
        for (const p of this.promises.values()) this.kept(p, b);
        this.clean();
      }
    }
    this.limits.check(a, b);
    this.restraint.stepped(before, event, after.state, now);
    if (this.service.steps % 8 === 0) this.asksAgain(after.state);
  }

  /** An operator ends a VM: what runs there may end, unless the book knows that it is Busy and waits for its job. */
  private ordered(member: Member | undefined): void {
    if (member === undefined || member.state.kind === 'Busy') return;
    for (const server of this.cloud.servers.values()) {
      if (server.member !== member.name) continue;
      for (const lease of server.guest.running.keys()) this.forced(lease);
    }
  }

  /** An operator ends a VM and whatever runs on it. */
  private killed(name: string): void {
    for (const server of this.cloud.servers.values())
      if (server.member === name) for (const lease of server.guest.running.keys()) this.forced(lease);
  }

  private staleCalls(before: State, event: PoolEvent, after: Stepped): void {
    const { outcome } = after;
    if (event.type === 'ask' && outcome.type === 'ask' && outcome.outcome.kind === 'accepted') {
      const { id } = outcome.outcome;
      this.checks.must(
        'stale attempts get nothing',
        this.storeFaults || !this.over.has(id),
        () => `${id} was accepted after its end`,
      );
      this.book.arrived(id);
    }
    if (event.type !== 'release' || outcome.type !== 'release') return;
    const { attempt } = event.release;
    for (const id of outcome.outcome.ended) {
      const held = before.book.leases.get(id)?.request ?? before.book.requests.get(id);
      const order =
        attempt === null || held === undefined ? 'same' : compareAttempts(held.key.attempt, attempt);
      this.checks.must(
        'stale attempts get nothing',
        order === 'same' || order === 'older',
        () => `a release of start ${attempt?.start ?? 0} ended ${id}`,
      );
    }
  }

  /** The core is asked a second time at the same moment, with nothing new: it must find nothing more to decide. */
  private asksAgain(state: State): void {
    const context = { ...this.service.context(), suffix: () => 'zzzz' };
    const again = this.core.step(state, { type: 'tick' }, context);
    this.checks.must(
      'asking again decides nothing',
      again.state.book === state.book,
      () =>
        again.notes.map((n) => `${n.member ?? n.lease ?? n.kind}: ${n.detail}`).join('; ') ||
        'the book changed',
    );
  }

  /** Promises that are over need no watching. */
  private clean(): void {
    if (this.promises.size < 200) return;
    for (const [id, p] of this.promises)
      if (p.mayEnd && !p.run.starterAlive && p.run.over) this.promises.delete(id);
  }

  private kept(p: Promise_, book: Book): void {
    // By the policy of now: a later one may have another limit, or none.
    if (this.expired(p)) p.mayEnd = true;
    if (!p.answered || p.mayEnd || p.forgotten) return;
    const { id } = p.run;
    const lease = book.leases.get(id);
    const idle = this.agenda.now - p.lastPoll > this.service.context().policy.requestIdleLimitMs;
    this.checks.must(
      'what was answered is durable',
      lease !== undefined || book.requests.get(id) !== undefined || idle || this.expired(p),
      () => `${id} of job ${p.run.job.id} is gone without a reason`,
    );
    const request = lease?.request ?? book.requests.get(id);
    this.checks.must(
      'what was answered is durable',
      request === undefined || request.maxWaitMs === maxWaitOf(p.run.key),
      () => `${id} of job ${p.run.job.id} may wait for ${String(request?.maxWaitMs)} ms`,
    );
    this.checks.must(
      'what was answered is durable',
      p.readyOn === null || lease?.member === (p.readyOn as MemberName) || this.expired(p),
      () => `the ready lease ${id} left ${p.readyOn ?? ''}`,
    );
  }

  /** A job that wrote another one's marker on its VM has itself to thank when nobody knows any more whose that is. */
  private forged(p: Promise_, { guest }: SimServer): boolean {
    return p.forgotten && guest.marker !== null && !guest.marker.authentic;
  }

  private expired(p: Promise_): boolean {
    const limit = this.service.context().policy.leaseLimitMs;
    if (limit === null) return false;
    return this.agenda.now - p.askedAt > limit || this.service.now() - p.askedAtPoolTime > limit;
  }
}
