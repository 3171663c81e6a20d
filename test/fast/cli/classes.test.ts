import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createLogger } from '../../../src/config/logger.js';
import { installationOf } from '../../../src/service/installation.js';
import { openBook } from '../../../src/service/open-book.js';
import { quotaShortfalls, sharedShortfalls, type QuotaWish } from '../../../src/service/shape-advice.js';
import { FakeClient, leaseAnswer, memberView, play, statusView } from './play.js';

const { counts, shape } = statusView();
const takes = { queues: null, features: [], reserved: false, processors: 4, memory: 8 * 1024 ** 3 };
const both = statusView({
  pool: 'batch, gpu',
  pools: [
    { name: 'batch', counts: { ...counts, free: 1 }, shape, paused: false, problems: 0, takes },
    {
      ...{ name: 'gpu', counts, shape: null, paused: true, problems: 1 },
      takes: { queues: ['q'], features: ['gpu'], reserved: true, processors: null, memory: null },
    },
  ],
  members: [memberView('batch-1', { pool: 'batch' }), memberView('gpu-1', { pool: 'gpu' })],
  requests: [leaseAnswer({ state: 'waiting', position: 1, job: '2.s', pool: 'gpu', vm: null })],
  leases: [leaseAnswer({ job: '1.s', pool: 'batch' })],
});
const client = (): FakeClient => {
  const made = new FakeClient();
  made.view = both;
  return made;
};

describe('a service with several pools on the command line', () => {
  it('shows each pool in a line, and whose each thing is', async () => {
    const { out } = await play(['status'], client());
    expect(out).toMatch(/^Pool batch, gpu: /);
    expect(out).toMatch(/^batch +1 +0 +0 +0 +6 +small +ppn 4; mem 8 GiB$/m);
    expect(out).toMatch(
      /^gpu +0 +0 +0 +0 +- +- +paused; processors not known yet; queues q; only features gpu$/m,
    );
    expect(out).toMatch(/^gpu-1 +gpu +Free/m);
    for (const [command, row] of [
      ['vms', /^gpu-1 +gpu +Free/m],
      ['leases', /^1\.s .* batch /m],
      ['requests', /^ *1 +gpu +2\.s/m],
    ] as const)
      expect((await play([command], client())).out).toMatch(row);
  });

  it('has no such column where there is one pool', async () => {
    for (const command of ['status', 'vms']) expect((await play([command])).out).not.toMatch(/\bPOOL\b/);
  });

  it('asks for the pool that is named', async () => {
    for (const args of [['status'], ['pause'], ['scale', '--max', '3'], ['usage']]) {
      expect((await play([...args, '--pool', 'gpu'], client())).access).toMatchObject({ pool: 'gpu' });
      expect((await play(args, client())).access).not.toHaveProperty('pool');
    }
  });
});

describe('the rules of a pipeline for one of several pools', () => {
  const shape = {
    ...{ 'vmpool:max': 3, 'vmpool:flavor': 'small', 'vmpool:image': 'debian', 'vmpool:networks': ['net0'] },
    'vmpool:adminKey': `ssh-ed25519 ${'A'.repeat(68)} vmpool`,
  };
  it('want to know whose file it is, and hold it against that pool', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'vmpool-policy-'));
    const file = join(directory, 'Pulumi.gpu.yaml');
    writeFileSync(file, stringify({ config: shape }));
    try {
      expect(await play(['policy', file], client())).toMatchObject({
        code: 2,
        err: expect.stringContaining('say with --pool whose the file is: batch, gpu') as unknown,
      });
      const one = client();
      one.view = statusView({ pool: 'gpu' });
      const named = await play(['policy', file, '--pool', 'gpu'], one);
      expect(named).toMatchObject({ code: 0, access: { pool: 'gpu' } });
      expect(named.out).toContain('gpu answers');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('and the quota that all share is looked at for all of them', () => {
    const use = (used: number, limit: number | null) => ({ used, limit });
    const quota = {
      ...{ instances: use(3, 10), cores: use(5, 20), ramMiB: use(0, null) },
      ...{ ports: use(0, null), floatingIps: use(0, null), volumes: use(0, null), volumeGiB: use(0, null) },
    };
    const wish = (max: number, ours: number | null, vcpus: number) => ({
      ...{ max, ours, spec: { networks: ['net0'] } as unknown as QuotaWish['spec'] },
      flavor: { vcpus, ramMiB: 1, diskGiB: 0 } as QuotaWish['flavor'],
    });
    // Each has room alone: 5 of the 7 instances left.
    const wishes = [wish(7, 2, 1), wish(6, 1, 1)] as const;
    for (const one of wishes) expect(quotaShortfalls({ ...one, quota })).toEqual([]);
    expect(sharedShortfalls(wishes, quota)).toEqual([
      expect.stringMatching(
        /^the pools' max of 7 \+ 6 needs 10 more instances, the project has 7 left of 10:/,
      ),
    ]);
    expect(sharedShortfalls([wish(2, 2, 1), wish(6, 1, 4)], quota)).toEqual([
      expect.stringContaining('needs 20 more'),
    ]);
    expect(sharedShortfalls([wish(5, 2, 1), wish(5, null, 1)], quota)).toEqual([]);
    expect(sharedShortfalls([wish(2, 2, 1), wish(6, 1, 2)], quota)).toEqual([]);
  });
});

describe('the state of several pools', () => {
  let directory: string;
  let config: string;
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'vmpool-classes-'));
    config = file(
      'vmpool.yaml',
      stringify({
        pool: 'batch',
        stateDir: 'state',
        classes: [{ pool: 'batch' }, { pool: 'large' }],
        auth: { tokens: [{ name: 'op', role: 'operator', tokenFile: file('token', 't'.repeat(30)) }] },
        engine: { passphraseFile: file('passphrase', 'p'.repeat(30)) },
        guest: { privateKeyFile: file('admin', 'k'.repeat(30)) },
      }),
    );
    for (const [pool, place] of [
      ['batch', 'state'],
      ['large', 'state/pools/large'],
    ] as const) {
      const stateDir = join(directory, place);
      mkdirSync(stateDir, { recursive: true, mode: 0o700 });
      const owner = { stateDir, pool, hostKeys: 'console' } as const;
      const { store, book } = await openBook(owner, await installationOf(stateDir), createLogger('silent'));
      await store.commit(book);
      await store.close();
    }
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });
  const run = (...args: string[]) => play([...args, '--config', config]);

  it('is backed up whole, each pool in a file of its own, or the one that is named', async () => {
    const backups = join(directory, 'backups');
    mkdirSync(backups);
    const first = await run('backup', backups, '--json');
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(JSON.parse(first.out)).toMatchObject({
      backups: [{ manifest: { pool: 'batch' } }, { manifest: { pool: 'large' } }],
    });
    expect(readdirSync(backups)).toHaveLength(2);
    const single = join(directory, 'large.tgz');
    expect(await run('backup', single)).toMatchObject({ code: 2 });
    expect(await run('backup', single, '--pool', 'large')).toMatchObject({ code: 0 });
    const restored = await run('restore', single, '--pool', 'large', '--dry-run');
    expect(restored.out).toContain('Backup of pool large');
    expect(restored.code).toBe(0);
    expect(await run('restore', single, '--pool', 'batch', '--dry-run')).toMatchObject({ code: 1 });
  });

  it('is never touched without a name where one pool is meant', async () => {
    for (const args of [['restore', 'x'], ['recover', '--from-backup'], ['env']]) {
      const { code, err } = await run(...args);
      expect(code).toBe(2);
      expect(err).toContain('say which with --pool: batch, large');
    }
    expect(await run('plan', '--pool', 'other')).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no pool other; there is batch, large') as unknown,
    });
  });
});
