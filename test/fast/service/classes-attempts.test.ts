import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { leaseRequest } from '../../../src/http/api.js';
import { standingIn } from '../../../src/pool/elsewhere.js';
import type { Attempt } from '../../../src/pool/model.js';
import { leaseView } from '../../../src/pool/views.js';
import type { ClassedPool } from '../../../src/service/classes/classed-pool.js';
import { RequestRouter } from '../../../src/service/classes/request.js';
import { attempt, keyOf, ready, type Pool } from '../pool/fixture.js';

const worker = 'w1';
const job = '1.site';

/** Every answer is some turns late, as a store's commit is: calls overtake each other. */
const late = async <T>(turns: number, value: () => T): Promise<T> => {
  for (let n = 0; n < turns; n += 1) await Promise.resolve();
  return value();
};

/** Two pools with one Free VM each behind the router; the core is the real one. */
class Pools {
  readonly books = [ready(1), ready(1)] as const;
  readonly router: RequestRouter;
  newest = 0;
  served = 0;

  constructor(turns: () => number) {
    const classes = this.books.map((book, at) => this.classOf(book, at, turns));
    this.router = new RequestRouter(classes);
  }

  /** The parts that the router uses. The second class has the larger VMs. */
  private classOf(book: Pool, at: number, turns: () => number): ClassedPool {
    const request = async (from: string, body: { job: string; attempt: Attempt }): Promise<unknown> => {
      const key = keyOf(body.job, body.attempt, from);
      return late(turns(), () => {
        const said = book.asked(key);
        this.look();
        if (said !== 'accepted') return { kind: 'refused', code: said, detail: '' };
        this.served += 1;
        const live = [...book.book.leases.values()].find((lease) => lease.request.key.job === body.job);
        return { kind: 'done', value: leaseView(book.state, live?.request.id ?? '') };
      });
    };
    const releaseById = (id: string, reason: string): Promise<unknown> =>
      late(turns(), () => {
        book.event({ type: 'releaseById', id, reason });
        this.look();
        return { kind: 'done', value: { outcome: 'ended', detail: '' } };
      });
    const pool = {
      service: { request, releaseById },
      flavor: () => ({ processors: at === 0 ? 4 : 16, memory: 1 }),
      standing: (key: Parameters<typeof standingIn>[1]) => standingIn(book.state, key, book.now),
    };
    return {
      rule: { pool: `p${String(at)}`, features: [], reserved: false },
      pool,
    } as unknown as ClassedPool;
  }

  ask(one: Attempt, processors: number) {
    return this.router.route(
      worker,
      leaseRequest.parse({
        ...{ job, attempt: one, processors },
        user: { name: 'u', uid: 1000, gid: 1000, groups: [], home: '/home/u', shell: '/bin/sh' },
        publicKey: 'ssh-ed25519 AAAA',
      }),
    );
  }

  release(one: Attempt): void {
    for (const book of this.books) book.release(keyOf(job, one, worker));
    this.look();
  }

  clean(at: number): void {
    const book = this.books[at];
    for (const member of book?.members() ?? [])
      if (book?.place(member.name) === 'scrubbing') book.scrub(member.name);
    this.look();
  }

  /** What must hold at every moment. */
  look(): void {
    const lives = this.books.flatMap(({ book }) => [
      ...book.requests.values(),
      ...book.leases.values().map((lease) => lease.request),
    ]);
    expect(lives.length).toBeLessThanOrEqual(1);
    const [live] = lives;
    if (live === undefined) return;
    expect(live.key.attempt.start).toBeGreaterThanOrEqual(this.newest);
    this.newest = live.key.attempt.start;
    // Whoever has a VM has it while no other VM bears an earlier start.
    if (this.books.every(({ book }) => book.leases.get(live.id) === undefined)) return;
    for (const book of this.books)
      for (const { tenant } of book.members()) if (tenant?.job === job) expect(tenant.lease).toBe(live.id);
  }
}

type Call =
  | { readonly kind: 'ask'; readonly one: Attempt; readonly processors: number }
  | { readonly kind: 'release'; readonly one: Attempt }
  | { readonly kind: 'clean'; readonly at: number };

const attempts = fc
  .record({ start: fc.integer({ min: 1, max: 4 }), pid: fc.integer({ min: 1, max: 2 }) })
  .map(({ start, pid }) => attempt(start, pid));
const calls: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      one: attempts,
      processors: fc.constantFrom(1, 8),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), one: attempts }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('clean' as const), at: fc.constantFrom(0, 1) }) },
);

describe('starts of one job that ask for different classes', () => {
  it('have one VM at most, never two at once, and never go back to an earlier start', async () => {
    let served = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(calls, { minLength: 1, maxLength: 3 }), { maxLength: 12 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 5 })),
        async (rounds, turns) => {
          const pools = new Pools(() => turns.next().value as number);
          for (const round of rounds)
            await Promise.all(
              round.map(async (call) => {
                if (call.kind === 'ask') await pools.ask(call.one, call.processors);
                else if (call.kind === 'release')
                  await late(turns.next().value as number, () => pools.release(call.one));
                else pools.clean(call.at);
              }),
            );
          served += pools.served;
        },
      ),
      { numRuns: 150 },
    );
    // The property would hold for a router that serves nobody.
    expect(served).toBeGreaterThan(150);
  });

  it('are served in the end: the newest, once what an earlier one left is clean', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ one: attempts, processors: fc.constantFrom(1, 8) }), { maxLength: 6 }),
        fc.constantFrom(1, 8),
        async (before, processors) => {
          const pools = new Pools(() => 0);
          for (const { one, processors: asked } of before) await pools.ask(one, asked);
          const last = attempt(9);
          await pools.ask(last, processors);
          for (const at of [0, 1]) pools.clean(at);
          expect(await pools.ask(last, processors)).toMatchObject({ kind: 'done' });
        },
      ),
    );
  });
});
