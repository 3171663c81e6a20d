import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Client } from '../../src/http/client.js';
import { createClient } from '../../src/http/client.js';
import type { Run } from '../../src/engine/runs.js';
import { repoRoot } from '../../src/repo-root.js';
import { bookPath } from '../../src/service/open-book.js';
import type { ServiceProcess } from '../support/service-process.js';
import { startServiceProcess } from '../support/service-process.js';
import type { EmbeddedSite } from '../support/site.js';
import { eventually, jobRequest, openSite } from '../support/site.js';

/** Flavors of the embedded cloud: `small` has one processor and 2 GiB, `large` four and 8 GiB. */
const gib = 1024 ** 3;

describe('a service with two classes', () => {
  let site: EmbeddedSite;
  let service: ServiceProcess;
  let worker: Client;
  let operator: Client;

  const open = async (): Promise<void> => {
    service = await startServiceProcess(site);
    worker = createClient({ url: service.url, token: site.tokens.worker });
    operator = createClient({ url: service.url, token: site.tokens.operator });
  };
  const close = async (): Promise<void> => {
    worker.close();
    operator.close();
    expect(await service.stop()).toBe(0);
  };
  const ask = async (n: number, more: object = {}) => worker.request({ ...jobRequest(n), ...more });
  /** Until then a job that may belong to a class is asked to come again. */
  const bothShapes = () =>
    eventually('both shapes', 60_000, async () => {
      const { pools = [] } = await operator.status();
      return pools.length === 2 && pools.every(({ takes }) => takes.processors !== null);
    });
  const ready = (id: string) =>
    eventually('a ready lease', 120_000, async () => {
      const view = await worker.lease(id, { waitSeconds: 5, until: 'ready' });
      return view.ready ? view : undefined;
    });
  const vmpool = (...args: string[]): Promise<{ code: number | null; out: string; err: string }> =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [join(repoRoot, 'dist/src/cli/main.js'), ...args], {
        env: {
          ...process.env,
          ...site.env,
          HOME: process.env['HOME'] ?? '/root',
          VMPOOL_URL: service.url,
          VMPOOL_TOKEN_FILE: join(site.directory, 'operator.token'),
          VMPOOL_CONFIG: site.configFile,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [out, err]: [string[], string[]] = [[], []];
      child.stdout.on('data', (part: Buffer) => out.push(part.toString()));
      child.stderr.on('data', (part: Buffer) => err.push(part.toString()));
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, out: out.join(''), err: err.join('') }));
    });
  /** What its operator would do for a second pool: the same stack config with another flavor and size. */
  const bringUpLarge = async (): Promise<void> => {
    const file = join(site.directory, 'Pulumi.large.yaml');
    const { config } = parse(readFileSync(join(site.directory, 'Pulumi.site.yaml'), 'utf8')) as {
      config: Record<string, unknown>;
    };
    const sizes = { 'vmpool:flavor': 'large', 'vmpool:min': 0, 'vmpool:max': 2 };
    writeFileSync(file, stringify({ config: { ...config, ...sizes } }));
    for (const args of [
      ['stack', 'init'],
      ['up', '--yes', '--skip-preview'],
    ]) {
      const ran = await site.plain('large', args, file);
      if (ran.code !== 0) throw new Error(ran.output);
    }
  };

  beforeAll(async () => {
    site = await openSite({ subnet: '127.108.0.0/16', shape: { min: 1, max: 2 } });
    await site.shape({});
    chmodSync(site.config.stateDir, 0o700);
    await open();
  }, 180_000);
  afterAll(async () => {
    await close();
    await site.close();
  }, 180_000);

  it('takes over a pool that was alone with its leases, and leads jobs by what they ask for', async () => {
    const first = await ask(1);
    expect(first.pool).toBeUndefined();
    const before = await ready(first.id);
    expect((await operator.status()).pools).toBeUndefined();
    await close();
    expect(existsSync(join(site.config.stateDir, 'pools'))).toBe(false);

    await bringUpLarge();
    const settings = parse(readFileSync(site.configFile, 'utf8')) as object;
    const classes = [{ pool: 'site' }, { pool: 'large', queues: ['batch', 'long'], features: ['big'] }];
    writeFileSync(site.configFile, stringify({ ...settings, classes }));
    await open();
    expect(await worker.lease(first.id)).toMatchObject({
      state: 'granted',
      ready: true,
      pool: 'site',
      vm: { member: before.vm?.member, host: before.vm?.host },
    });
    await bothShapes();
    expect((await operator.status()).pools).toMatchObject([
      { name: 'site', counts: { busy: 1 }, takes: { processors: 1, memory: 2 * gib } },
      { name: 'large', takes: { processors: 4, memory: 8 * gib, queues: ['batch', 'long'] } },
    ]);

    const byProcessors = await ask(2, { processors: 3 });
    const byMemory = await ask(3, { memory: 3 * gib });
    expect([byProcessors.pool, byMemory.pool]).toEqual(['large', 'large']);
    for (const { id } of [byProcessors, byMemory]) {
      const { vm } = await ready(id);
      expect(await operator.member(vm?.member ?? '')).toMatchObject({
        member: { pool: 'large' },
        spec: { flavor: 'large' },
        stack: expect.stringMatching(/^large-c\d+$/) as unknown,
      });
    }
  }, 300_000);

  it('refuses what no class has, and says why', async () => {
    for (const more of [{ processors: 5 }, { features: ['gpu'] }, { queue: 'short', processors: 2 }])
      await expect(ask(9, more)).rejects.toMatchObject({
        code: 'no-class-fits',
        problem: { status: 422, detail: expect.stringContaining('large (4 processors, 8 GiB') as unknown },
      });
    expect((await operator.status()).requests).toEqual([]);
  });

  it('shows, plans and copies both pools, or the one that is named', async () => {
    const shown = await vmpool('status');
    expect(shown.out).toMatch(/^Pool site, large: /);
    expect(shown.out).toMatch(/^large .* ppn 4; mem 8 GiB; queues batch, long; features big$/m);
    const vms = JSON.parse((await vmpool('vms', '--pool', 'large', '--json')).out) as {
      members: { name: string }[];
    };
    expect(vms.members.every(({ name }) => name.startsWith('large-'))).toBe(true);
    expect(await vmpool('vms', '--pool', 'other')).toMatchObject({ code: 4 });
    expect((await vmpool('scale', '--max', '3', '--dry-run')).err).toContain('site, large');
    expect(await vmpool('scale', '--pool', 'large', '--max', '3', '--dry-run')).toMatchObject({ code: 0 });
    expect((await vmpool('env')).err).toContain('say which with --pool: site, large');

    const plan = JSON.parse((await vmpool('plan', '--json')).out) as { stacks: { stack: string }[] };
    // A cell more where an update still ran when the next VM was wanted.
    const planned = plan.stacks.map(({ stack }) => stack.replace(/-c\d+$/, ''));
    expect([...new Set(planned)]).toEqual(['site', 'large']);
    const backups = join(site.directory, 'backups');
    mkdirSync(backups, { recursive: true });
    expect(await vmpool('backup', backups, '--keep', '2')).toMatchObject({ code: 0 });
    expect(readdirSync(backups).sort()).toEqual([
      expect.stringMatching(/^large-\d+T/),
      expect.stringMatching(/^site-\d+T/),
    ]);
    await worker.sync({ jobs: ['1.site', '2.site', '3.site'], ageMs: 0 });
    const doctor = await vmpool('doctor', '--no-guests');
    expect(doctor).toMatchObject({ code: 0, err: '' });
    for (const pool of ['site', 'large']) expect(doctor.out).toContain(`Pool ${pool}: compared`);
    const figures = await fetch(`${service.url}/metrics`, {
      headers: { authorization: `Bearer ${site.tokens.operator}` },
    });
    const text = await figures.text();
    for (const pool of ['site', 'large'])
      expect(text).toMatch(new RegExp(`vmpool_leases\\{pool="${pool}"\\} \\d`));
  }, 240_000);

  it('is in order, and the cloud as the stacks say, for each pool', async () => {
    const check = await vmpool('check', '--json');
    const { findings } = JSON.parse(check.out) as {
      findings: { what: string; result: string; text: string }[];
    };
    expect(findings.filter(({ result }) => result === 'fail')).toEqual([]);
    const looked = findings.map(({ what }) => what);
    for (const pool of ['site', 'large'])
      for (const what of ['store', 'pool stack', 'flavor', 'quota', 'admin key', 'guest'])
        expect(looked).toContain(`${pool}: ${what}`);
    expect(looked.filter((what) => ['engine', 'service', 'shared quota'].includes(what))).toHaveLength(3);
    await site.control.setQuotas({ instances: 3 });
    const short = await vmpool('check', '--json');
    await site.control.setQuotas({ instances: 20 });
    expect(short.code).toBe(1);
    expect(short.out).toContain("the pools' max of 2 + 2 needs");

    const file = join(site.directory, 'Pulumi.large.yaml');
    expect((await vmpool('policy', file)).err).toContain('say with --pool whose the file is: site, large');
    const policy = await vmpool('policy', file, '--pool', 'large');
    expect(policy).toMatchObject({ code: 0 });
    expect(policy.out).toMatch(/busy VMs/);

    // A VM serves before the update that made it has ended, which the audit waits for.
    await eventually('no update under way', 60_000, async () =>
      (await operator.status()).cells.every(({ running }) => !running),
    );
    const audit = await vmpool('audit');
    expect(audit.out).toMatch(/^ok {7}site\nok {7}site-c001\n(.*\n)*ok {7}large\nok {7}large-c001\n/);
    expect(audit).toMatchObject({
      code: 0,
      err: [
        ...['site: Changes are paused.', 'site: Changes go on.'],
        ...['large: Changes are paused.', 'large: Changes go on.', ''],
      ].join('\n'),
    });
    expect(await vmpool('audit', file, '--pool', 'large')).toMatchObject({ code: 0 });
    expect(await vmpool('audit', file)).toMatchObject({ code: 2 });
  }, 900_000);

  it('goes on with one class while the update of another hangs', async () => {
    // Both jobs of the large class end: its VMs are cleaned and serve the next.
    const runs = join(site.config.stateDir, 'engine', 'runs');
    const small = await ask(4);
    const pid = await eventually('an update of the small class', 60_000, () => {
      // Read only: what is being written there is not ours to tidy up.
      const found = readdirSync(runs)
        .filter((name) => /^\d+\.json$/.test(name))
        .map((name) => JSON.parse(readFileSync(join(runs, name), 'utf8')) as Run)
        .find(({ stack }) => /^site-c\d+$/.test(stack));
      return found?.process.pid;
    });
    process.kill(pid, 'SIGSTOP');
    try {
      await worker.release({ job: '2.site', attempt: jobRequest(2).attempt });
      await ready((await ask(5, { processors: 2 })).id);
      expect((await operator.status()).cells.filter(({ running }) => running)).toMatchObject([
        { pool: 'site' },
      ]);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    expect(await ready(small.id)).toMatchObject({ pool: 'site' });
  }, 240_000);

  it('keeps the leases of both over a kill and a restart', async () => {
    const { leases } = await operator.status();
    expect(new Set(leases.map(({ pool }) => pool))).toEqual(new Set(['site', 'large']));
    worker.close();
    operator.close();
    await service.kill();
    await open();
    for (const { id, vm } of leases)
      expect(await worker.lease(id)).toMatchObject({ state: 'granted', vm: { member: vm?.member } });
    // The worker has none of the jobs any more: one listing reaches both pools.
    for (const { job } of leases) await worker.release({ job });
    await eventually('every VM given back', 60_000, async () => (await operator.status()).counts.busy === 0);
  }, 240_000);

  it('is not started while one store is damaged, and is again when that one was restored', async () => {
    worker.close();
    operator.close();
    expect(await service.stop()).toBe(0);
    const backups = join(site.directory, 'backups');
    mkdirSync(backups, { recursive: true });
    expect(await vmpool('backup', backups)).toMatchObject({ code: 0 });
    const newest = readdirSync(backups)
      .filter((name) => name.startsWith('large-'))
      .sort()
      .at(-1);
    const book = bookPath(join(site.config.stateDir, 'pools', 'large'));
    truncateSync(book, 100);
    await expect(startServiceProcess(site)).rejects.toThrow();
    const archive = join(backups, newest ?? '');
    expect((await vmpool('restore', archive)).err).toContain('say which with --pool: site, large');
    expect(await vmpool('restore', archive, '--pool', 'site')).toMatchObject({ code: 1 });
    expect(await vmpool('restore', archive, '--pool', 'large')).toMatchObject({ code: 0 });
    await open();
    await bothShapes();
    await worker.sync({ jobs: [], ageMs: 0 });
    const [small, large] = await Promise.all([ask(20), ask(21, { processors: 2 })]);
    expect([await ready(small.id), await ready(large.id)]).toMatchObject([
      { pool: 'site' },
      { pool: 'large' },
    ]);
  }, 300_000);
});
