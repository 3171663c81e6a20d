import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunningService, EmbeddedSite } from '../support/site.js';
import { eventually, jobRequest, leaseReady, membersIn, openSite, releaseJob } from '../support/site.js';

/** One site through a working day, in order: what each step leaves is where the next begins. */
describe('a pool on the embedded cloud, with real Pulumi and real SSH', () => {
  let site: EmbeddedSite;
  let running: RunningService;

  beforeAll(async () => {
    site = await openSite({ subnet: '127.101.0.0/16', shape: { min: 1, max: 3 } });
    await site.shape({});
    running = await site.start();
  }, 120_000);
  afterAll(() => site.close(), 120_000);

  it('comes to its minimum by itself', async () => {
    await eventually('one Free VM', 60_000, () => membersIn(running.service, 'Free').length === 1);
    expect(running.service.status().problems).toEqual([]);
  }, 70_000);

  it('grants a Free VM at once, grows for the next requests, and lets the fourth wait at max', async () => {
    const first = await leaseReady(running.service, 1, 10_000);
    expect(first.vm?.hostKeys.length).toBeGreaterThan(0);
    const [second, third] = await Promise.all([
      leaseReady(running.service, 2, 60_000),
      leaseReady(running.service, 3, 60_000),
    ]);
    const hosts = [first, second, third].map((lease) => lease.vm?.host);
    expect(new Set(hosts).size).toBe(3);
    const fourth = await running.service.request('w1', jobRequest(4));
    expect(fourth).toMatchObject({
      kind: 'done',
      value: { state: 'waiting', position: 1, detail: 'all 3 VMs of the pool are taken' },
    });
    expect((await site.control.servers()).length).toBe(3);
  }, 150_000);

  it('shows no change in a plain preview of every cell, and exactly the members in it', async () => {
    await eventually('every VM in its stack', 60_000, () => {
      const { cells, members } = running.service.status();
      return cells.every((c) => !c.running) && members.length === 3;
    });
    const { cells } = running.service.status();
    for (const cell of cells) {
      const preview = await site.plain(cell.stack, ['preview', '--expect-no-changes']);
      expect(preview).toMatchObject({ code: 0 });
      expect(preview.output).toContain(`${cell.members + 1} unchanged`);
    }
  }, 120_000);

  it('rolls a new image over the pool without touching a Busy VM', async () => {
    const busy = membersIn(running.service, 'Busy').map((m) => m.serverId);
    await site.shape({ image: 'debian-vm-2', max: 4 });
    await eventually('the new shape', 30_000, () => running.service.status().shape?.image === 'debian-vm-2');
    // The fourth request gets a VM of the new generation; the three Busy ones stay as they are.
    const fourth = await leaseReady(running.service, 4, 90_000);
    expect(running.service.status().members.find((m) => m.name === fourth.vm?.member)?.current).toBe(true);
    for (const server of await site.control.servers()) {
      if (busy.includes(server.id)) expect(server.actions).toEqual(['create']);
    }
    for (const n of [1, 2, 3]) await releaseJob(running.service, n);
    await eventually('only the new generation', 120_000, () => {
      const { members } = running.service.status();
      return members.length > 0 && members.every((m) => m.current);
    });
  }, 260_000);

  it('shrinks to its minimum when nothing is asked for, and the cloud holds no more than that', async () => {
    await releaseJob(running.service, 4);
    await eventually('one member', 120_000, () => running.service.status().members.length === 1);
    await eventually('one server', 10_000, async () => (await site.control.servers()).length === 1);
    const fresh = membersIn(running.service, 'Free');
    await eventually(
      'that one is Free',
      30_000,
      () => fresh.length === 1 || membersIn(running.service, 'Free').length === 1,
    );
  }, 170_000);

  it('keeps leases over a restart', async () => {
    const lease = await leaseReady(running.service, 5, 30_000);
    await running.stop();
    running = await site.start();
    expect(running.service.lease(lease.id)).toMatchObject({
      state: 'granted',
      ready: true,
      vm: { host: lease.vm?.host },
    });
    await releaseJob(running.service, 5);
    await eventually(
      'Free again after the scrub',
      60_000,
      () => membersIn(running.service, 'Free').length === 1,
    );
  }, 150_000);
});
