import { Table } from '../../../src/table.js';
import { describe, expect, it } from '@jest/globals';
import { identityKeys, type ServerView } from '../../../src/cloud/port.js';
import { differencesIn } from '../../../src/doctor/differences.js';
import type { Facts, MarkerFacts, StackFacts } from '../../../src/doctor/facts.js';
import type { Book } from '../../../src/pool/book.js';
import type { CellName, LeaseId, MemberName, ServerId } from '../../../src/pool/model.js';
import { keyOf, Pool, ready, shapeOf, viewOf } from '../pool/fixture.js';

const installation = '5d0c7b1e-7c0a-4c5f-9a57-2f1d3c4b5a69';

/** What Nova shows of a book's members, each as its own server. */
const serversOf = (book: Book): ServerView[] =>
  book.members.values().map((member) => ours(viewOf(member.name, member.server?.id ?? 's-x')));

const ours = (server: ServerView, of = installation): ServerView => ({
  ...server,
  metadata: { ...server.metadata, [identityKeys.installation]: of },
});

const stackOf = (book: Book, cell: string): StackFacts => ({
  stack: `p-${cell}`,
  cell,
  instances: book.members
    .values()
    .flatMap((member) =>
      member.cell === cell && member.server !== null
        ? [{ member: member.name, serverId: member.server.id }]
        : [],
    ),
  broken: null,
  lost: [],
  lostPath: `/state/p-${cell}.lost.json`,
});

const noMarker: MarkerFacts = { kind: 'read', lease: null, job: null, worker: null, authentic: false };
const markerOf = (lease: LeaseId, job: string, authentic = true): MarkerFacts => ({
  kind: 'read',
  lease,
  job,
  worker: 'w1',
  authentic,
});

/** A pool in order, seen from everywhere. */
const factsOf = (pool: Pool, changes: Partial<Facts> = {}): Facts => {
  const book = { ...pool.book, installation } as Book;
  return {
    pool: 'p',
    now: pool.now,
    stateDir: '/state',
    installation,
    book: { kind: 'read', book, running: true },
    openFiles: [],
    cloud: { kind: 'listed', servers: serversOf(book), complete: true, looked: {} },
    stacks: book.cells.map((cell) => stackOf(book, cell)),
    workers: ['w1'],
    markers: {},
    ...changes,
  };
};

const told = (facts: Facts): readonly string[] =>
  differencesIn(facts).map(({ who, about, what, next }) => `${who} ${about}: ${what} => ${next}`);

/** Two Free VMs, and a worker that has just synced. */
const calm = (): Pool => {
  const pool = ready(2);
  pool.pass(1_000).sync([]);
  return pool;
};

describe('the doctor', () => {
  it('finds nothing where nothing differs', () => {
    const pool = calm();
    const lease = pool.ask(keyOf('1'));
    pool.stage(lease);
    const [busy, free] = [pool.book.leases.get(lease)?.member ?? '', pool.member(1).name];
    const markers = { [busy]: markerOf(lease, '1'), [free]: noMarker };
    expect(told(factsOf(pool, { markers }))).toEqual([]);
  });

  it('explains a server that the book does not know, by its marker too, and one under a retired name', () => {
    const pool = calm();
    const facts = factsOf(pool);
    const servers = [...serversOf(pool.book), ours(viewOf('p-0099-zzzz', 's-99'))];
    const cloud = { kind: 'listed', servers, complete: true, looked: {} } as const;
    expect(told({ ...facts, cloud, markers: { 'p-0099-zzzz': markerOf('x' as LeaseId, '7') } })).toEqual([
      expect.stringMatching(
        /^itself p-0099-zzzz: server s-99 is ours and the book does not know it; its marker names job 7 of w1 => it is held/,
      ),
    ]);
    const book = { ...pool.book, installation, retired: Table.of({ 'p-0099-zzzz': 1 }) } as unknown as Book;
    expect(told({ ...facts, cloud, book: { kind: 'read', book, running: false } })).toEqual([
      expect.stringMatching(
        /a name that the book has retired => when the service runs, it is looked at by id/,
      ),
    ]);
  });

  it('believes no listing alone: a server is gone when a look by id says so', () => {
    const pool = calm();
    const { name } = pool.member();
    const servers = serversOf(pool.book).slice(1);
    const seen = { kind: 'listed', servers, complete: true } as const;
    const view = ours(viewOf(name, `s-${name}`));
    expect(told(factsOf(pool, { cloud: { ...seen, looked: { [name]: view } } }))).toEqual([]);
    expect(told(factsOf(pool, { cloud: { ...seen, looked: { [name]: null } } }))).toEqual([
      expect.stringMatching(/^itself .*Nova no longer knows its server/),
    ]);
    pool.stage(pool.ask(keyOf('5')));
    expect(told(factsOf(pool, { cloud: { ...seen, looked: { [name]: null } } }))).toEqual([
      expect.stringMatching(/its job 5 decides what follows/),
    ]);
  });

  it('tells two servers of one name apart, and says which may go by itself', () => {
    const pool = calm();
    const { name } = pool.member();
    const servers = [...serversOf(pool.book), ours(viewOf(name, 's-other'))];
    const cloud = { kind: 'listed', servers, complete: true, looked: {} } as const;
    expect(told(factsOf(pool, { cloud }))).toEqual([
      expect.stringMatching(/^itself .*server s-other carries its name/),
    ]);
    const member = pool.member();
    const book = {
      ...pool.book,
      installation,
      members: pool.book.members.with(name, { ...member, engine: 'stateless' }),
    } as Book;
    expect(told(factsOf(pool, { cloud, book: { kind: 'read', book, running: true } }))).toEqual([
      expect.stringMatching(/^operator .*openstack server delete s-other/),
    ]);
  });

  it('compares the states of the stacks with the book', () => {
    const pool = calm();
    const [one, two] = [pool.member(0), pool.member(1)];
    const stack = stackOf(pool.book, 'c001');
    const instances = [
      { member: two.name, serverId: 's-elsewhere' as ServerId },
      { member: 'p-0050-gone' as MemberName, serverId: 's-50' as ServerId },
    ];
    const found = told(factsOf(pool, { stacks: [{ ...stack, instances }] }));
    expect(found).toEqual([
      expect.stringContaining(`operator ${two.name}: stack p-c001 has server s-elsewhere under its name`),
      expect.stringContaining(`itself ${one.name}: the book says that Pulumi has it`),
      expect.stringContaining('itself p-0050-gone: it stands in the state of stack p-c001, and neither'),
    ]);
  });

  it('leaves a torn state to the service, any other that cannot be read to an operator, and waits for the cloud before it writes a list anew', () => {
    const pool = calm();
    const stack = stackOf(pool.book, 'c001');
    const broken = { why: 'cut off', path: '/b/s.json', torn: true };
    expect(told(factsOf(pool, { stacks: [{ ...stack, instances: [], broken }] }))).toEqual([
      expect.stringMatching(/^itself p-c001: .*cut off/),
    ]);
    const unknown = { ...broken, torn: false };
    expect(told(factsOf(pool, { stacks: [{ ...stack, instances: [], broken: unknown }] }))).toEqual([
      expect.stringMatching(/^operator p-c001: .*vmpool restore/),
    ]);
    const damaged = { ...stack, lost: null };
    const servers = [
      ...serversOf(pool.book),
      ours(viewOf('p-0060-lost', 's-60')),
      ours(viewOf('p-0061-lost', 's-61', { cell: 'c002' })),
      ours(viewOf('p-0062-lost', 's-62'), '00000000-0000-4000-8000-000000000000'),
    ];
    const cloud = { kind: 'listed', servers, complete: true, looked: {} } as const;
    const repairs = (facts: Facts): unknown[] => differencesIn(facts).flatMap(({ repair }) => repair ?? []);
    expect(repairs(factsOf(pool, { stacks: [damaged], cloud }))).toEqual([
      { kind: 'lost-list', stack: 'p-c001', path: damaged.lostPath, names: ['p-0060-lost'] },
    ]);
    expect(repairs(factsOf(pool, { stacks: [damaged], cloud: { ...cloud, complete: false } }))).toEqual([]);
    expect(repairs(factsOf(pool, { stacks: [damaged], cloud: { kind: 'unknown', why: '503' } }))).toEqual([]);
  });

  it('says for whom a VM is held, and whose word is missing', () => {
    const pool = new Pool(shapeOf({ max: 2 }));
    pool.workers = ['w1', 'w2'];
    pool.event({ type: 'listed', servers: [viewOf('p-0099-xxxx', 's-1')], complete: true });
    pool.pass(1_000).sync([]);
    const { name } = pool.member();
    const facts = factsOf(pool, { workers: ['w1', 'w2'] });
    expect(told(facts)).toContainEqual(expect.stringMatching(/^operator w2: the worker has never synced/));
    expect(told(facts)).toContainEqual(
      expect.stringMatching(
        new RegExp(`^operator ${name}: .*it waits for the sync of w2 and its marker; no job`),
      ),
    );
    const forged = { [name]: markerOf('x' as LeaseId, '3', false) };
    expect(told({ ...facts, markers: forged })).toContainEqual(
      expect.stringMatching(/does not bear this service's seal.*vmpool retire p-0099-xxxx/),
    );
    const silent: Facts['markers'] = { [name]: { kind: 'silent', why: 'no route' } };
    expect(told({ ...facts, markers: silent })).toContainEqual(
      expect.stringMatching(/its marker could not be read: no route => it stays held/),
    );
    pool.sync([], 'w2');
    expect(told(factsOf(pool, { workers: ['w1', 'w2'], markers: { [name]: noMarker } }))).toEqual([
      expect.stringContaining('everything is known'),
    ]);
  });

  it("names an operator's hold with its reason, and how it ends", () => {
    const pool = calm();
    const { name } = pool.member();
    pool.event({ type: 'hold', member: name, why: 'odd disk' });
    pool.pass(2 * 3_600_000).sync([]);
    expect(told(factsOf(pool))).toEqual([
      `operator ${name}: it has been held for 2 h: odd disk => give it back with vmpool unhold ${name}, or end it with vmpool retire ${name}`,
    ]);
  });

  it('compares leases with what the workers say, and takes no silence for an answer', () => {
    const pool = calm();
    const lease = pool.ask(keyOf('1'));
    pool.stage(lease);
    pool.pass(31_000).sync([]);
    const member = pool.book.leases.get(lease)?.member ?? '';
    expect(told(factsOf(pool))).toEqual([
      expect.stringContaining(`itself ${member}: it is leased to job 1, and w1 no longer has that job`),
    ]);
    pool.pass(3_600_000);
    expect(told(factsOf(pool))).toEqual([
      expect.stringMatching(
        /^operator w1: the worker has not synced for 60 min, and 1 of its jobs hold a VM/,
      ),
    ]);
  });

  it('compares markers with the book', () => {
    const pool = calm();
    const lease = pool.ask(keyOf('1'));
    pool.stage(lease);
    pool.pass(1_000).sync(['1']);
    const busy = pool.book.leases.get(lease)?.member ?? '';
    const free = pool.members().find((m) => m.name !== busy)?.name ?? '';
    const markers = { [busy]: noMarker, [free]: markerOf('y' as LeaseId, '9') };
    expect(told(factsOf(pool, { markers }))).toEqual([
      expect.stringContaining(`${busy}: the book says that job 1 runs on it, and its marker is gone`),
      expect.stringContaining(`${free}: it is Free in the book, and its marker names job 9`),
    ]);
    const mute = { [busy]: { kind: 'silent', why: 'tcp: refused' } as const };
    expect(told(factsOf(pool, { markers: mute }))).toEqual([
      expect.stringContaining('a Busy VM is left alone'),
    ]);
  });

  it('says how to begin again where the book is damaged or gone', () => {
    const pool = calm();
    const book = { kind: 'unusable', why: 'the checksum does not match', running: false } as const;
    const copies = ['/state/book.json.1 of yesterday'];
    expect(differencesIn(factsOf(pool, { book: { ...book, copies } }))).toMatchObject([
      { who: 'repair', repair: { kind: 'book-from-copy' } },
    ]);
    expect(told(factsOf(pool, { book: { ...book, copies: [] } }))).toEqual([
      expect.stringMatching(/vmpool restore FILE.*vmpool recover --from-cloud/),
    ]);
    expect(told(factsOf(pool, { book: { ...book, copies, running: true } }))).toEqual([
      expect.stringMatching(/^operator store: .*still has it in memory/),
    ]);
  });

  it('finds the installation that a lost state directory was, and writes a lost file again from the book', () => {
    const pool = calm();
    const nothing = factsOf(pool, { book: { kind: 'none' }, installation: null, stacks: [] });
    expect(told(nothing)[0]).toMatch(
      new RegExp(`^operator cloud: .*vmpool recover --from-cloud --installation ${installation}`),
    );
    expect(differencesIn(factsOf(pool, { installation: null }))).toMatchObject([
      { who: 'repair', repair: { kind: 'installation', installation } },
    ]);
    const servers = [...serversOf(pool.book), ours(viewOf('p-0001-other', 's-o'), 'another')];
    const cloud = { kind: 'listed', servers, complete: true, looked: {} } as const;
    expect(told(factsOf(pool, { cloud }))).toEqual([
      expect.stringMatching(
        /^operator cloud: .*another installation, another: p-0001-other => they are left alone/,
      ),
    ]);
  });

  it('concludes nothing from a cloud that does not answer, and says so', () => {
    const pool = calm();
    const cloud = { kind: 'unknown', why: '503' } as const;
    expect(told(factsOf(pool, { cloud }))).toEqual([
      'operator cloud: the cloud cannot be asked: 503 => nothing was compared with it; see vmpool check',
    ]);
    const cell = 'c001' as CellName;
    expect(pool.book.cells).toContain(cell);
  });
});
