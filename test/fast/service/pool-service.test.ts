import { describe, expect, it } from '@jest/globals';
import { leaseRequest } from '../../../src/http/api.js';
import type { Book } from '../../../src/pool/book.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { BookKeeper } from '../../../src/service/book-keeper.js';
import { capabilityOf, createPoolService } from '../../../src/service/pool-service.js';
import { summed } from '../../../src/usage/sum.js';
import { Recent } from '../../../src/service/recent.js';
import type { PoolService } from '../../../src/service/port.js';
import { Pool, ready, shapeOf } from '../pool/fixture.js';
import { fakeLog, FakeStore } from './fake-ports.js';
import { calm, ManualClock } from './manual-clock.js';

const never = new AbortController().signal;
const body = (job: string, more: object = {}) =>
  leaseRequest.parse({
    job,
    attempt: { start: 1, boot: 'b', pid: 1, ticks: 1 },
    user: { name: 'u', uid: 1000, gid: 1000, groups: [], home: '/home/u', shell: '/bin/sh' },
    publicKey: 'ssh-ed25519 AAAA',
    ...more,
  });

function bench(book: Book, processors: number | null = null) {
  const clock = new ManualClock();
  const store = new FakeStore();
  const context = () => ({ now: clock.now(), suffix: () => 's', policy: defaultPolicy, workers: ['w1'] });
  const keeper = new BookKeeper(book, store, context, () => undefined, fakeLog());
  const service = createPoolService({
    keeper,
    context,
    version: '1',
    recent: new Recent(),
    capabilitySecret: Buffer.from('secret'),
    usage: (wish) => summed([], wish),
    changeConfig: () => Promise.reject(new Error('there is no Pulumi here')),
    adopt: () => Promise.resolve({ kind: 'done', value: { detail: 'adopted' } }),
    services: () => [],
    consoleLog: () => Promise.resolve(''),
    history: () => Promise.resolve([]),
    flavorProcessors: () => processors,
  });
  return { clock, store, keeper, service };
}

const asked = async (service: PoolService, job: string): Promise<string> => {
  const answer = await service.request('w1', body(job));
  if (answer.kind !== 'done') throw new Error(answer.detail);
  return answer.value.id;
};

describe('waiting for a lease', () => {
  const noRoom = (): Book => new Pool(shapeOf({ max: 0 })).book;

  it('ends at once when the condition holds, the id is unknown, no time is given or the signal has fired', async () => {
    const { service } = bench(ready(1).book);
    const id = await asked(service, '1');
    expect(await service.waitFor(id, 'granted', 60_000, never, true)).toMatchObject({ state: 'granted' });
    expect(await service.waitFor('none', 'granted', 60_000, never, true)).toBeNull();
    expect(await service.waitFor(id, 'ready', 0, never, true)).toMatchObject({ ready: false });
    expect(await service.waitFor(id, 'ready', 60_000, AbortSignal.abort(), true)).toMatchObject({
      ready: false,
    });
  });

  it('ends with what it waits for: granted is not ready', async () => {
    const { service, keeper } = bench(ready(1).book);
    const id = await asked(service, '1');
    let settled = false;
    const waiting = service.waitFor(id, 'ready', 60_000, never, true).finally(() => (settled = true));
    await keeper.dispatch({ type: 'tick' });
    await calm();
    expect(settled).toBe(false);
    const lease = keeper.durable().book.leases.get(id)?.request.id;
    if (lease === undefined) throw new Error('no lease');
    await keeper.dispatch({ type: 'staged', lease, result: { ok: true } });
    expect(await waiting).toMatchObject({ ready: true });
  });

  it('does not end with what is not durable yet', async () => {
    const { service, store } = bench(ready(1).book);
    const id = await asked(service, '1');
    store.holding = true;
    let settled = false;
    const waiting = service.waitFor(id, 'ready', 60_000, never, true).finally(() => (settled = true));
    const ended = service.releaseById(id, 'over');
    await calm();
    expect(settled).toBe(false);
    store.letGo();
    expect(await waiting).toMatchObject({ state: 'ended' });
    expect(await ended).toMatchObject({ kind: 'done', value: { outcome: 'ended' } });
  });

  it('ends when its time is over, or its signal fires, with what is so then; nobody watches on', async () => {
    const { service } = bench(noRoom());
    const id = await asked(service, '1');
    expect(await service.waitFor(id, 'granted', 5, never, true)).toMatchObject({ state: 'waiting' });
    const leave = new AbortController();
    const waiting = service.waitFor(id, 'granted', 60_000, leave.signal, true);
    leave.abort();
    expect(await waiting).toMatchObject({ state: 'waiting' });
  });

  it("shows the job's interest only when the job's side asks", async () => {
    const { service, clock, keeper } = bench(noRoom());
    const id = await asked(service, '1');
    await clock.advance(defaultPolicy.requestIdleLimitMs - 1);
    await service.waitFor(id, 'granted', 0, never, false);
    await calm();
    expect(keeper.durable().sight.polled.get(id)).not.toBe(clock.now());
    await service.waitFor(id, 'granted', 0, never, true);
    await calm();
    expect(keeper.durable().sight.polled.get(id)).toBe(clock.now());
    await clock.advance(defaultPolicy.requestIdleLimitMs - 1);
    await keeper.dispatch({ type: 'tick' });
    expect(service.lease(id)).toMatchObject({ state: 'waiting' });
    await service.waitFor(id, 'granted', 0, never, false);
    await clock.advance(2);
    await keeper.dispatch({ type: 'tick' });
    expect(service.lease(id)).toMatchObject({ state: 'ended' });
  });
});

describe('requests', () => {
  it('for more processors than the flavor has are refused and leave nothing', async () => {
    const { service, keeper } = bench(ready(1).book, 4);
    expect(await service.request('w1', body('1', { processors: 5 }))).toMatchObject({
      kind: 'refused',
      code: 'unsatisfiable',
      detail: expect.stringContaining('5 processors on one node'),
    });
    expect(keeper.durable().book.requests.size).toBe(0);
    expect(await service.request('w1', body('1', { processors: 4 }))).toMatchObject({ kind: 'done' });
  });

  it('keep how long they may wait, where their worker says so, and tell it while they wait', async () => {
    const { service, keeper } = bench(new Pool(shapeOf({ max: 0 })).book);
    const limited = await service.request('w1', body('1', { maxWaitSeconds: 3_600 }));
    const other = await service.request('w1', body('2'));
    if (limited.kind !== 'done' || other.kind !== 'done') throw new Error('refused');
    expect(limited.value).toMatchObject({ state: 'waiting', maxWaitSeconds: 3_600 });
    expect(Object.keys(other.value)).not.toContain('maxWaitSeconds');
    const { requests } = keeper.durable().book;
    expect(requests.get(limited.value.id)?.maxWaitMs).toBe(3_600_000);
    expect(Object.keys(requests.get(other.value.id) ?? {})).not.toContain('maxWaitMs');
    expect(service.status().requests.map(({ maxWaitSeconds }) => maxWaitSeconds)).toEqual([3_600, undefined]);
  });

  it('that an older attempt makes are refused with the code that hooks decide by', async () => {
    const { service } = bench(ready(1).book);
    await service.request('w1', body('1', { attempt: { start: 2, boot: 'b', pid: 2, ticks: 2 } }));
    expect(await service.request('w1', body('1'))).toMatchObject({ kind: 'refused', code: 'stale-attempt' });
  });
});

describe('a store that refuses', () => {
  it('fails the call, and is what the node check and the status say first', async () => {
    const { service, store } = bench(ready(1).book);
    store.refusing = true;
    await expect(service.request('w1', body('1'))).rejects.toMatchObject({ name: 'StoreError' });
    expect(service.node('w1')).toEqual({
      ok: false,
      detail: expect.stringContaining('cannot write its store'),
    });
    expect(service.status().problems[0]).toContain('the store refuses to commit');
    store.refusing = false;
    expect(await service.request('w1', body('1'))).toMatchObject({
      kind: 'done',
      value: { state: 'granted' },
    });
    expect(service.node('w1').ok).toBe(true);
  });
});

describe('the capability', () => {
  it('is the same after a restart, and another for each lease and each secret', () => {
    const [first, second] = [bench(ready(1).book), bench(ready(1).book)];
    expect(first.service.capability('a')).toBe(second.service.capability('a'));
    const all = [
      first.service.capability('a'),
      first.service.capability('b'),
      capabilityOf(Buffer.from('other'), 'a'),
    ];
    expect(new Set(all).size).toBe(3);
    expect(all[0]).toMatch(/^[\w-]{43}$/);
  });
});
