import { afterEach, describe, expect, it } from '@jest/globals';
import type { LeaseView } from '../../src/http/api.js';
import type { PoolService } from '../../src/service/port.js';
import type { EmbeddedSite } from '../support/site.js';
import { eventually, leaseReady, membersIn, onVm, openSite, releaseJob } from '../support/site.js';

/** Does the account know of so many jobs what they used? Of these none began. */
const asked = async (service: PoolService, jobs: number): Promise<boolean> => {
  const wish = { since: 0, until: Date.now() + 60_000, by: ['job'] } as const;
  const { total } = await service.usage(wish, new AbortController().signal);
  return total.measured === jobs && total.ends['never-started'] === jobs;
};

/** Staging does not wait for the meter, nor does a VM that goes wait for long for one that is still on its way. */
const metered = async (site: EmbeddedSite, { vm }: LeaseView): Promise<void> => {
  await onVm(
    site,
    vm?.host ?? '',
    'for ((i = 0; i < 300; i++)); do [ -s /run/vmpool/pid ] && exit 0; sleep 0.1; done; exit 1',
  );
};

describe('what becomes of a VM after its job', () => {
  let site: EmbeddedSite | null = null;
  afterEach(async () => {
    await site?.close();
    site = null;
  }, 120_000);

  it('never: the VM is deleted and the next job gets another', async () => {
    site = await openSite({
      subnet: '127.103.0.0/16',
      shape: { min: 1, max: 2 },
      policy: { reuse: 'never' },
    });
    await site.shape({});
    const { service } = await site.start();
    const first = await leaseReady(service, 1, 60_000);
    await metered(site, first);
    await releaseJob(service, 1);
    const second = await leaseReady(service, 2, 60_000);
    expect(second.vm?.member).not.toBe(first.vm?.member);
    await eventually('the first is gone', 90_000, () =>
      service.status().members.every((m) => m.name !== first.vm?.member),
    );
    await metered(site, second);
    await releaseJob(service, 2);
    await eventually('both VMs were asked what their jobs used', 60_000, () => asked(service, 2));
  }, 240_000);

  it('rebuild: the same server comes back with a new system and new host keys', async () => {
    site = await openSite({
      subnet: '127.104.0.0/16',
      shape: { min: 1, max: 1 },
      policy: { reuse: 'rebuild' },
    });
    await site.shape({});
    const { service } = await site.start();
    const first = await leaseReady(service, 1, 60_000);
    await metered(site, first);
    await releaseJob(service, 1);
    const second = await leaseReady(service, 2, 90_000);
    expect(second.vm?.member).toBe(first.vm?.member);
    expect(second.vm?.hostKeys).not.toEqual(first.vm?.hostKeys);
    const [server] = await site.control.servers();
    expect(server?.actions).toEqual(['rebuild', 'create']);
    await metered(site, second);
    await releaseJob(service, 2);
    await eventually('Free', 90_000, () => membersIn(service, 'Free').length === 1);
    expect(await asked(service, 2)).toBe(true);
  }, 300_000);
});
