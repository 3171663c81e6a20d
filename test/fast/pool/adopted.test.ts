import { describe, expect, it } from '@jest/globals';
import { identityKeys } from '../../../src/cloud/port.js';
import type { ServerId } from '../../../src/pool/model.js';
import { longestRestMs } from '../../../src/pool/observe.js';
import { epoch, keyOf, Pool, ready, shapeOf, specOf, viewOf } from './fixture.js';

/** A pool of no VM whose listing shows a server of ours that the store does not know. */
function shown(
  view: Parameters<typeof viewOf>[2],
  shape = shapeOf() as Parameters<typeof shapeOf>[0] | null,
) {
  const pool = new Pool(shape === null ? null : shapeOf(shape));
  pool.now = epoch + 5_000;
  pool.notes = [];
  const seq = pool.book.seq;
  pool.event({ type: 'listed', servers: [viewOf('p-0007-abcd', 's7', view)], complete: true });
  return { pool, member: pool.member(), seq };
}
const address = (text: string) => [{ address: text, version: 4 as const, type: 'fixed' as const }];

describe('a server of ours that the store does not know', () => {
  it('is held, with all that its metadata, its addresses and the shape tell, and nothing made up', () => {
    const { pool, member, seq } = shown({ cell: 'c009' });
    const why =
      'a server of ours that the store does not know; it stays until every worker has synced and its marker was read';
    expect(member).toEqual({
      name: 'p-0007-abcd',
      cell: 'c009',
      seq: seq + 1,
      made: { reason: 'found', detail: why },
      bornAt: epoch,
      generation: 'g1',
      spec: { ...specOf('g1'), pinned: undefined, userData: '' },
      state: { kind: 'Unusable', reason: 'held', since: pool.now, detail: why },
      engine: 'adopted',
      server: { id: 's7', status: 'ACTIVE' },
      endpoint: { host: '10.0.0.2', port: 22 },
      hostKeys: [],
      bootId: null,
      tenant: null,
      retire: null,
      hold: { kind: 'unknown', why, at: pool.now },
    });
    expect(pool.book.seq).toBe(seq + 1);
    expect(pool.book.cells).toContain('c009');
    expect(pool.notes).toEqual([
      {
        ...{ at: pool.now, kind: 'vm', member: 'p-0007-abcd', detail: `held: ${why}` },
        ...{ decision: 'made', reason: 'found' },
      },
    ]);
  });

  it('keeps the cells there are, and names its own once', () => {
    const pool = ready(1);
    const cells = pool.book.cells;
    const known = cells[0] ?? '';
    const servers = [
      viewOf('p-0090-aaaa', 's90', { cell: known }),
      viewOf('p-0091-aaaa', 's91', { cell: 'c077' }),
    ];
    pool.event({ type: 'listed', servers, complete: false });
    expect(pool.book.cells).toEqual([...cells, 'c077']);
  });

  it('that names no cell, or one that can be none, belongs to no stack', () => {
    for (const cell of ['', '../c1', `c${'0'.repeat(60)}`]) {
      const { pool, member } = shown({ cell });
      expect(member).toMatchObject({ cell: '', engine: 'dropped' });
      expect(pool.book.cells).not.toContain('');
    }
  });

  it('is reached on the network of the shape where it has that, else on its first', () => {
    const nets = { front: address('10.1.0.1'), back: address('10.2.0.2') };
    const spec = (sshNetwork: string) => ({ ...specOf('g1'), networks: ['front', 'back'], sshNetwork });
    expect(shown({ addresses: nets }, { spec: spec('back') }).member).toMatchObject({
      spec: { networks: ['front', 'back'], sshNetwork: 'back', siteNetwork: 'front' },
      endpoint: { host: '10.2.0.2' },
    });
    expect(shown({ addresses: nets }, { spec: spec('other') }).member).toMatchObject({
      spec: { sshNetwork: 'front', siteNetwork: 'front' },
      endpoint: { host: '10.1.0.1' },
    });
    expect(shown({ addresses: {} }).member).toMatchObject({
      spec: { networks: [], sshNetwork: '', siteNetwork: '' },
      endpoint: null,
    });
  });

  it('is held before there is any shape, too, as a VM of which nothing is known', () => {
    const { member } = shown({}, null);
    expect(member.spec).toEqual({
      flavor: '',
      image: '',
      networks: ['net0'],
      sshNetwork: 'net0',
      siteNetwork: 'net0',
      securityGroups: [],
      availabilityZones: [],
      userData: '',
      metadata: {},
      configDrive: false,
      bootVolumeGiB: null,
      floatingIpPool: null,
      serverGroupPolicy: null,
      pinned: undefined,
    });
    expect(member.endpoint).toEqual({ host: '10.0.0.2', port: 22 });
  });

  it('without a time of its making or a generation is as young as it can be, and of none', () => {
    const { pool, member } = shown({
      createdAt: '',
      metadata: { [identityKeys.pool]: 'p', [identityKeys.member]: 'p-0007-abcd' },
    });
    expect(member).toMatchObject({ bornAt: pool.now, generation: '' });
  });

  it.each(['p_0001', 'p-0001\n', '-p', 'p'.repeat(64), ''])('under the name %j is nobody’s', (name) => {
    const pool = new Pool();
    pool.event({ type: 'listed', servers: [viewOf(name, 's1')], complete: true });
    expect(pool.members()).toEqual([]);
    expect(pool.book.strays).toEqual({});
  });
});

describe('a server that carries a name and is not that VM', () => {
  it('is told of once, and forgotten when it is gone', () => {
    const pool = ready(1);
    const { name } = pool.member();
    const twin = viewOf(name, 's-twin');
    pool.notes = [];
    for (let n = 0; n < 3; n += 1) pool.event({ type: 'listed', servers: [twin], complete: false });
    const detail = 'server s-twin carries the name but is not (any more) that member';
    expect(pool.notes).toEqual([{ at: pool.now, kind: 'stray', member: name, detail }]);
    expect(pool.book.strays).toEqual({ 's-twin': { server: 's-twin', name, firstSeen: pool.now } });
    pool.event({ type: 'strayGone', id: 's-twin' as ServerId });
    expect(pool.book.strays).toEqual({});
  });
});

describe('a look by id', () => {
  it('that tells of another server than the one that is asked for now changes nothing', () => {
    const pool = ready(1);
    const { name, server } = pool.member();
    const before = pool.state;
    pool.event({ type: 'looked', member: name, id: 's-other' as ServerId, view: null });
    pool.event({
      type: 'looked',
      member: 'p-9999-none' as typeof name,
      id: server?.id as ServerId,
      view: null,
    });
    expect(pool.state.book).toEqual(before.book);
    expect(pool.state.sight.looked).toEqual(before.sight.looked);
  });

  it('tells once that the server of a running job is gone', () => {
    const pool = ready(1);
    pool.stage(pool.ask(keyOf('1')));
    const { name } = pool.member();
    pool.notes = [];
    pool.look(name, null);
    pool.look(name, null);
    expect(pool.notes.map(({ detail }) => detail)).toEqual([
      'the server of a running job is gone; its job decides what follows',
    ]);
    expect(pool.member().server?.status).toBe('GONE');
  });
});

describe('a cloud that asks for a pause', () => {
  const failed = (pool: Pool, restMs: number | null) =>
    pool.event({ type: 'cloudFailed', why: 'busy', restMs });

  it('gets it, ten minutes at most, and none where it asked for none', () => {
    const pool = ready(1);
    failed(pool, null);
    expect(pool.state.sight.restUntil).toBeNull();
    failed(pool, 30_000);
    expect(pool.state.sight.restUntil).toBe(pool.now + 30_000);
    failed(pool, 10_000);
    expect(pool.state.sight.restUntil).toBe(pool.now + 30_000);
    failed(pool, null);
    expect(pool.state.sight.restUntil).toBe(pool.now + 30_000);
    failed(pool, 10 * longestRestMs);
    expect(pool.state.sight.restUntil).toBe(pool.now + longestRestMs);
  });
});
