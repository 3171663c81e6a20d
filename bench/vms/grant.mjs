/** Nova says ACTIVE and SSH answers: how soon has the request that waits its grant? And where goes the rest? */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
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

/** Milliseconds that one plain `find` takes on a VM to tell of each file when it was changed, SSH not counted. */
function plainFind(site, host) {
  const options = [
    ...['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes'],
  ].flatMap((one) => ['-o', one]);
  const find =
    'since=${EPOCHREALTIME/./}; for place in / /usr; do mountpoint -q "$place" && find "$place" -xdev -printf "%C@\\n"; done >/dev/null; echo $(((${EPOCHREALTIME/./} - since) / 1000))';
  const args = ['-F', 'none', '-i', join(site.dir, 'admin'), ...options, `root@${host}`, find];
  const { status, stdout, stderr, error } = spawnSync('ssh', args, { timeout: limitMs, encoding: 'utf8' });
  if (status !== 0) throw new Error(`ssh root@${host}: ${error?.message ?? stderr}`);
  return Number(stdout);
}

/** The same on a VM of which nobody has looked at any file: a server of its own beside the pool's. */
async function firstFind(site, { create, list, remove }, known, { name, key_name }) {
  const id = await create(name, { key_name });
  const { host } = await answers(list, known);
  const ms = plainFind(site, host);
  await remove(id);
  await until('the end of its server', limitMs, async () => (await list()).every((one) => one.id !== id));
  return ms;
}

const measure = (machines, rounds) =>
  owned(async (owner) => {
    const site = await openSite(owner, {
      ...{ machines, addresses: rounds + 50 },
      timing: { buildMs, sshMs: machines === 'sandboxes' ? sshMs : 0 },
      shape: { min: 0, max: rounds },
    });
    const caller = await directCaller(site);
    const { list } = caller;
    const key_name = await caller.keyPair(site.adminKey);
    const known = new Set();
    const [waits, floors, whole, finds] = [[], [], [], []];
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
      if (machines === 'sandboxes')
        finds.push(await firstFind(site, caller, known, { name: `find-${n}`, key_name }));
    }
    return { waits, floors, whole, finds };
  });

export async function grantRows({ rounds = 6 } = {}) {
  const rows = [];
  for (const [machines, words] of [
    ['responders', 'a bare SSH server'],
    ['sandboxes', 'a machine with all the files of this one'],
  ]) {
    const { waits, floors, whole, finds } = await measure(machines, rounds);
    const floor = median(floors);
    const grant = `ACTIVE and SSH answers to the waiting request's grant, ${words}`;
    rows.push(
      row(grant, 'ms', { ...{ ...spread(waits), floor }, wanted: [atMost(300, { unit: 'ms' })] }),
      row(`no VM Free: request to grant, boot ${buildMs / 1_000} s, ${words}`, 'ms', {
        ...{ ...spread(whole), floor: buildMs },
      }),
    );
    // A VM is not given to anybody before each of its files has been seen.
    if (finds.length > 0)
      rows.push(
        row(`${grant}: beside one plain \`find\` there`, 'ms', {
          ...spread(waits),
          floor: median(finds),
        }),
      );
  }
  return rows;
}
