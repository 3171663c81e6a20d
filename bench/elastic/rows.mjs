/**
 * The rows of the table in docs/performance.md that make VMs: the real service and the real Pulumi on the embedded
 * cloud, whose servers have no machines here, so that nothing but the path to them is measured.
 */
import { join } from 'node:path';
import { quantile, row, timed } from '../scale/measure.mjs';
import { openSite, until } from '../site.mjs';
import { directServers, plainPulumi } from './direct.mjs';

const program = join(import.meta.dirname, 'service.mjs');
const patienceMs = 3_600_000;
const quotas = { instances: -1, cores: -1, ram: -1, port: -1, server_groups: -1, server_group_members: -1 };

async function on({ buildMs, ...options }, work) {
  const timing = { buildMs, sshMs: 0, deleteMs: 0 };
  const site = await openSite({ ...options, cloud: { sandbox: 'none', quotas, timing }, program });
  try {
    return await work(site);
  } finally {
    await site.close();
  }
}

/** Leases `n` Free VMs, some at a time. */
const leaseAll = (site, prefix, n) =>
  timed(n, 64, async (at) => {
    const { id, state } = await site.client.request(site.request(`${prefix}${at}.b`));
    if (state !== 'granted') await granted(site, id);
  });
async function granted(site, id) {
  const end = Date.now() + patienceMs;
  for (;;) {
    const view = await site.client.lease(id, { waitSeconds: 30, until: 'granted' });
    if (view.state === 'granted') return Date.parse(view.grantedAt) - Date.parse(view.askedAt);
    if (view.state === 'ended' || Date.now() > end)
      throw new Error(`request ${id}: ${view.state}: ${view.detail}`);
  }
}

/** Requests while no VM is Free, one after the other: milliseconds to Nova's POST, and to the grant. */
async function coldRequests(site, prefix, rounds) {
  const posts = [];
  const grants = [];
  for (let n = 0; n < rounds; n += 1) {
    await site.control.clearCalls();
    const asked = Date.now();
    const { id } = await site.client.request(site.request(`${prefix}${n}.b`));
    let posted;
    await until('POST /servers', patienceMs, async () => {
      [posted] = await site.control.calls({ method: 'POST', path: '/v2.1/servers' });
      return posted !== undefined;
    });
    posts.push(posted.at - asked);
    grants.push(await granted(site, id));
  }
  return { posts, grants };
}

/** From nothing to `n` Free VMs beside plain calls and a plain `pulumi up`; then requests beyond them. */
export const growRows = ({ n, buildMs, rounds, plain, subnet, parallel = 4, slack = 1 }) =>
  on(
    {
      subnet,
      buildMs,
      shape: { min: 0, max: n + rounds },
      engine: { maxParallel: parallel },
      policy: { requestIdleLimit: '1h' },
    },
    async (site) => {
      const direct = await directServers(site, n);
      const alone = plain ? await plainPulumi(site, n) : null;
      const since = performance.now();
      await site.shape({ min: n });
      await until(
        `${n} Free VMs`,
        patienceMs,
        async () => (await site.operator.status()).counts.free >= n,
        200,
      );
      const ms = performance.now() - since;
      await leaseAll(site, 'fill', n);
      const { posts } = await coldRequests(site, 'cold', rounds);
      const [p50, p99] = [quantile(posts, 0.5), quantile(posts, 0.99)];
      const what = `0 to ${n} VMs, boot ${buildMs / 1000} s`;
      const wanted = 2 * direct.ms + buildMs;
      return [
        row(`${what}: all Free`, 'ms', ms, null, direct.ms, '<= 2x direct + one boot', ms <= slack * wanted),
        ...(alone === null
          ? []
          : [row(`${what}: all Free, beside one plain pulumi up`, 'ms', ms, null, alone, 'told', true)]),
        row(
          `no Free VM among ${n}: request to POST /servers`,
          'ms',
          p50,
          p99,
          quantile(direct.posts, 0.5),
          '<= 1000 ms, flat',
          p50 <= 1_000 * slack,
        ),
      ];
    },
  );
