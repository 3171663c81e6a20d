import { describe, expect, it } from '@jest/globals';
import { leaseIdOf } from '../../../src/pool/ids.js';
import type { LeaseKey, ServerId } from '../../../src/pool/model.js';
import { askOf, attempt, keyOf, Pool, ready, shapeOf, viewOf } from './fixture.js';

/** Ends whatever attempt of the job lives on the worker. */
function releaseJob(pool: Pool, job: string, holdFor: string | null = null): readonly string[] {
  const release = { worker: 'w1', job, attempt: null, reason: 'told so', holdFor };
  const outcome = pool.event({ type: 'release', release });
  if (outcome.type !== 'release') throw new Error(outcome.type);
  return outcome.outcome.ended;
}

/** The VM that a request gets at once, if any. */
function grantedTo(pool: Pool, key: LeaseKey): string | undefined {
  const id = pool.ask(key);
  return pool.book.leases.get(id)?.member;
}

/** A server of ours that the store does not know. */
function strangerIn(pool: Pool): void {
  const servers = [
    ...pool.members().map((m) => viewOf(m.name, m.server?.id ?? '')),
    viewOf('p-0099-xxxx', 's-1'),
  ];
  pool.event({ type: 'listed', servers, complete: true });
  expect(pool.place('p-0099-xxxx')).toBe('held');
}

describe('a request that is asked for again', () => {
  it('keeps its place in the line, however often', () => {
    const pool = new Pool(shapeOf({ max: 1 }));
    const first = pool.ask(keyOf('1'));
    pool.ask(keyOf('2'));
    for (let n = 0; n < 3; n += 1) pool.ask(keyOf('1'));
    pool.boot();
    expect(pool.book.leases.keys()).toEqual([first]);
  });

  it('keeps how long it may wait when its VM cannot be made ready, and its story says it', () => {
    const pool = ready(1, { max: 1 });
    const id = leaseIdOf(keyOf('1'));
    pool.event({ type: 'ask', ask: { ...askOf(keyOf('1')), maxWaitMs: 90_000 } });
    expect(pool.notes.find(({ kind }) => kind === 'request')?.detail).toBe(
      'asked by w1, start 1, waits 90 s at most',
    );
    const why = "it is another job's";
    pool.event({ type: 'staged', lease: id, result: { ok: false, kind: 'foreign-marker', why } });
    expect(pool.book.requests.get(id)?.maxWaitMs).toBe(90_000);
    // Whoever asks again changes nothing of it.
    pool.ask(keyOf('1'));
    expect(pool.book.requests.get(id)?.maxWaitMs).toBe(90_000);
  });

  it('is none any more when it has its lease', () => {
    const pool = ready(1, { max: 1 });
    const id = pool.ask(keyOf('1'));
    pool.ask(keyOf('1'));
    expect(pool.book.leases.keys()).toEqual([id]);
    expect(pool.book.requests.size).toBe(0);
  });

  it('and is not known here leaves nothing behind: anybody may ask for anything', () => {
    const pool = ready(1);
    pool.event({ type: 'poll', id: 'none' });
    expect(pool.state.sight.polled.size).toBe(0);
  });
});

describe('a request is served', () => {
  it('by the oldest Free VM, so that the others can idle and go', () => {
    const pool = ready(6, { max: 6 });
    const leased = ['1', '2', '3', '4', '5', '6'].map((job) => grantedTo(pool, keyOf(job)));
    expect(leased).toEqual(pool.members().map(({ name }) => name));
  });

  it('by one of the wanted generation before all older ones', () => {
    const pool = ready(4, { max: 8 }, { maxSurge: 1 });
    pool.adopt(shapeOf({ min: 4, max: 8, generation: 'g2' }));
    pool.boot();
    expect(pool.places().filter((place) => place === 'Free').length).toBeGreaterThan(2);
    const member = grantedTo(pool, keyOf('1')) ?? '';
    expect(pool.book.members.get(member)?.generation).toBe('g2');
  });

  it('by another VM at once when its own could not be made ready', () => {
    const pool = ready(2, { max: 2 });
    const id = pool.ask(keyOf('1'));
    const [first, second] = pool.members().map(({ name }) => name);
    expect(pool.book.leases.get(id)?.member).toBe(first);
    pool.now += 5_000;
    pool.event({
      type: 'staged',
      lease: id,
      result: { ok: false, kind: 'unreachable', why: 'no answer' },
    });
    expect(pool.book.leases.get(id)?.member).toBe(second);
  });

  it('although a VM is held whose story is not known: it is younger than that, and the first of its job', () => {
    const pool = ready(1, { max: 4 });
    strangerIn(pool);
    pool.pass(1_000);
    expect(grantedTo(pool, keyOf('1'))).toBeDefined();
  });

  it('although another job is on a VM whose story is not known', () => {
    const pool = ready(1, { max: 4 });
    strangerIn(pool);
    pool.probe(pool.member(1).name, keyOf('9'));
    expect(grantedTo(pool, keyOf('1', attempt(2)))).toBeDefined();
  });
});

describe('the next start of a job whose VM is not clean yet', () => {
  /** Is it served by the other VM, when Nova says this of the first one? */
  const isServed = (status: string): boolean => {
    const pool = ready(2, { max: 2 });
    pool.stage(pool.ask(keyOf('1')));
    pool.release(keyOf('1'));
    const { name, server } = pool.member();
    const id = server?.id ?? ('' as ServerId);
    pool.event({ type: 'looked', member: name, id, view: viewOf(name, id, { status }) });
    return grantedTo(pool, keyOf('1', attempt(2))) !== undefined;
  };

  it.each(['SHUTOFF', 'DELETED', 'SOFT_DELETED'])('%s: nothing runs there, it is served', (status) => {
    expect(isServed(status)).toBe(true);
  });

  it.each(['ACTIVE', 'ERROR', 'PAUSED', 'UNKNOWN', 'REBOOT'])('%s: it waits', (status) => {
    expect(isServed(status)).toBe(false);
  });

  it('is served when the server went under the job', () => {
    const pool = ready(2, { max: 2 });
    pool.stage(pool.ask(keyOf('1')));
    pool.look(pool.member().name, null);
    pool.release(keyOf('1'));
    expect(grantedTo(pool, keyOf('1', attempt(2)))).toBeDefined();
  });
});

describe('the end of a job that is told without its attempt', () => {
  it('ends whatever lives of it, waiting or leased, and nothing else', () => {
    const pool = ready(1, { max: 1 });
    const [leased, waiting, other] = [keyOf('1', attempt(3)), keyOf('2', attempt(2)), keyOf('3')].map((key) =>
      pool.ask(key),
    );
    expect(releaseJob(pool, '2', 'its files are on the VM')).toEqual([waiting]);
    expect(releaseJob(pool, '1')).toEqual([leased]);
    expect(releaseJob(pool, '1')).toEqual([]);
    expect(pool.book.requests.keys()).toEqual([other]);
    expect(pool.asked(keyOf('1', attempt(3)))).toBe('stale-attempt');
    expect(pool.asked(keyOf('1', attempt(4)))).toBe('accepted');
  });
});

describe('the end of a start that is not known here', () => {
  it.each([
    ['a later start', attempt(2)],
    ['a rival one', attempt(1, 60)],
  ])('refuses its late request: %s than the one that lives', (_what, late) => {
    const pool = ready(1, { max: 2 });
    pool.ask(keyOf('1', attempt(1, 50)));
    pool.release(keyOf('1', late));
    pool.release(keyOf('1', attempt(1, 50)));
    expect(pool.asked(keyOf('1', late))).toBe('stale-attempt');
  });

  it('is remembered once, however often it is told', () => {
    const pool = ready(1);
    for (let n = 0; n < 3; n += 1) pool.release(keyOf('1'));
    expect(pool.book.ended.values().map(({ attempts }) => attempts.length)).toEqual([1]);
  });

  it('is kept while its worker has not listed its jobs since, however long ago it did', () => {
    const pool = ready(1);
    pool.sync([]);
    pool.ask(keyOf('1'));
    pool.release(keyOf('1'));
    pool.pass(6 * 24 * 3_600_000);
    expect(pool.asked(keyOf('1'))).toBe('stale-attempt');
  });
});

describe('what a worker says of its jobs', () => {
  it('ends nothing by two listings that came within some seconds', () => {
    const pool = ready(1, { max: 1 });
    pool.ask(keyOf('1'));
    pool.pass(20_000).sync([]);
    expect(pool.pass(9_999).sync([])).toEqual([]);
    expect(pool.pass(1).sync([])).toEqual(['1']);
  });

  it('is believed as of its newest listing, and as soon as it changes', () => {
    const pool = ready(1);
    pool.sync(['7']);
    pool.pass(1_000).sync([]);
    expect(pool.book.workers.w1).toEqual({ syncedAt: pool.now, jobs: [] });
    pool.pass(30_001).sync([]);
    expect(pool.book.workers.w1?.syncedAt).toBe(pool.now);
  });
});

describe('the history', () => {
  it('of a job says how long it waited and was served, where, and by what', () => {
    const pool = new Pool(shapeOf({ max: 1 }));
    const askedAt = pool.now;
    const id = pool.ask(keyOf('1'));
    pool.pass(20_000).boot();
    const grantedAt = pool.now;
    pool.pass(1_000).stage(id);
    pool.pass(59_000).release(keyOf('1'));
    const { name: member } = pool.member();
    const told = (kind: string): unknown => pool.notes.find((note) => note.kind === kind);
    const facts = { lease: id, member };
    expect(told('request')).toMatchObject({ lease: id, job: '1', user: 'u' });
    expect(told('lease')).toMatchObject({ ...facts, job: '1', user: 'u', ms: 20_000 });
    expect(told('staged')).toMatchObject({ ...facts, ms: 1_000 });
    expect(told('lease-ended')).toMatchObject({
      ...facts,
      ...{ worker: 'w1', queue: 'batch', job: '1', user: 'u', ms: 60_000 },
      used: { jobName: 'j', processors: 1, flavor: 'g1', askedAt, grantedAt },
    });
  });

  it('of a request that was never served says how long it waited', () => {
    const pool = new Pool(shapeOf({ max: 1 }));
    pool.ask(keyOf('1'));
    pool.pass(5_000).release(keyOf('1'));
    const ended = pool.notes.find(({ kind }) => kind === 'request-ended');
    expect(ended).toMatchObject({ job: '1', ms: 5_000 });
    expect(ended).not.toHaveProperty('used');
  });
});
