/** Requests on an empty pool, one a second: how long until each has its VM? */
import { setTimeout as sleep } from 'node:timers/promises';
import { owned } from '../owner.mjs';
import { row, spread, timesFloorPlus } from '../results.mjs';
import { openSite } from '../site.mjs';
import { cpuSecondsOf, memoryOf } from '../usage.mjs';

const grantLimitMs = 30 * 60_000;
const memoryEveryMs = 3_000;

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

/** The most memory that `pid` and what it starts have had, MB, looked at every few seconds until `work` is over. */
async function peakOf(pid, work) {
  const over = new globalThis.AbortController();
  let peak = 0;
  const looks = (async () => {
    while (!over.signal.aborted) {
      peak = Math.max(peak, memoryOf(pid));
      await sleep(memoryEveryMs, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  try {
    return { value: await work, peak: () => peak };
  } finally {
    over.abort();
    await looks;
  }
}

/** @param options.parallel cells at once; null: the default */
export const arrivalRows = ({ seconds = 300, bootMs = 20_000, parallel = null } = {}) =>
  owned(async (owner) => {
    const site = await openSite(owner, {
      ...{ machines: 'responders', addresses: 2 * seconds + 50, timing: { buildMs: bootMs } },
      shape: { min: 0, max: seconds },
      engine: parallel === null ? {} : { maxParallel: parallel },
    });
    const { pid } = site.service;
    const before = cpuSecondsOf(pid);
    const since = performance.now();
    const { value: waits, peak } = await peakOf(pid, arrive(site, 'each', seconds, 1_000));
    const elapsed = (performance.now() - since) / 1_000;
    const cores = (cpuSecondsOf(pid) - before) / elapsed;
    const engine = parallel === null ? 'the default of cells at once' : `${parallel} cells at once`;
    const what = `one request a second for ${seconds} s on an empty pool, boot ${bootMs / 1_000} s, ${engine}`;
    return [
      row(`${what}: time to grant`, 'ms', {
        ...{ ...spread(waits), floor: bootMs },
        wanted: [timesFloorPlus(1, 3_000, 'ms')],
      }),
      row(`${what}: processors used`, 'cores', { p50: cores }),
      row(`${what}: most memory of all processes`, 'MB', { p50: peak() }),
    ];
  });
