import type { Book } from '../../src/pool/book.js';
import { membersOf } from '../../src/pool/book.js';
import { limitOf } from '../../src/pool/limits.js';
import type { Agenda } from './agenda.js';
import type { SimCloud } from './cloud.js';
import type { Checks } from './rules.js';
import type { SimService } from './service.js';

/** Lag between a limit and the step that enforces it: one tick, and the commit. */
const slackMs = 3_000;
/** A pool that the cloud refuses tries no more than this in ten minutes, beside one burst of its whole size. */
const triesInAStorm = 24;
const stormMs = 600_000;

/** What has to end in time: unusable VMs, requests that nobody asks for, and storms of failures. */
export class LimitRules {
  /** Since when each member is neither Free nor Busy nor held nor going, in pool time. */
  private readonly ill = new Map<string, number>();
  /** When each request was last asked for, in pool time. */
  private readonly wantedAt = new Map<string, number>();
  private storm: { readonly since: number; posts: number } | null = null;
  private largest = 0;

  constructor(
    private readonly checks: Checks,
    cloud: SimCloud,
    private readonly agenda: Agenda,
    private readonly service: () => SimService,
  ) {
    cloud.onAnswer = (ok) => this.createAnswered(ok);
  }

  /** While the service was down nobody could end anything, and its clock may have been set. */
  restarted(): void {
    this.ill.clear();
  }

  /** Somebody asks, or asks again, for a VM. */
  wanted(id: string): void {
    this.wantedAt.set(id, this.service().now());
  }

  private createAnswered(ok: boolean): void {
    if (ok) {
      this.storm = null;
      return;
    }
    this.largest = Math.max(this.largest, this.service().state().book.shape?.max ?? 0);
    if (this.storm === null || this.agenda.now - this.storm.since > stormMs)
      this.storm = { since: this.agenda.now, posts: 0 };
    this.storm.posts += 1;
    const { posts } = this.storm;
    this.checks.must(
      'a storm of failures slows down',
      posts <= 2 * this.largest + triesInAStorm,
      () => `${posts} creates were refused in a row within ten minutes`,
    );
  }

  check(before: Book, book: Book): void {
    this.unusable(book);
    if (before.requests !== book.requests || this.service().steps % 16 === 0) this.abandoned(book);
  }

  private abandoned(book: Book): void {
    const service = this.service();
    const now = service.now();
    const limit = service.context().policy.requestIdleLimitMs;
    for (const id of book.requests.keys()) {
      const last = Math.max(this.wantedAt.get(id) ?? now, service.upSince);
      if (!this.wantedAt.has(id)) this.wantedAt.set(id, now);
      // A lease that falls back into the line counts as asked for.
      const lateCallsMs = 120_000;
      this.checks.must(
        'an abandoned request is dropped',
        now - last <= limit + lateCallsMs + slackMs || now - service.upSince <= limit + slackMs,
        () => `${id} waits, and nobody has asked for it for ${now - last} ms`,
      );
    }
  }

  /** Nobody stays Unusable for longer than its reason allows, nor drifts from reason to reason for ever. */
  private unusable(book: Book): void {
    const service = this.service();
    const c = service.context();
    const p = c.policy;
    const now = service.now();
    const whole =
      p.bootLimitMs + p.unreachableLimitMs + 2 * p.errorLimitMs + p.scrubLimitMs + p.errorLimitMs + 60_000;
    // After a start every VM is looked at before it is given up.
    const grace = Math.max(30_000, 3 * p.recheckEveryMs) + slackMs;
    const justUp = now - service.upSince <= grace;
    for (const member of membersOf(book)) {
      const { state, name } = member;
      const ill =
        state.kind === 'Unusable' && state.reason !== 'held' && state.reason !== 'deleting'
          ? state.reason
          : null;
      if (ill === null || state.kind !== 'Unusable') {
        this.ill.delete(name);
        continue;
      }
      const limit = limitOf(member, c);
      this.checks.must(
        'Unusable VMs end',
        limit === null || now - state.since <= limit + slackMs || justUp,
        () => `${name} is ${ill} for ${now - state.since} ms`,
      );
      const since = this.ill.get(name) ?? Math.max(state.since, service.upSince);
      this.ill.set(name, since);
      this.checks.must(
        'Unusable VMs end',
        now - since <= whole || justUp,
        () => `${name} has been no use for ${now - since} ms`,
      );
    }
  }
}
