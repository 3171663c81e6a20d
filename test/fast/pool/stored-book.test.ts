import { describe, expect, it } from '@jest/globals';
import { bookSchema } from '../../../src/pool/book-schema.js';
import { emptyBook } from '../../../src/pool/book.js';
import type { InstallationId } from '../../../src/pool/model.js';
import { askOf, keyOf, ready } from './fixture.js';

const uuid = '5e0c1f4e-53a6-4c3e-9a59-6f3d6f3c8a11' as InstallationId;

const stored = (book: object): unknown => JSON.parse(JSON.stringify(book));
const plain = (table: object): Record<string, unknown> => stored(table) as Record<string, unknown>;

describe('the stored form of the book', () => {
  it('takes an empty book', () => {
    expect(bookSchema.parse(stored(emptyBook(uuid, 'p', 1)))).toEqual(emptyBook(uuid, 'p', 1));
  });

  it('takes back every book that the core makes, unchanged', () => {
    const pool = ready(2);
    pool.ask(keyOf('1'));
    const book = { ...pool.book, installation: uuid };
    expect(bookSchema.parse(stored(book))).toEqual(book);
  });

  it('takes the book of a version that kept no reasons', () => {
    const { members, ...rest } = stored({ ...ready(2).book, installation: uuid }) as {
      members: Record<string, { made?: unknown }>;
    };
    for (const member of Object.values(members)) delete member.made;
    expect(bookSchema.safeParse({ ...rest, members }).error?.issues).toBeUndefined();
  });

  it('takes requests and leases whose worker said how long they may wait, and those whose worker did not', () => {
    const pool = ready(1, { max: 1 });
    for (const job of ['1', '2', '3'])
      pool.event({
        type: 'ask',
        ask: { ...askOf(keyOf(job)), ...(job === '3' ? {} : { maxWaitMs: 60_000 }) },
      });
    const book = { ...pool.book, installation: uuid };
    expect(bookSchema.parse(stored(book))).toEqual(book);
    const { requests, leases } = stored(book) as {
      requests: Record<string, { maxWaitMs?: number }>;
      leases: Record<string, { request: { maxWaitMs?: number } }>;
    };
    expect(Object.values(leases).map(({ request }) => request.maxWaitMs)).toEqual([60_000]);
    expect(new Set(Object.values(requests).map(({ maxWaitMs }) => maxWaitMs))).toEqual(
      new Set([60_000, undefined]),
    );
    for (const bad of ['long', null, {}])
      expect(
        bookSchema.safeParse({
          ...(stored(book) as object),
          requests: { r: { ...Object.values(requests)[0], maxWaitMs: bad } },
        }).success,
      ).toBe(false);
  });

  it.each(['planned', 'managed', 'stateless', 'dropped', 'adopted'])(
    'knows members that are %s',
    (engine) => {
      const pool = ready(1);
      const member = pool.member();
      const book = { ...pool.book, installation: uuid, members: { [member.name]: { ...member, engine } } };
      expect(bookSchema.safeParse(stored(book)).success).toBe(true);
    },
  );

  const leased = () => {
    const pool = ready(2);
    const id = pool.ask(keyOf('1'));
    const vm = pool.members().find(({ state }) => state.kind === 'Busy');
    const lease = pool.book.leases.get(id);
    if (vm === undefined || lease === undefined) throw new Error('there is no lease');
    return { pool, id, vm, lease };
  };
  /** Where the book contradicts itself, and how. */
  const issuesOf = (book: object): string[] => {
    const { error } = bookSchema.safeParse(stored(book));
    return (error?.issues ?? []).map(({ path, message }) => `${path.join('/')}: ${message}`);
  };

  it('refuses a lease whose VM does not know of it, is not there, or has another', () => {
    const { pool, id, vm, lease } = leased();
    const free = { ...vm, state: { kind: 'Free', since: 1 } };
    const book = { ...pool.book, installation: uuid };
    const unknown = `leases/${id}: its VM ${vm.name} is not Busy with it`;
    expect(issuesOf({ ...book, members: { [vm.name]: free } })).toEqual([unknown]);
    expect(issuesOf({ ...book, members: {} })).toEqual([unknown]);
    const other = { ...lease, request: { ...lease.request, id: 'other' } };
    expect(issuesOf({ ...book, leases: { [id]: lease, other } })).toEqual([
      `leases/other: its VM ${vm.name} is not Busy with it`,
    ]);
  });

  it('refuses a lease that waits as well, and a VM that is Busy with none', () => {
    const { pool, id, vm, lease } = leased();
    const book = { ...pool.book, installation: uuid };
    expect(issuesOf({ ...book, requests: { [id]: lease.request } })).toEqual([
      `leases/${id}: is a waiting request as well`,
    ]);
    expect(issuesOf({ ...book, leases: {} })).toEqual([
      `members/${vm.name}: is Busy with a lease that is not there`,
    ]);
  });

  it('refuses what it does not know, wherever it stands', () => {
    const { pool, id, vm, lease } = leased();
    const book = { ...pool.book, installation: uuid };
    expect(issuesOf(book)).toEqual([]);
    const strange = { strange: 1 };
    const paused = { why: 'w', since: 1, until: 2 };
    const stray = { server: 's', name: 'n', firstSeen: 1 };
    for (const [what, part] of [
      ['the book', strange],
      ['a VM', { members: { ...plain(pool.book.members), [vm.name]: { ...vm, ...strange } } }],
      ['why it was made', { members: { [vm.name]: { ...vm, made: { ...vm.made, ...strange } } } }],
      ['its spec', { members: { [vm.name]: { ...vm, spec: { ...vm.spec, ...strange } } } }],
      ['a lease', { leases: { [id]: { ...lease, ...strange } } }],
      ['a pause', { paused: { ...paused, ...strange } }],
      ['a stray', { strays: { s: { ...stray, ...strange } } }],
    ] as const)
      expect([what, issuesOf({ ...book, ...part }).some((issue) => issue.includes('strange'))]).toEqual([
        what,
        true,
      ]);
    expect(issuesOf({ ...book, paused, strays: { s: stray } })).toEqual([]);
  });

  it.each(['soft-anti-affinity', 'anti-affinity', 'soft-affinity', 'affinity', null])(
    'takes the policy of server groups %j',
    (serverGroupPolicy) => {
      const { pool, vm } = leased();
      const spec = { ...vm.spec, serverGroupPolicy };
      const members = { ...plain(pool.book.members), [vm.name]: { ...vm, spec } };
      expect(issuesOf({ ...pool.book, installation: uuid, members })).toEqual([]);
    },
  );
});
