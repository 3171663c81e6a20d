#!/usr/bin/env node
/**
 * Where the time of a lease goes, on the embedded cloud: request to Nova's POST, SSH answering to grant, grant to
 * ready, release to Free. Beside each figure stands a floor measured in the same run.
 *
 *   make setup && node bench/spine.mjs [ROUNDS]
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSite } from './site.mjs';

const rounds = Number(process.argv[2] ?? 5);
const site = await openSite({
  subnet: '127.120.0.0/16',
  cloud: { timing: { buildMs: 500, sshMs: 300, deleteMs: 200 } },
  shape: { min: 0, max: 8 },
  policy: { idleBeforeShrink: '10m' },
});
const { client, operator, control } = site;
/** Milliseconds until a TCP connection stands and the server has said something. */
const banner = (host) =>
  new Promise((resolve) => {
    const socket = connect(22, host);
    const end = (ok) => {
      socket.destroy();
      resolve(ok);
    };
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
    socket.setTimeout(1000, () => end(false));
  });
const figures = new Map();
const add = (name, ms) => figures.set(name, [...(figures.get(name) ?? []), ms]);

let job = 0;
for (let i = 0; i < rounds; i += 1) {
  job += 1;
  await control.clearCalls();
  const asked = Date.now();
  const id = (await client.request(site.request(`${job}.bench`))).id;
  let posted;
  while (posted === undefined) {
    posted = (await control.calls({ method: 'POST', path: '/v2.1/servers' }))[0];
    await sleep(20);
  }
  add('cold: request -> POST /servers', posted.at - asked);
  let address;
  while (address === undefined || address === null) {
    address = (await operator.status()).members.find(
      (m) => m.state !== 'Busy' && m.address !== null,
    )?.address;
    if ((await client.lease(id)).state === 'granted') break;
    await sleep(20);
  }
  let answers = null;
  if (address) {
    while (!(await banner(address))) await sleep(20);
    answers = Date.now();
    const from = Date.now();
    await banner(address);
    add('floor: one TCP connect and banner', Date.now() - from);
  }
  const lease = await client.lease(id, { waitSeconds: 60, until: 'granted' });
  const granted = Date.parse(lease.grantedAt);
  if (answers !== null) add('cold: SSH answers -> grant', Math.max(0, granted - answers));
  add('cold: request -> grant', granted - asked);
  await client.lease(id, { waitSeconds: 60, until: 'ready' });
}
for (let n = 1; n <= job; n += 1) await site.release(`${n}.bench`);
const allFree = async () => {
  const { members } = await operator.status();
  return members.length > 0 && members.every((m) => m.state === 'Free');
};
while (!(await allFree())) await sleep(100);
for (let i = 0; i < rounds * 2; i += 1) {
  job += 1;
  const asked = performance.now();
  const lease = await client.request(site.request(`${job}.bench`), { waitSeconds: 30, until: 'granted' });
  add('warm: request -> granted (HTTP, durable)', performance.now() - asked);
  await client.lease(lease.id, { waitSeconds: 30, until: 'ready' });
  add('warm: request -> ready (account, key, marker on the VM)', performance.now() - asked);
  const released = performance.now();
  await site.release(`${job}.bench`);
  add('release (HTTP, durable)', performance.now() - released);
  while (!(await allFree())) await sleep(20);
  add('release -> Free (scrubbed and verified)', performance.now() - released);
  const floor = performance.now();
  await fetch(`${site.url}/healthz`).then((r) => r.text());
  add('floor: GET /healthz', performance.now() - floor);
}

await site.close();

const at = (values, q) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))];
console.log('figure                                                    n      min      p50      max  (ms)');
for (const [name, values] of figures) {
  const cells = [Math.min(...values), at(values, 0.5), Math.max(...values)].map((v) =>
    v.toFixed(v < 100 ? 1 : 0).padStart(8),
  );
  console.log(`${name.padEnd(54)} ${String(values.length).padStart(4)} ${cells.join(' ')}`);
}
