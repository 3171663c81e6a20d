#!/usr/bin/env node
/**
 * The real service (store, core, HTTP) over a pool that is already there: VMs that answer at once and a cloud and
 * an engine with nothing to do, so that what is measured is the service alone. Prints a line of JSON when ready;
 * ends on SIGTERM.
 *
 *   node bench/scale/service.mjs DIRECTORY MEMBERS LEASES TOKEN
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createHttpServer } from '../../dist/src/http/server.js';
import { bookFormat } from '../../dist/src/pool/book-schema.js';
import { defaultPolicy } from '../../dist/src/pool/policy.js';
import { poolClock } from '../../dist/src/service/clock.js';
import { startPool } from '../../dist/src/service/pool.js';
import { openHistory } from '../../dist/src/store/history.js';
import { openStore } from '../../dist/src/store/store.js';
import { openUsage } from '../../dist/src/usage/journal.js';
import { bookOf } from './book.mjs';

const began = performance.now();
const [dir = '', membersText = '1000', leasesText = '0', token = ''] = process.argv.slice(2);
const worker = 'w1';
const path = join(dir, 'book.json');
const fresh = !existsSync(path);
const opened = await openStore({
  path,
  ...bookFormat,
  initial: () => bookOf(Number(membersText), Number(leasesText), worker),
  clock: { now: () => Date.now() },
});
const { store, document: book } = opened;
if (fresh) await store.commit(book);
const history = await openHistory({ dir: join(dir, 'history'), maxBytes: 16 * 1024 * 1024, keep: 8 });
const usage = await openUsage({
  ...{ dir: join(dir, 'usage'), size: 16 * 1024 * 1024, keepMs: 86_400_000 },
  ...{ now: () => Date.now(), onWarning: (message) => console.error(message) },
});
const silent = { debug() {}, info() {}, warn() {}, error: (fields, text) => console.error(text, fields) };
const served = book.members.values().map((m) => ({
  id: m.server.id,
  name: m.name,
  status: 'ACTIVE',
  taskState: null,
  addresses: { net0: [{ address: m.endpoint.host, version: 4, type: 'fixed' }] },
  metadata: {
    vmpool_installation: book.installation,
    vmpool_pool: book.pool,
    vmpool_member: m.name,
    vmpool_cell: m.cell,
    vmpool_generation: m.generation,
  },
  fault: null,
  createdAt: new Date(m.bornAt).toISOString(),
}));
const found = { found: true, value: { id: 'x', name: 'x', vcpus: 8, ramMiB: 8192, status: 'active' } };
const cloud = {
  listOurs: async () => ({ servers: served, complete: true }),
  server: async (id) => served.find((s) => s.id === id) ?? null,
  flavor: async () => found,
  image: async () => found,
  network: async () => found,
};
const engine = {
  poolOutputs: async () => ({}),
  publishSummary: async () => undefined,
  close: async () => undefined,
};
const markers = new Map(
  book.leases
    .values()
    .map((l) => [l.member, { lease: l.request.id, key: l.request.key, user: l.request.user }]),
);
const guest = {
  probe: async ({ member }) => ({
    ok: true,
    hostKeys: book.members.get(member).hostKeys,
    marker: markers.get(member) ?? null,
    bootId: book.members.get(member).bootId,
  }),
  stage: async ({ member }, { lease, key, user }) => {
    markers.set(member, { lease, key, user });
    return { ok: true };
  },
  scrub: async ({ member }) => {
    markers.delete(member);
    return { ok: true };
  },
  forget: async () => undefined,
  close: async () => undefined,
};
const clock = poolClock(book.at);
const pool = startPool({
  book,
  store,
  history,
  usage,
  engine,
  cloud,
  guest,
  hostKeyPolicy: 'first-sight',
  parseOutputs: () => ({ ok: true, shape: book.shape }),
  clock,
  log: silent,
  version: 'bench',
  capabilitySecret: Buffer.alloc(32, 1),
  settings: {
    policy: defaultPolicy,
    workers: [worker],
    watch: { busyMs: 1_000, quietMs: 30_000 },
    adoptEveryMs: 60_000,
    maxCells: 4,
  },
});
const sha256 = createHash('sha256').update(token).digest('hex');
const http = createHttpServer({
  config: {
    listen: { host: '127.0.0.1', port: 0 },
    auth: {
      tokens: [
        { name: 'w', role: 'worker', worker, sha256 },
        { name: 'o', role: 'operator', sha256: createHash('sha256').update('o'.repeat(40)).digest('hex') },
      ],
    },
    limits: { bodyBytes: 1_048_576, failedAuthPerMinute: 60, maxWait: 60_000, connections: 4_096 },
  },
  service: pool.service,
  clock,
  log: silent,
  notReady: () => pool.notReady(),
});
const { url } = await http.listen();
console.log(
  JSON.stringify({ url, startedMs: performance.now() - began, bytes: JSON.stringify(book).length }),
);
process.on('SIGTERM', async () => {
  await http.close(1_000);
  await pool.stop();
  process.exit(0);
});
process.on('SIGUSR2', () => {
  const { rss } = process.memoryUsage();
  console.log(JSON.stringify({ rss, cpu: process.cpuUsage() }));
});
