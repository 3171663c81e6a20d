import { describe, expect, it } from '@jest/globals';
import { emptySight } from '../../../src/pool/book.js';
import { leaseIdOf } from '../../../src/pool/ids.js';
import type { MemberName } from '../../../src/pool/model.js';
import { distrust } from '../../../src/pool/restore.js';
import { attempt, keyOf, Pool, ready, shapeOf, viewOf } from './fixture.js';

const stranger = 'p-0099-xxxx' as MemberName;

/** The listing shows a server of ours that the store does not know, beside its own. */
function find(pool: Pool): void {
  const own = pool.members().map((m) => viewOf(m.name, m.server?.id ?? ''));
  pool.event({ type: 'listed', servers: [...own, viewOf(stranger, 's-1')], complete: true });
  pool.pass(1_000);
}

describe('a VM that is given back to the job on its marker', () => {
  it.each([
    [1, 1],
    [1, 2],
    [2, 1],
  ])('leaves other jobs where they are (starts %i there, %i here)', (there, here) => {
    const pool = ready(1, { max: 1 });
    const leased = pool.ask(keyOf('1', attempt(here)));
    const waits = pool.ask(keyOf('2', attempt(here)));
    find(pool);
    pool.probe(stranger, keyOf('9', attempt(there)));
    pool.sync(['1', '2', '9']);
    const lease = leaseIdOf(keyOf('9', attempt(there)));
    expect([...pool.book.leases.keys()].sort()).toEqual([leased, lease].sort());
    expect(pool.book.requests.keys()).toEqual([waits]);
    expect(pool.book.members.get(stranger)).toMatchObject({
      state: { kind: 'Busy', lease },
      tenant: { lease, worker: 'w1', job: '9' },
    });
  });

  it('is the one that was granted, not ready, and has begun since the copy of the store was made', () => {
    const pool = ready(1, { max: 1 });
    const { name } = pool.member();
    const id = pool.ask(keyOf('1'));
    pool.state = { book: distrust(pool.book, pool.now, true), sight: emptySight };
    pool.pass(1_000).probe(name, keyOf('1'));
    pool.sync(['1']);
    expect(pool.place(name)).toBe('Busy');
    expect(pool.book.leases.get(id)).toMatchObject({ member: name, ready: true });
  });
});

describe('of two starters of a job with the same start count', () => {
  const [there, here] = [keyOf('1', attempt(1, 50)), keyOf('1', attempt(1, 60))];

  it('the one that asked after the VM of the other was found has followed it', () => {
    const pool = new Pool(shapeOf({ max: 2 }));
    find(pool);
    const id = pool.ask(here);
    pool.probe(stranger, there);
    pool.sync(['1']);
    expect(pool.place(stranger)).toBe('deleting');
    pool.boot();
    expect(pool.book.leases.keys()).toEqual([id]);
  });

  it('the one that a copy of the store tells of was before the one on the VM', () => {
    const pool = new Pool(shapeOf({ max: 2 }));
    pool.ask(here);
    pool.pass(1_000);
    find(pool);
    pool.probe(stranger, there);
    pool.sync(['1']);
    expect(pool.place(stranger)).toBe('Busy');
    expect(pool.book.leases.keys()).toEqual([leaseIdOf(there)]);
    expect(pool.book.requests.size).toBe(0);
  });
});

describe('what would explain a VM of a restored store', () => {
  /** The VM answers and every worker has spoken since. */
  const explained = (pool: Pool): string => {
    const { name } = pool.member();
    pool.pass(1_000).probe(name);
    pool.sync([]);
    pool.pass(60_000);
    return pool.place(name);
  };

  it.each(['hold', 'drain'] as const)("does not end an operator's %s", (type) => {
    const pool = ready(1);
    pool.event({ type, member: pool.member().name, why: 'told so' });
    expect(explained(pool)).toBe('held');
  });

  it("does not end a VM that is held for its user's files", () => {
    const pool = ready(1);
    pool.stage(pool.ask(keyOf('1')));
    pool.release(keyOf('1'), 'fetch them from the VM');
    expect(explained(pool)).toBe('held');
  });

  it('ends a VM with the marker of a worker that nobody knows', () => {
    const pool = ready(1);
    const { name } = pool.member();
    const marker = keyOf('9', attempt(1), 'w9');
    pool.probe(name, marker);
    expect(pool.place(name)).toBe('held');
    pool.pass(1_000).probe(name, marker);
    pool.sync([]);
    expect(pool.place(name)).toBe('deleting');
  });
});
