/** One VM is stuck in BUILD, or the `up` of one cell hangs: what do other requests notice? */
import { until } from '../calls.mjs';
import { owned } from '../owner.mjs';
import { median, row, spread } from '../results.mjs';
import { openSite } from '../site.mjs';
import { commandOf, treeOf } from '../usage.mjs';
import { arrive } from './arrivals.mjs';

const limitMs = 300_000;
const bootMs = 3_000;
const bootLimitMs = 120_000;
/** Differences by chance, on a machine that does other work. */
const noise = 1.25;

/** The `pulumi up` of a cell, once it runs, as a pid. */
const upOf = (site) =>
  until('the up of a cell', limitMs, () =>
    treeOf(site.service.pid).find((pid) => {
      const [program = '', ...words] = commandOf(pid);
      const isCell = words.some((word) => /^bench-c\d+$/.test(word));
      return /\/pulumi$/.test(program) && words.includes('up') && isCell;
    }),
  );

/**
 * Times to grant of `count` requests that come one each `everyMs` on an empty pool, behind a first request whose VM
 * `trouble(site)` has put in trouble; that one waits as well and is served first.
 */
const scenario = ({ count, everyMs }, trouble) =>
  owned(async (owner) => {
    const site = await openSite(owner, {
      ...{ machines: 'responders', addresses: 2 * count + 60, timing: { buildMs: bootMs } },
      shape: { min: 0, max: count + 4 },
      // Who waits for the VM in trouble waits so long for it.
      policy: { bootLimit: `${bootLimitMs / 1_000}s` },
    });
    const ended = await trouble(site);
    const waits = await arrive(site, 'other', count, everyMs);
    await ended?.();
    return waits;
  });

const none = async (site) => {
  await site.client.request(site.request('first.b'));
  await until('its POST', limitMs, async () => (await site.control.servers()).length > 0);
};
const stuckInBuild = async (site) => {
  await site.control.fault({ kind: 'stuck-in-build' }, { times: 1 });
  await none(site);
};
const upThatHangs = async (site) => {
  await site.client.request(site.request('first.b'));
  const pid = await upOf(site);
  await until('its POST', limitMs, async () => (await site.control.servers()).length > 0);
  process.kill(pid, 'SIGSTOP');
  return () => {
    process.kill(pid, 'SIGCONT');
  };
};

/** In each, a first request has its VM under way when the others begin to come. */
export async function stuckRows({ count = 24, everyMs = 2_000 } = {}) {
  const without = await scenario({ count, everyMs }, none);
  const floor = median(without);
  const rows = [
    row(`${count} requests, one each ${everyMs / 1_000} s, boot ${bootMs / 1_000} s: time to grant`, 'ms', {
      ...{ ...spread(without), floor: bootMs },
    }),
  ];
  // A VM that never comes is one too few: first come, first served, each who waits then gets the next one's VM, until
  // another has been made. That is a wait until the next one asks, and no longer.
  const troubles = [
    ['one VM stuck in BUILD', stuckInBuild, everyMs],
    ["one cell's `up` hangs", upThatHangs, 0],
  ];
  for (const [what, trouble, place] of troubles) {
    const waits = await scenario({ count, everyMs }, trouble);
    const longest = `${noise}x the longest without${place === 0 ? '' : ` and one place in the line (${place / 1_000} s)`}`;
    rows.push(
      row(`the same, ${what}, beside the same without`, 'ms', {
        ...{ ...spread(waits), floor },
        wanted: [
          {
            text: `p50 <= ${noise}x floor, nobody waits longer than ${longest}`,
            holds: (own, slack) =>
              own.p50 <= noise * floor * slack &&
              Math.max(...waits) <= (noise * Math.max(...without) + place) * slack,
          },
        ],
      }),
    );
  }
  return rows;
}
