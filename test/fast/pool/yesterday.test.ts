import { describe, expect, it } from '@jest/globals';
import { emptySight } from '../../../src/pool/book.js';
import { bookSchema } from '../../../src/pool/book-schema.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import type { MemberName } from '../../../src/pool/model.js';
import { wishOf } from '../../../src/pool/planner.js';
import { distrust } from '../../../src/pool/restore.js';
import { attempt, keyOf, Pool, ready, shapeOf, viewOf } from './fixture.js';

const hour = 3_600_000;

/** The pool a day later, its book as it is now; what happened since is told by the VMs alone. */
function yesterday(pool: Pool): void {
  pool.now += 24 * hour;
  pool.state = { book: distrust(pool.book, pool.now, true), sight: { ...emptySight, startedAt: pool.now } };
  const stored = { ...pool.book, installation: '5d0c7b1e-7c0a-4c5f-9a57-2f1d3c4b5a69' };
  expect(bookSchema.safeParse(JSON.parse(JSON.stringify(stored))).error?.issues).toBeUndefined();
  pool.list();
  pool.pass(1_000);
}

/** Twice what a worker says, as far apart as it takes to end what it does not name. */
function syncTwice(pool: Pool, jobs: readonly string[]): void {
  pool.sync(jobs);
  pool.pass(30_000).sync(jobs);
}

/** The second VM is found to be nobody's, cleaned and Free. */
function freeOther(pool: Pool, jobs: readonly string[]): MemberName {
  const { name } = pool.member(1);
  pool.probe(name);
  pool.sync(jobs);
  pool.scrub(name);
  return name;
}

describe("with yesterday's book put back while jobs run", () => {
  it('a job that followed another on its VM gets its lease, and the VM is never given up', () => {
    const pool = ready(1, { max: 1 }, { heldLimitMs: 60_000 });
    const { name } = pool.member();
    pool.stage(pool.ask(keyOf('1')));
    yesterday(pool);
    pool.probe(name, keyOf('2'));
    expect(pool.place(name)).toBe('Busy');
    syncTwice(pool, ['2']);
    expect(pool.place(name)).toBe('held');
    pool.pass(hour).probe(name, keyOf('2'));
    pool.sync(['2']);
    expect(pool.place(name)).toBe('Busy');
    expect(pool.book.leases.keys()).toEqual([leaseIdOf(keyOf('2'))]);
  });

  it('a job that still runs keeps its lease, and its VM is clean after it as ever', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    const id = pool.ask(keyOf('1'));
    pool.stage(id);
    yesterday(pool);
    pool.probe(name, keyOf('1'));
    expect(pool.member().hold).toBeNull();
    syncTwice(pool, ['1']);
    expect(pool.book.leases.get(id)?.member).toBe(name);
    pool.release(keyOf('1'));
    expect(pool.place(name)).toBe('scrubbing');
  });

  it('a job that ended before its VM was looked at has its VM scrubbed, not thrown away', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    pool.stage(pool.ask(keyOf('1')));
    yesterday(pool);
    pool.release(keyOf('1'));
    expect(pool.place(name)).toBe('held');
    pool.pass(1_000).probe(name, keyOf('1'));
    pool.sync(['1']);
    expect(pool.place(name)).toBe('scrubbing');
  });

  it('a request that was granted since is not granted a second time, and its VM is its own', () => {
    const pool = ready(1, { max: 2 });
    const first = pool.member().name;
    pool.stage(pool.ask(keyOf('1')));
    const waiting = pool.ask(keyOf('2'));
    yesterday(pool);
    // The other VM is ready before the first one's marker was read.
    const second = freeOther(pool, ['2']);
    expect(pool.book.leases.get(waiting)).toBeUndefined();
    pool.probe(first, keyOf('2'));
    pool.pass(30_000).sync(['2']);
    expect(pool.place(first)).toBe('held');
    expect(pool.place(second)).toBe('Free');
    expect(pool.book.leases.get(waiting)).toBeUndefined();
    pool.pass(1_000).probe(first, keyOf('2'));
    pool.sync(['2']);
    expect(pool.book.leases.get(waiting)).toMatchObject({ member: first, ready: true });
    expect(pool.place(first)).toBe('Busy');
  });

  it('a request that really waits is served as soon as every VM has said that it is not its own', () => {
    const pool = ready(1, { max: 2 });
    const first = pool.member().name;
    pool.stage(pool.ask(keyOf('1')));
    const waiting = pool.ask(keyOf('2'));
    yesterday(pool);
    const second = freeOther(pool, ['1', '2']);
    expect(pool.book.leases.get(waiting)).toBeUndefined();
    pool.probe(first, keyOf('1'));
    expect(pool.book.leases.get(waiting)?.member).toBe(second);
  });

  it('a lease for which nothing was ready is where its marker is', () => {
    const pool = ready(2, { max: 2 });
    const [one, two] = [pool.member(0).name, pool.member(1).name];
    const id = pool.ask(keyOf('1'));
    expect(pool.book.leases.get(id)?.member).toBe(one);
    // Its staging failed after the copy was taken: it got the other VM.
    yesterday(pool);
    expect(pool.work('stage')).toEqual([]);
    pool.probe(one);
    pool.probe(two, keyOf('1'));
    pool.sync(['1']);
    expect(pool.book.leases.get(id)).toMatchObject({ member: two, ready: true });
    expect(pool.place(two)).toBe('Busy');
    expect(pool.place(one)).toBe('scrubbing');
  });

  it('a job that was started again since runs on, and its earlier start ends', () => {
    const pool = ready(2, { max: 2 });
    const [one, two] = [pool.member(0).name, pool.member(1).name];
    pool.stage(pool.ask(keyOf('1')));
    yesterday(pool);
    const later = keyOf('1', attempt(2));
    pool.probe(one);
    pool.probe(two, later);
    pool.sync(['1']);
    expect(pool.place(two)).toBe('Busy');
    expect(pool.book.leases.keys()).toEqual([leaseIdOf(later)]);
    expect(pool.place(one)).toBe('held');
    pool.pass(1_000).probe(one);
    pool.sync(['1']);
    expect(pool.place(one)).toBe('scrubbing');
    expect(pool.asked(keyOf('1'))).toBe('stale-attempt');
  });

  it('an earlier start that the copy does not know is over where the copy has a later one', () => {
    const pool = ready(2, { max: 2 });
    const [one, two] = [pool.member(0).name, pool.member(1).name];
    const id = pool.ask(keyOf('1', attempt(2)));
    pool.stage(id);
    yesterday(pool);
    pool.probe(one, keyOf('1', attempt(2)));
    pool.probe(two, keyOf('1', attempt(1)));
    pool.sync(['1']);
    expect(pool.place(two)).toBe('deleting');
    expect(pool.book.leases.get(id)?.member).toBe(one);
  });

  it("a VM that was held for its user's files is held for them again, and no job is scrubbed away under that hold", () => {
    const pool = ready(2, { max: 2 }, { heldLimitMs: 48 * hour });
    const [files, looked] = [pool.member(0).name, pool.member(1).name];
    pool.stage(pool.ask(keyOf('1')));
    pool.release(keyOf('1'), 'the copy back failed');
    pool.event({ type: 'hold', member: looked, why: 'for me' });
    yesterday(pool);
    pool.probe(files, keyOf('1'));
    pool.probe(looked, keyOf('9'));
    pool.sync(['9']);
    expect(pool.book.members.get(files)?.hold).toMatchObject({ kind: 'copy-back' });
    expect(pool.place(files)).toBe('held');
    expect(pool.place(looked)).toBe('Busy');
    expect(pool.book.leases.keys()).toEqual([leaseIdOf(keyOf('9'))]);
  });

  it.each(['hold', 'unhold'] as const)(
    "an operator's %s of its VM does not end a job that the copy lacks",
    (type) => {
      const pool = ready(1, { max: 1 }, { reuse: 'never', heldLimitMs: 60_000 });
      const { name } = pool.member();
      pool.stage(pool.ask(keyOf('1')));
      yesterday(pool);
      pool.event({ type, member: name, why: 'for me' });
      syncTwice(pool, ['2']);
      pool.pass(hour);
      expect(pool.place(name)).toBe('held');
      pool.probe(name, keyOf('2'));
      pool.sync(['2']);
      expect(pool.place(name)).toBe('Busy');
      expect(pool.book.leases.keys()).toEqual([leaseIdOf(keyOf('2'))]);
    },
  );

  it("an operator's hold of a VM whose job is the known one stands after it, and may be taken back before", () => {
    const pool = ready(2, { max: 2 });
    for (const job of ['1', '2']) pool.stage(pool.ask(keyOf(job)));
    yesterday(pool);
    const [kept, back] = [pool.member(0).name, pool.member(1).name];
    for (const member of [kept, back]) pool.event({ type: 'hold', member, why: 'for me' });
    pool.event({ type: 'unhold', member: back });
    pool.probe(kept, keyOf('1'));
    pool.probe(back, keyOf('2'));
    for (const job of ['1', '2']) pool.release(keyOf(job));
    expect(pool.member(0)).toMatchObject({
      state: { reason: 'held' },
      hold: { kind: 'operator', why: 'for me' },
    });
    expect(pool.place(back)).toBe('scrubbing');
  });

  it('a VM that was about to be made is held when it turns out to be made already', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }), { bootLimitMs: 60_000 });
    const { name } = pool.member();
    pool.now += 24 * hour;
    pool.state = { book: distrust(pool.book, pool.now, true), sight: { ...emptySight, startedAt: pool.now } };
    const createdAt = new Date(pool.now - hour).toISOString();
    pool.event({ type: 'listed', servers: [viewOf(name, 's-1', { createdAt })], complete: true });
    expect(pool.place(name)).toBe('held');
    pool.pass(hour);
    expect(pool.place(name)).toBe('held');
    pool.probe(name, keyOf('5'));
    pool.sync(['5']);
    expect(pool.place(name)).toBe('Busy');
  });

  it('a VM that is made only now comes up as ever', () => {
    const pool = new Pool(shapeOf({ min: 1, max: 1 }));
    const { name } = pool.member();
    pool.now += 24 * hour;
    pool.state = { book: distrust(pool.book, pool.now, true), sight: { ...emptySight, startedAt: pool.now } };
    const createdAt = new Date(pool.now + 1_000).toISOString();
    pool.event({ type: 'listed', servers: [viewOf(name, 's-1', { createdAt })], complete: true });
    pool.welcome(name);
    expect(pool.place(name)).toBe('Free');
  });

  it('a VM that was on its way out then goes on its way: no hold keeps it', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    const leaving = { kind: 'Unusable', reason: 'deleting', since: pool.now, detail: 'not needed' } as const;
    const member = { ...pool.member(), state: leaving };
    const book = { ...pool.book, members: pool.book.members.with(name, member) };
    expect(distrust(book, pool.now + hour, true).members.get(name)).toEqual(member);
    // Pool time does not run back, whatever the wall clock says.
    expect(distrust(book, book.at - hour, true).at).toBe(book.at);
  });

  it('put back twice, what is held waits for what the workers say after the second time', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    yesterday(pool);
    pool.sync([]);
    yesterday(pool);
    pool.probe(name, keyOf('3'));
    expect(pool.place(name)).toBe('held');
    pool.sync(['3']);
    expect(pool.place(name)).toBe('Busy');
  });

  it('a server that the book knows is made by no update again, whatever the state of its stack lacks', () => {
    const pool = ready(1, { max: 2 });
    const { name, cell } = pool.member();
    expect(wishOf(pool.state, cell).members.map(({ made }) => made)).toEqual([true]);
    const state = { instances: [], lostCreates: [name], unlisted: [] };
    pool.runEnded(wishOf(pool.state, cell), state);
    expect(pool.member().engine).toBe('stateless');
    expect(pool.place(name)).toBe('Free');
  });
});
