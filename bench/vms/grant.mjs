/** Nova says ACTIVE and SSH answers: how soon has the request that waits its grant? And where goes the rest? */
import { setTimeout as sleep } from 'node:timers/promises';
import { until, timeOf } from '../calls.mjs';
import { owned } from '../owner.mjs';
import { atMost, median, row, spread } from '../results.mjs';
import { openSite } from '../site.mjs';
import { directCaller, firstWord } from './direct.mjs';

const limitMs = 180_000;
const buildMs = 3_000;
const sshMs = 500;

/**
 * When a server that was not known is ACTIVE and has said its first word by SSH, by this process's clock. Seen by calls of
 * our own, without asking the service that is measured.
 */
async function answers(list, known) {
  const { name, addresses } = await until(
    'an ACTIVE server',
    limitMs,
    async () => (await list()).find((one) => !known.has(one.name) && one.status === 'ACTIVE'),
    5,
  );
  known.add(name);
  const host = Object.values(addresses)[0][0].addr;
  await until('its SSH', limitMs, () => firstWord(host), 5);
  return { at: Date.now(), host };
}

const measure = (machines, rounds) =>
  owned(async (owner) => {
    const site = await openSite(owner, {
      ...{ machines, addresses: rounds + 50 },
      timing: { buildMs, sshMs: machines === 'sandboxes' ? sshMs : 0 },
      shape: { min: 0, max: rounds },
    });
    const { list } = await directCaller(site);
    const known = new Set();
    const [waits, floors, whole] = [[], [], []];
    for (let n = 0; n < rounds; n += 1) {
      const { id } = await site.client.request(site.request(`${n}.grant`));
      const { at, host } = await answers(list, known);
      const lease = await site.granted(id);
      const granted = Date.parse(lease.grantedAt);
      // Seen a poll late, it may have been leased before that.
      waits.push(Math.max(0, granted - at));
      whole.push(granted - Date.parse(lease.askedAt));
      await sleep(200);
      floors.push(await timeOf(() => firstWord(host)));
      await site.atRest();
    }
    return { waits, floors, whole };
  });

export async function grantRows({ rounds = 6 } = {}) {
  const rows = [];
  for (const [machines, words] of [
    ['responders', 'a bare SSH server'],
    ['sandboxes', 'a machine with all the files of this one'],
  ]) {
    const { waits, floors, whole } = await measure(machines, rounds);
    const floor = median(floors);
    rows.push(
      row(`ACTIVE and SSH answers to the waiting request's grant, ${words}`, 'ms', {
        ...{ ...spread(waits), floor },
        wanted: [atMost(300, { unit: 'ms' })],
      }),
      row(`no VM Free: request to grant, boot ${buildMs / 1_000} s, ${words}`, 'ms', {
        ...{ ...spread(whole), floor: buildMs },
      }),
    );
  }
  return rows;
}
