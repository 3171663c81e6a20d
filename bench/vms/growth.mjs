/** From nothing to many Free VMs: our pool, one plain `pulumi up`, and plain calls, on the same cloud in the same run. */
import { owned } from '../owner.mjs';
import { row, timesFloorPlus } from '../results.mjs';
import { openSite } from '../site.mjs';
import { cpuSecondsOf } from '../usage.mjs';
import { directServers, plainPulumi } from './direct.mjs';

const limitMs = 60 * 60_000;
/** A pool that grows twice as far may take twice as long and no more, chance aside. */
const linear = 2.4;

/** Milliseconds from the new shape's adoption until `part` of `n` VMs were Free for the first time, by part. */
async function grow(site, n, parts) {
  await site.reshape({ min: n });
  const since = performance.now();
  await site.operator.adopt();
  const times = [];
  for (const part of parts) {
    await site.sees(`${part * n} Free VMs`, ({ counts }) => counts.free >= part * n, limitMs, 100);
    times.push(performance.now() - since);
  }
  return times;
}

/**
 * @param options.plain also one plain `pulumi up` of as many
 * @param options.parallel cells at once; null: the default
 */
export const growthRows = ({ n, bootMs, plain, parallel = null }) =>
  owned(async (owner) => {
    const site = await openSite(owner, {
      ...{ machines: 'responders', addresses: 3 * n + 50, timing: { buildMs: bootMs } },
      shape: { min: 0, max: n },
      engine: parallel === null ? {} : { maxParallel: parallel },
    });
    const direct = await directServers(site, n);
    const alone = plain ? await plainPulumi(site, n) : null;
    const before = cpuSecondsOf(site.service.pid);
    const [half, all] = await grow(site, n, [0.5, 1]);
    const cpu = cpuSecondsOf(site.service.pid) - before;
    const cells = parallel === null ? '' : `, ${parallel} cells at once`;
    const what = `0 to ${n} Free VMs, boot ${bootMs / 1_000} s${cells}`;
    return [
      row(`${what}: our pool, beside plain calls`, 'ms', {
        ...{ p50: all, floor: direct },
        // One boot is in the plain calls' time already: twice their own part, and one boot.
        wanted: [timesFloorPlus(2, -bootMs, 'ms')],
      }),
      ...(alone === null
        ? []
        : [
            row(`${what}: one plain \`pulumi up\`, beside plain calls`, 'ms', { p50: alone, floor: direct }),
            row(`${what}: our pool, beside one plain \`pulumi up\``, 'ms', { p50: all, floor: alone }),
          ]),
      row(`${what}: our pool, beside its first half`, 'ms', {
        ...{ p50: all, floor: half },
        wanted: [
          { text: `p50 <= ${linear}x floor`, holds: (own, slack) => own.p50 <= linear * own.floor * slack },
        ],
      }),
      row(`${what}: our pool's processor time, each VM`, 's', { p50: cpu / n }),
    ];
  });
