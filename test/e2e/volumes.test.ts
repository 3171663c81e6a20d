import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createCloud, type OpenStackCloud } from '../../src/cloud/openstack.js';
import type { InstallationId } from '../../src/pool/model.js';
import type { EmbeddedSite, RunningService } from '../support/site.js';
import { eventually, leaseReady, membersIn, openSite, releaseJob } from '../support/site.js';

const never = new AbortController().signal;

describe('a pool whose VMs boot from volumes and have floating addresses', () => {
  let site: EmbeddedSite;
  let running: RunningService;
  let cloud: OpenStackCloud;

  /** Volumes, GiB of them and floating addresses that the project uses. */
  const used = async (): Promise<readonly (number | undefined)[]> => {
    const { volumes, volumeGiB, floatingIps } = await cloud.quota(never);
    return [volumes?.used, volumeGiB?.used, floatingIps?.used];
  };
  const problems = (): string => running.service.status().problems.join('\n');

  beforeAll(async () => {
    const shape = { min: 0, max: 3, bootVolumeGiB: 20, floatingIpPool: 'public', configDrive: true };
    site = await openSite({ subnet: '127.126.0.0/16', shape, policy: { reuse: 'never' } });
    cloud = createCloud({ env: site.cloud.env, installation: 'reader' as InstallationId });
    await site.control.setQuotas({ volumes: 2 });
    await site.shape({});
    running = await site.start();
  }, 120_000);
  afterAll(async () => {
    cloud.close();
    await site.close();
  }, 120_000);

  it('reaches them there, and makes no more than there may be volumes, saying so', async () => {
    const first = await leaseReady(running.service, 1, 120_000);
    const [server] = await site.control.servers();
    const { addresses } = (await cloud.server(server?.id as never, never)) ?? {};
    const floating = addresses?.['net0']?.find(({ type }) => type === 'floating');
    expect(floating?.address).toBe(first.vm?.host);
    await leaseReady(running.service, 2, 120_000);
    expect(await used()).toEqual([2, 40, 2]);
    const third = leaseReady(running.service, 3, 240_000);
    await eventually('the reason', 30_000, () => /2 of 2 volumes used|quota/i.test(problems()));
    expect(await site.control.servers()).toHaveLength(2);
    // The third job gets what the first gives back.
    await releaseJob(running.service, 1);
    expect((await third).ready).toBe(true);
    expect(await used()).toEqual([2, 40, 2]);
  }, 600_000);

  it('leaves neither volumes nor addresses behind', async () => {
    await releaseJob(running.service, 2);
    await releaseJob(running.service, 3);
    await eventually('no member', 120_000, () => running.service.status().members.length === 0);
    expect(membersIn(running.service, 'Busy')).toEqual([]);
    await eventually('nothing used', 30_000, async () => (await used()).every((n) => n === 0));
  }, 180_000);
});
