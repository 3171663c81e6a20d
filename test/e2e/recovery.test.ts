import { afterEach, describe, expect, it } from '@jest/globals';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { systemClock } from '../../src/cloud/clock.js';
import { recoverStore } from '../../src/store/recover.js';
import { bookPath } from '../../src/service/open-book.js';
import type { EmbeddedSite } from '../support/site.js';
import { eventually, jobRequest, leaseReady, membersIn, openSite, releaseJob } from '../support/site.js';

describe('a book that cannot be used', () => {
  let site: EmbeddedSite | null = null;
  afterEach(async () => {
    await site?.close();
    site = null;
  }, 120_000);

  it('is refused untouched, and rebuilt from the cloud: jobs that live keep their VM, the rest is retired', async () => {
    site = await openSite({
      subnet: '127.105.0.0/16',
      shape: { min: 2, max: 3 },
      policy: { idleBeforeShrink: '60s' },
    });
    await site.shape({});
    let running = await site.start();
    await eventually('two VMs', 60_000, () => membersIn(running.service, 'Free').length === 2);
    const lease = await leaseReady(running.service, 1, 20_000);
    const before = running.service.status().members.map((m) => m.name);
    await running.stop();

    const path = bookPath(site.config.stateDir);
    const bytes = readFileSync(path);
    bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 0x04;
    writeFileSync(path, bytes);
    await expect(site.start()).rejects.toThrow(/recover/);
    expect(readFileSync(path).equals(bytes)).toBe(true);

    // The copies are gone as well: nothing is left but the cloud.
    const recovered = await recoverStore({ path, journalSince: 2, from: 'cloud', clock: systemClock });
    expect(recovered.kind).toBe('recovered');
    running = await site.start();
    await eventually('both VMs held', 60_000, () => {
      const held = running.service.status().members.filter((m) => m.reason === 'held');
      return before.every((name) => held.some((m) => m.name === name));
    });
    expect(running.service.lease(lease.id)).toBeNull();

    // The worker says which jobs it has: its job's VM is Busy again under the same lease, the other one goes.
    const tell = (): Promise<unknown> => running.service.sync('w1', { jobs: ['1.site'], ageMs: 0 });
    await eventually('the lease restored', 60_000, async () => {
      await tell();
      return running.service.lease(lease.id)?.state === 'granted';
    });
    expect(running.service.lease(lease.id)?.vm?.host).toBe(lease.vm?.host);
    await eventually('the unexplained one gone', 120_000, () =>
      running.service.status().members.every((m) => m.name === lease.vm?.member || !before.includes(m.name)),
    );
    const refused = await running.service.request('w1', jobRequest(1, 0));
    expect(refused).toMatchObject({ kind: 'refused', code: 'stale-attempt' });
    await releaseJob(running.service, 1);
    await eventually('only VMs that the book knows', 120_000, async () => {
      const { members } = running.service.status();
      const servers = await site?.control.servers();
      return members.length === 2 && members.every((m) => m.state === 'Free') && servers?.length === 2;
    });
  }, 420_000);

  it('put back from a copy leases no VM before its marker was read', async () => {
    site = await openSite({ subnet: '127.106.0.0/16', shape: { min: 1, max: 2 } });
    await site.shape({});
    let running = await site.start();
    await eventually('one VM', 60_000, () => membersIn(running.service, 'Free').length === 1);
    await running.stop();
    // A start keeps a copy: this one is from before the lease.
    running = await site.start();
    const lease = await leaseReady(running.service, 1, 20_000);
    await running.stop();
    const path = bookPath(site.config.stateDir);
    rmSync(path);
    await expect(site.start()).rejects.toThrow(/recover/);
    expect((await recoverStore({ path, journalSince: 2, from: 'backup', clock: systemClock })).kind).toBe(
      'recovered',
    );

    running = await site.start();
    const other = await leaseReady(running.service, 2, 90_000);
    expect(other.vm?.host).not.toBe(lease.vm?.host);
    expect(running.service.status().members.find((m) => m.name === lease.vm?.member)).toMatchObject({
      reason: 'held',
    });
    // Its worker still has the job: it was never lost.
    await eventually('the lease restored', 60_000, async () => {
      await running.service.sync('w1', { jobs: ['1.site', '2.site'], ageMs: 0 });
      return running.service.lease(lease.id)?.vm?.host === lease.vm?.host;
    });
    await releaseJob(running.service, 1);
    await releaseJob(running.service, 2);
  }, 300_000);
});
