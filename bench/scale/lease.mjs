#!/usr/bin/env node
/**
 * What a lease costs in a pool of MEMBERS Free VMs, beside the floor that any durable answer has.
 *
 *   make setup && node bench/scale/lease.mjs [MEMBERS]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { requestOf } from './book.mjs';
import { caller, quantile, startChild, timed } from './measure.mjs';

const members = Number(process.argv[2] ?? 1000);
const dir = mkdtempSync('/var/tmp/vmpool-bench-');
const token = 'b'.repeat(40);
const here = import.meta.dirname;
const headers = { Authorization: `Bearer ${token}` };
const service = await startChild(join(here, 'service.mjs'), [dir, members, 0, token]);
const floor = await startChild(join(here, 'floor.mjs'), [dir, service.bytes]);
const ms = (values) =>
  `p50 ${quantile(values, 0.5).toFixed(2)} ms, p99 ${quantile(values, 0.99).toFixed(2)} ms`;
let job = 0;
const release = (c, name) =>
  c.call('/v1/releases', { job: name, attempt: requestOf(name).attempt, reason: 'bench' });
const freeAgain = () => new Promise((resolve) => setTimeout(resolve, 1500));
try {
  const one = caller(service.url, 1, headers);
  const bare = caller(floor.url, 1);
  for (let n = 0; n < 20; n += 1) {
    await bare.call('/', requestOf(`${n}.w`));
    await one.call('/v1/leases', requestOf(`warm${n}.b`));
    await release(one, `warm${n}.b`);
  }
  const floorTimes = await timed(200, 1, (n) => bare.call('/', requestOf(`${n}.f`)));
  const leaseTimes = await timed(200, 1, async () => {
    const answer = await one.call('/v1/leases', requestOf(`${++job}.b`));
    if (answer.state !== 'granted') throw new Error(answer.detail);
  });
  console.log(`book ${(service.bytes / 1024).toFixed(0)} KiB, ${members} members`);
  console.log(`floor, one caller: ${ms(floorTimes)}`);
  console.log(`lease, one caller: ${ms(leaseTimes)}`);
  for (let n = 1; n <= job; n += 1) await release(one, `${n}.b`);
  await freeAgain();
  const many = caller(service.url, 64, headers);
  const bareMany = caller(floor.url, 64);
  const since = performance.now();
  await timed(2000, 64, (n) => bareMany.call('/', requestOf(`${n}.g`)));
  const floorRate = 2000 / ((performance.now() - since) / 1000);
  const began = performance.now();
  await timed(1000, 64, async (n) => {
    await many.call('/v1/leases', requestOf(`p${n}.b`));
    await release(many, `p${n}.b`);
  });
  const pairs = 1000 / ((performance.now() - began) / 1000);
  console.log(
    `floor, 64 callers: ${floorRate.toFixed(0)} calls/s; lease + release: ${pairs.toFixed(0)} pairs/s`,
  );
  await freeAgain();
  await freeAgain();
  const all = caller(service.url, 1000, headers);
  const storm = performance.now();
  const answers = await Promise.all(
    Array.from({ length: members }, (_, n) => all.call('/v1/leases', requestOf(`s${n}.b`))),
  );
  const waiting = answers.filter((a) => a.state !== 'granted').length;
  console.log(
    `${members} requests at once: answered in ${(performance.now() - storm).toFixed(0)} ms, ${waiting} not granted at once`,
  );
  for (const c of [one, bare, many, bareMany, all]) c.close();
} finally {
  await floor.stop();
  await service.stop();
  rmSync(dir, { recursive: true, force: true });
}
