import type { Book, Member, Request } from '../../src/pool/book.js';
import type { LeaseId } from '../../src/pool/model.js';
import type { SimCloud } from './cloud.js';
import type { Checks } from './rules.js';
import type { SimService } from './service.js';

/** What a change of the book must keep, whoever decided it. */
export class BookRules {
  /** The place in line of every request, by its first acceptance. */
  private readonly arrival = new Map<LeaseId, number>();
  private arrivals = 0;

  constructor(
    private readonly checks: Checks,
    private readonly cloud: SimCloud,
    private readonly service: () => SimService,
  ) {}

  arrived(id: LeaseId): void {
    if (this.arrival.has(id)) return;
    this.arrival.set(id, this.arrivals);
    this.arrivals += 1;
  }

  /** Whom a lost or restored store has forgotten comes anew when it asks again. */
  recovered(book: Book): void {
    for (const id of this.arrival.keys())
      if (book.requests.get(id) === undefined && book.leases.get(id) === undefined) this.arrival.delete(id);
  }

  check(a: Book, b: Book): void {
    this.leases(b);
    if (a.members !== b.members) this.sizes(a, b);
    if (a.leases !== b.leases) this.fifo(a, b);
    this.freeOnes(a, b);
  }

  private leases(book: Book): void {
    const on = new Set<string>();
    const jobs = new Set<string>();
    for (const lease of book.leases.values()) {
      const { id, key } = lease.request;
      this.checks.must('one lease a VM', !on.has(lease.member), () => `${lease.member} has two leases`);
      this.checks.must('one attempt anywhere', !jobs.has(key.job), () => `job ${key.job} has two leases`);
      on.add(lease.member);
      jobs.add(key.job);
      const member = book.members.get(lease.member);
      this.checks.must(
        'a lease has its VM',
        member?.state.kind === 'Busy' && member.state.lease === id,
        () => `${lease.member} of lease ${id} is not Busy with it`,
      );
    }
    for (const { name, state } of book.members.values()) {
      this.checks.must(
        'a Busy VM has its lease',
        state.kind !== 'Busy' || book.leases.get(state.lease) !== undefined,
        () => `${name} is Busy without a lease`,
      );
    }
    for (const request of book.requests.values()) {
      const { job } = request.key;
      this.checks.must('one attempt anywhere', !jobs.has(job), () => `job ${job} waits and holds a lease`);
      jobs.add(job);
    }
  }

  private sizes(a: Book, b: Book): void {
    const max = b.shape?.max ?? 0;
    let count = 0;
    let made: Member | null = null;
    for (const member of b.members.values()) {
      count += 1;
      if (a.members.get(member.name) === undefined && member.hold?.kind !== 'unknown') made = member;
    }
    this.checks.must(
      'never more than max',
      made === null || count <= max,
      () => `${made?.name ?? ''} was made as number ${count} of at most ${max}`,
    );
    for (const member of a.members.values()) {
      const now = b.members.get(member.name);
      if (member.state.kind !== 'Busy') continue;
      this.checks.must(
        'a Busy VM is left alone',
        now?.state.kind !== 'Unusable' || b.leases.get(member.state.lease)?.member !== member.name,
        () => `${member.name} is no longer Busy under its lease`,
      );
    }
  }

  /** Whoever got a VM in this step was the first in line that could be served. */
  private fifo(a: Book, b: Book): void {
    let last = -1;
    const place = (r: Request): number => this.arrival.get(r.id) ?? r.seq;
    for (const lease of b.leases.values()) {
      // A lease read back from the marker on a held VM is not given, it was there.
      if (a.members.get(lease.member)?.hold != null) {
        // Ready from the first moment: nobody staged it since, so the marker said so.
        if (lease.ready && a.leases.get(lease.request.id) === undefined)
          this.cameBack(lease.request.id, b.members.get(lease.member));
        continue;
      }
      if (a.leases.get(lease.request.id) === undefined && b.requests.get(lease.request.id) === undefined)
        last = Math.max(last, place(lease.request));
    }
    if (last < 0) return;
    const { sight } = this.service().state();
    for (const request of b.requests.values()) {
      if (place(request) >= last) continue;
      const { job } = request.key;
      const held = b.members
        .values()
        .some((m) => m.tenant !== null && m.tenant.job === job && m.tenant.lease !== request.id);
      const marked = Object.values(sight.markers).some((m) => m.marker?.key.job === job);
      // A later start waits until every VM whose story is not known was asked whether it bears an earlier one, and so
      // does a request from an earlier copy of the store: it may have been granted since.
      const mystery = b.members
        .values()
        .some(
          (m) =>
            (m.hold?.kind === 'unknown' || m.hold?.kind === 'restored') &&
            sight.markers[m.name] === undefined &&
            (request.key.attempt.start > 1 || request.askedAt < m.hold.at),
        );
      this.checks.must(
        'first come, first served',
        held || marked || mystery,
        () => `${request.id} of job ${job} was passed over`,
      );
    }
  }

  /** A lease comes back on the VM alone where it was: a marker that was forged there gives none. */
  private cameBack(lease: LeaseId, member: Member | undefined): void {
    const server = member?.server == null ? undefined : this.cloud.servers.get(member.server.id);
    this.checks.must(
      'no lease from a forged marker',
      server === undefined || server.gone || server.guest.traces.has(lease),
      () => `${lease} came back on ${server?.member ?? ''}, where it never was`,
    );
  }

  /** A VM that has just become Free bears nothing of a job. */
  private freeOnes(a: Book, b: Book): void {
    if (a.members === b.members) return;
    const { policy } = this.service().context();
    for (const member of b.members.values()) {
      if (member.state.kind !== 'Free' || a.members.get(member.name)?.state.kind === 'Free') continue;
      const { name } = member;
      this.checks.must(
        'nothing of a job is left',
        member.tenant === null,
        () => `${name} is Free with a tenant`,
      );
      this.checks.must(
        'VMs are not reused',
        policy.reuse !== 'never' || !a.members.get(name)?.tenant,
        () => `${name} is Free after a job`,
      );
      const server = member.server === null ? undefined : this.cloud.servers.get(member.server.id);
      if (server === undefined || server.gone) continue;
      const { running, traces, baseline } = server.guest;
      this.checks.must(
        'nothing of a job is left',
        running.size === 0 && traces.size === 0,
        () => `${name} is Free and bears ${[...traces].join()}`,
      );
      this.checks.must('nothing of a job is left', baseline, () => `${name} is Free and has no baseline`);
    }
  }
}
