/** Requests on an empty pool, one a second: how long until each has its VM? */
import { setTimeout as sleep } from 'node:timers/promises';
import { owned } from '../owner.mjs';
import { median, quantile, row, timesFloorPlus } from '../results.mjs';
import { openSite } from '../site.mjs';
import { cpuSecondsOf } from '../usage.mjs';

const grantLimitMs = 30 * 60_000;

/** Asks for `count` VMs, one each `everyMs`, and waits for all of them: milliseconds to each grant, in their order. */
export async function arrive(site, prefix, count, everyMs) {
  const since = Date.now();
  const waits = [];
  for (let n = 0; n < count; n += 1) {
    await sleep(Math.max(0, since + n * everyMs - Date.now()));
    const one = (async () => {
      const { id } = await site.client.request(site.request(`${prefix}${n}.b`));
      const lease = await site.granted(id, grantLimitMs);
      return Date.parse(lease.grantedAt) - Date.parse(lease.askedAt);
    })();
    // One that fails is told when all are waited for.
    one.catch(() => undefined);
    waits.push(one);
  }
  return Promise.all(waits);
}

const ofEngine = ({ seconds, bootMs, maxParallel }) =>
  owned(async (owner) => {
    const site = await openSite(owner, {
      ...{ machines: 'responders', addresses: 2 * seconds + 50, timing: { buildMs: bootMs } },
      shape: { min: 0, max: seconds },
      engine: maxParallel === null ? {} : { maxParallel },
    });
    const before = cpuSecondsOf(site.service.pid);
    const since = performance.now();
    const waits = await arrive(site, 'each', seconds, 1_000);
    const elapsed = (performance.now() - since) / 1_000;
    return { waits, cores: (cpuSecondsOf(site.service.pid) - before) / elapsed };
  });

export async function arrivalRows({ seconds = 300, bootMs = 20_000, parallel = [null] } = {}) {
  const rows = [];
  for (const maxParallel of parallel) {
    const { waits, cores } = await ofEngine({ seconds, bootMs, maxParallel });
    const engine = maxParallel === null ? 'the default of cells at once' : `${maxParallel} cells at once`;
    const what = `one request a second for ${seconds} s on an empty pool, boot ${bootMs / 1_000} s, ${engine}`;
    rows.push(
      row(`${what}: time to grant`, 'ms', {
        ...{ p50: median(waits), p99: quantile(waits, 0.99), floor: bootMs },
        wanted: [timesFloorPlus(1, 3_000, 'ms')],
      }),
      row(`${what}: processors used`, 'cores', { p50: cores }),
    );
  }
  return rows;
}
