import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { alice, Site } from './site.js';

jest.setTimeout(90_000);

let site: Site;
afterEach(() => site?.close());

describe('when no VM is Free', () => {
  it('the prologue returns soon and the job starter waits, saying for what', async () => {
    site = await Site.open();
    site.service.pause();
    const id = site.mom.submit({ user: alice.name, script: 'echo done' });
    await site.mom.running(id, 5000);
    await site.mom.until(id, () => site.mom.stderr(id).includes('waiting for'), 'a message');
    expect(site.mom.stderr(id)).toContain(
      'vmpool: waiting for a VM (place 1 in the line): all 1 VMs of the pool are taken',
    );
    site.service.grant();
    const result = await site.mom.finished(id);
    expect(result.stdout.toString()).toBe('done\n');
    expect(result.exitStatus).toBe(0);
  });

  it('a VM that is granted but not made ready is waited for', async () => {
    site = await Site.open();
    site.service.slowStaging = true;
    const id = site.mom.submit({ user: alice.name, script: 'echo done' });
    await site.mom.running(id);
    setTimeout(() => site.service.makeReady(), 300);
    expect((await site.mom.finished(id)).stdout.toString()).toBe('done\n');
  });

  it('after maxWait it gives up with 99 and a message', async () => {
    site = await Site.open({ config: { maxWaitSeconds: 2 }, mom: { requeueExitCode: null } });
    site.service.pause();
    const result = await site.mom.finished(site.mom.submit({ user: alice.name, script: 'true' }));
    expect(result.exitStatus).toBe(99);
    expect(result.stderr).toMatch(/waited \d+ s for .*gave up/);
    expect(site.service.live(result.id)).toEqual([]);
  });

  it('it gives up before the walltime is over', async () => {
    site = await Site.open({ mom: { requeueExitCode: null } });
    site.service.pause();
    const id = site.mom.submit({ user: alice.name, script: 'true', walltimeSeconds: 5 });
    expect((await site.mom.finished(id)).exitStatus).toBe(99);
  });

  it('qdel while it waits: ends at once, and the request too', async () => {
    site = await Site.open();
    site.service.pause();
    const id = site.mom.submit({ user: alice.name, script: 'true' });
    await site.mom.running(id);
    await site.mom.until(
      id,
      () => site.service.calls.some((call) => call.path.endsWith('ready')),
      'the waiting',
    );
    await site.mom.qdel(id);
    expect((await site.mom.finished(id)).exitStatus).toBe(143);
    expect(site.service.live(id)).toEqual([]);
  });

  it('a lease that ends while it waits is not waited for', async () => {
    site = await Site.open();
    site.service.pause();
    const id = site.mom.submit({ user: alice.name, script: 'true' });
    await site.mom.running(id);
    const lease = site.service.leaseOf(id);
    if (lease) await site.service.end(lease, 'the operator ended it');
    const result = await site.mom.finished(id);
    expect(result.exitStatus).toBe(98);
    expect(result.stderr).toContain('the operator ended it');
  });
});

describe('when the service has lost its store', () => {
  it('a job that waits is started again, and asks anew', async () => {
    site = await Site.open();
    site.service.pause();
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    await site.mom.running(id);
    const lease = site.service.leaseOf(id);
    if (lease === undefined) throw new Error('nothing was asked for');
    site.service.forgotten.add(lease.id);
    await site.mom.until(id, () => site.service.leases.length === 2, 'the second request');
    site.service.grant();
    expect(await site.mom.finished(id)).toMatchObject({ exitStatus: 0, starts: 2 });
    expect(site.mom.stderr(id)).toContain('has no record of lease');
  });
});

describe('when the service cannot give one', () => {
  it('an unsatisfiable job ends, and its user finds the reason beside the job', async () => {
    site = await Site.open({ mom: { np: 200 } });
    site.directory('/home/vmpalice/work', alice);
    const submission = {
      user: alice.name,
      script: 'true',
      ppn: 128,
      name: 'big',
      workDirectory: '/home/vmpalice/work',
    };
    const id = site.mom.submit(submission);
    const result = await site.mom.finished(id);
    expect(result).toMatchObject({ exitStatus: -2, starts: 1, state: 'complete' });
    const [file] = readdirSync(site.worker.path('/home/vmpalice/work'));
    expect(file).toBe('big.vmpool.28');
    expect(readFileSync(site.worker.path(`/home/vmpalice/work/${file}`), 'utf8')).toContain('128 processors');
    expect(readFileSync(site.worker.path(`/var/spool/vmpool/messages/${id}.txt`), 'utf8')).toContain(
      '128 processors',
    );
  });

  it('service down: the job is held, not started again and again; the sync lets it go when it is back', async () => {
    site = await Site.open({ config: { prologueLimitSeconds: 9 } });
    await site.service.stop();
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    const held = await site.mom.finished(id);
    expect(held).toMatchObject({ state: 'held', starts: 1 });
    expect((await site.mom.runHook('/usr/local/lib/vmpool/nodecheck')).stdout).toMatch(
      /^ERROR vmpool: cannot reach/,
    );
    await site.service.start();
    expect((await site.mom.runHook('/usr/local/lib/vmpool/nodecheck')).stdout).toBe('');
    expect((await site.mom.runHook('/usr/local/lib/vmpool/sync')).code).toBe(0);
    site.mom.poll();
    await site.mom.until(id, () => site.mom.state(id) === 'complete', 'its end');
    expect(site.mom.stdout(id).toString()).toBe('ran\n');
  });

  it('service down while the job starter waits: it goes on when it is back', async () => {
    site = await Site.open();
    site.service.pause();
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    await site.mom.running(id);
    await site.service.stop();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await site.service.start();
    site.service.grant();
    expect((await site.mom.finished(id)).stdout.toString()).toBe('ran\n');
  });

  it('service down at the end: the epilogue leaves the release to the sync', async () => {
    site = await Site.open({ config: { epilogueLimitSeconds: 12 } });
    const id = site.mom.submit({ user: alice.name, script: 'echo began; sleep 5' });
    await site.mom.until(id, () => site.mom.stdout(id).includes('began'), 'its begin');
    await site.service.stop();
    await site.mom.finished(id);
    expect(site.service.live(id)).toHaveLength(1);
    await site.service.start();
    await site.mom.runHook('/usr/local/lib/vmpool/sync');
    expect(site.service.live(id)).toEqual([]);
  });

  it('a job started too often is held', async () => {
    site = await Site.open({ config: { startLimit: 2, maxWaitSeconds: 0 } });
    site.service.pause();
    const result = await site.mom.finished(site.mom.submit({ user: alice.name, script: 'true' }));
    expect(result).toMatchObject({ state: 'held', starts: 3 });
  });

  it('an account below the lowest id is refused', async () => {
    site = await Site.open();
    const result = await site.mom.finished(site.mom.submit({ user: 'vmplow', script: 'true' }));
    expect(result.exitStatus).toBe(-2);
    expect(site.service.leases).toEqual([]);
  });

  it('the Torque server does not answer qstat: nothing loops', async () => {
    site = await Site.open({ config: { prologueLimitSeconds: 15 }, mom: { loopLimit: 2 } });
    site.mom.server.down(true);
    const id = site.mom.submit({ user: alice.name, script: 'echo ran' });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    site.mom.server.down(false);
    expect((await site.mom.finished(id)).stdout.toString()).toBe('ran\n');
  });
});
