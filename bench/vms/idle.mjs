/** Nothing happens: what do all processes of the service cost, and how often is the cloud called, by the pool's size? */
import { setTimeout as sleep } from 'node:timers/promises';
import { owned } from '../owner.mjs';
import { atMost, median, row } from '../results.mjs';
import { openSite } from '../site.mjs';
import { cpuSecondsOf, memoryOf } from '../usage.mjs';
import { premake } from './premade.mjs';

const settleMs = 90_000;
const sampleMs = 5_000;
/** A quiet pool is listed so often a minute, one call for each page of 1,000 and one that finds no further page. */
const listingsAMinute = 2;
const page = 1_000;
/** Calls come by periods of up to half a minute: a window sees one more or less of each. */
const chance = 1;

const ofSize = (members, seconds) =>
  owned(async (owner) => {
    const site = await openSite(owner, {
      ...{ machines: 'responders', addresses: members + 20 },
      shape: { min: 0, max: members },
      engine: { adoptEvery: '1m' },
    });
    await premake(site, { members, leases: 0 });
    const { pid } = site.service;
    // The members' list is published, what the start read is collected.
    await sleep(settleMs);
    await site.control.clearCalls();
    const before = cpuSecondsOf(pid);
    const memory = [];
    for (let at = 0; at < seconds * 1_000; at += sampleMs) {
      await sleep(sampleMs);
      memory.push(memoryOf(pid));
    }
    const percent = ((cpuSecondsOf(pid) - before) / seconds) * 100;
    const calls = (await site.control.calls()).length / (seconds / 60);
    return { percent, memory, calls };
  });

/** The largest is looked at for `seconds`, the others for a third of that. */
export async function idleAllRows({ sizes = [10, 100, 1_000], seconds: longest = 300 } = {}) {
  const rows = [];
  let fewest = null;
  for (const members of sizes) {
    const last = members === sizes.at(-1);
    const seconds = last ? longest : longest / 3;
    const { percent, memory, calls } = await ofSize(members, seconds);
    fewest ??= calls;
    const what = `${members} members, nothing happens for ${seconds} s, all processes`;
    rows.push(
      row(`${what}: processor`, '% of a core', {
        ...{ p50: percent, wanted: last ? [atMost(1, { unit: '%' })] : [] },
      }),
      row(`${what}: memory`, 'MB', {
        ...{ p50: median(memory), p99: Math.max(...memory) },
        wanted: last ? [atMost(300, { unit: 'MB' })] : [],
      }),
      row(`${what}: calls of the cloud's API a minute`, 'calls', {
        p50: calls,
        wanted:
          members === sizes[0]
            ? []
            : [
                {
                  text: `that of ${sizes[0]}, and for each further page of a listing one more`,
                  holds: (own, slack) => {
                    const pages = Math.floor(members / page) * listingsAMinute;
                    return own.p50 <= (fewest + pages + chance) * slack;
                  },
                },
              ],
      }),
    );
  }
  return rows;
}
