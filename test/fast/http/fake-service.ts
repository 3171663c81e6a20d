import { createHash, createHmac } from 'node:crypto';
import type { EventView, LeaseView, StatusView, TrendPoint } from '../../../src/http/api.js';
import type { MemberDetail } from '../../../src/http/detail-api.js';
import { memberDetail } from '../cli/views.js';
import type { ConfigWish } from '../../../src/service/config-changes.js';
import { summed, type UsageWish } from '../../../src/usage/sum.js';
import type { Answer, PoolService, WaitUntil } from '../../../src/service/port.js';

const done = <T>(value: T): Promise<Answer<T>> => Promise.resolve({ kind: 'done', value });

/** The smallest pool that keeps the port's promises: in memory, VMs are granted by the test. */
export class FakePool implements PoolService {
  readonly leases = new Map<string, LeaseView>();
  readonly calls: string[] = [];
  readonly told: EventView[] = [];
  waiting = 0;
  /** Thrown by the next call that changes something. */
  failure: Error | null = null;
  private readonly watchers = new Set<() => void>();

  private put(view: LeaseView): void {
    this.leases.set(view.id, view);
    for (const watcher of this.watchers) watcher();
  }

  private called(name: string, ...more: readonly string[]): void {
    this.calls.push([name, ...more].join(' '));
    if (this.failure !== null) {
      const failure = this.failure;
      this.failure = null;
      throw failure;
    }
  }

  grant(id: string): void {
    const view = this.leases.get(id);
    if (view === undefined) throw new Error(`no ${id}`);
    this.put({ ...view, state: 'granted', position: null, ready: true, grantedAt: '2026-11-23T10:00:00Z' });
  }

  async request(worker: string, body: { job: string; attempt: object }): Promise<Answer<LeaseView>> {
    this.called('request', worker, body.job);
    if (body.job === 'stale')
      return { kind: 'refused', code: 'stale-attempt', detail: 'a newer attempt exists' };
    if (body.job === 'big') return { kind: 'refused', code: 'unsatisfiable', detail: 'too many processors' };
    const id = createHash('sha256')
      .update(JSON.stringify([worker, body.job, body.attempt]))
      .digest('hex')
      .slice(0, 32);
    const present = this.leases.get(id);
    if (present !== undefined) return done(present);
    const view: LeaseView = {
      id,
      state: 'waiting',
      worker,
      job: body.job,
      position: this.leases.size + 1,
      detail: 'waits for a VM',
      vm: null,
      ready: false,
      askedAt: '2026-11-23T10:00:00Z',
      grantedAt: null,
    };
    this.put(view);
    return done(view);
  }

  lease(id: string): LeaseView | null {
    return this.leases.get(id) ?? null;
  }

  waitFor(
    id: string,
    until: WaitUntil,
    ms: number,
    signal: AbortSignal,
    asOwner: boolean,
  ): Promise<LeaseView | null> {
    this.called('waitFor', until, String(ms), ...(asOwner ? [] : ['as a bystander']));
    const holds = (): boolean => {
      const view = this.lease(id);
      return (
        view === null || view.state === 'ended' || (until === 'ready' ? view.ready : view.state === 'granted')
      );
    };
    if (holds() || signal.aborted) return Promise.resolve(this.lease(id));
    this.waiting += 1;
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.watchers.delete(look);
        signal.removeEventListener('abort', end);
        this.waiting -= 1;
        resolve(this.lease(id));
      };
      const look = (): void => {
        if (holds()) end();
      };
      const timer = setTimeout(end, ms);
      this.watchers.add(look);
      signal.addEventListener('abort', end);
    });
  }

  only(pool: string): PoolService | null {
    return pool === this.status().pool ? this : null;
  }

  release(worker: string, body: { job: string }): ReturnType<PoolService['release']> {
    this.called('release', worker, body.job);
    return done({ outcome: 'nothing-to-end', detail: 'no lease of that job' });
  }

  releaseById(id: string, reason: string): ReturnType<PoolService['releaseById']> {
    this.called('releaseById', reason);
    const view = this.leases.get(id);
    if (view === undefined) return Promise.resolve({ kind: 'refused', code: 'not-found', detail: 'none' });
    this.put({ ...view, state: 'ended', position: null });
    return done({ outcome: view.state === 'ended' ? 'nothing-to-end' : 'ended', detail: reason });
  }

  sync(worker: string, body: { jobs: readonly string[] }): ReturnType<PoolService['sync']> {
    this.called('sync', worker, String(body.jobs.length));
    return done({ ended: [] });
  }

  node(worker: string): { ok: boolean; detail: string } {
    this.called('node', worker);
    return { ok: true, detail: 'ok' };
  }

  watching = 0;

  watch(callback: () => void): () => void {
    this.watchers.add(callback);
    this.watching += 1;
    return () => {
      this.watchers.delete(callback);
      this.watching -= 1;
    };
  }

  events(after: number): readonly EventView[] {
    return this.told.filter(({ id }) => id > after);
  }

  drain(member: string, reason: string): ReturnType<PoolService['hold']> {
    this.called('drain', member, reason);
    return done({ detail: 'drained' });
  }

  kill(member: string, reason: string): ReturnType<PoolService['hold']> {
    this.called('kill', member, reason);
    return done({ detail: 'killed' });
  }

  pause(reason: string, forMs: number): ReturnType<PoolService['hold']> {
    this.called('pause', reason, String(forMs));
    return done({ detail: 'paused' });
  }

  resume(): ReturnType<PoolService['hold']> {
    this.called('resume');
    return done({ detail: 'resumed' });
  }

  member(name: string): MemberDetail | null {
    return name === 'gone' ? null : memberDetail();
  }

  console(): ReturnType<PoolService['console']> {
    return done({ text: 'login:' });
  }

  plan(): ReturnType<PoolService['plan']> {
    this.called('plan');
    return { now: '', pools: [{ name: 'p', paused: null, noCreates: null }], cells: [], strays: [] };
  }

  history(): ReturnType<PoolService['history']> {
    return Promise.resolve([]);
  }

  usage(wish: UsageWish): ReturnType<PoolService['usage']> {
    this.called('usage', JSON.stringify(wish));
    return summed([], wish);
  }

  trend(): readonly TrendPoint[] {
    return [{ at: '2026-11-23T10:00:00Z', free: 1, busy: 2, unusable: 0, waiting: 0 }];
  }

  status(): StatusView {
    const member = (name: string, worker: string): StatusView['members'][number] => ({
      name,
      cell: 'c001',
      state: 'Busy',
      reason: null,
      detail: `runs a job of ${worker}-user`,
      since: '',
      bornAt: '',
      generation: 'g',
      current: true,
      serverId: null,
      address: null,
      retiring: null,
      probe: null,
      job: { id: `job-of-${worker}`, worker, user: `${worker}-user`, lease: 'l', since: '' },
    });
    const leases = [...this.leases.values()];
    return {
      pool: 'batch',
      installation: 'i',
      version: '0',
      now: '',
      shape: null,
      counts: { free: 0, busy: 2, unusable: 0, waiting: 0, leases: 2 },
      problems: ['the lease of job-of-node2 is old'],
      breaker: { open: false, failures: 0, until: null, why: null },
      quota: null,
      members: [member('m1', 'node1'), member('m2', 'node2')],
      requests: leases.filter(({ state }) => state === 'waiting'),
      leases: leases.filter(({ state }) => state === 'granted'),
      cells: [{ name: 'c001', stack: 's', members: 2, running: false, lastError: 'job-of-node2' }],
      services: [],
      paused: null,
      workers: ['node1', 'node2'].map((name) => ({ name, lastSync: null, jobs: 1 })),
    };
  }

  hold(member: string, reason: string): ReturnType<PoolService['hold']> {
    this.called('hold', member, reason);
    return member === 'm1'
      ? done({ detail: 'held' })
      : Promise.resolve({ kind: 'refused', code: 'not-found', detail: `no member ${member}` });
  }

  unhold(member: string): ReturnType<PoolService['unhold']> {
    this.called('unhold', member);
    return Promise.resolve({ kind: 'refused', code: 'conflict', detail: 'is not held' });
  }

  retire(member: string, reason: string): ReturnType<PoolService['retire']> {
    this.called('retire', member, reason);
    return done({ detail: 'retired' });
  }

  adopt(): ReturnType<PoolService['adopt']> {
    this.called('adopt');
    return Promise.resolve({
      kind: 'refused',
      code: 'unavailable',
      detail: 'the stack has never been brought up',
    });
  }

  changeConfig(wish: ConfigWish): ReturnType<PoolService['changeConfig']> {
    this.called('changeConfig', JSON.stringify(wish));
    return done({ applied: !wish.dryRun, detail: 'adopted', changes: [], warnings: [] });
  }

  capability(id: string): string {
    return createHmac('sha256', 'secret').update(id).digest('base64url');
  }
}
