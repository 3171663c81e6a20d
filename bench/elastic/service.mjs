#!/usr/bin/env node
/**
 * The real service (store, core, engine, cloud, HTTP) as `vmpool serve` starts it, for servers without machines: the
 * SSH side is played and answers at once. Says `ready` with its address on a line of its own; ends on SIGTERM.
 *
 *   node bench/elastic/service.mjs --config FILE
 */
import { createLogger } from '../../dist/src/config/logger.js';
import { loadConfig } from '../../dist/src/config/load.js';
import { parsePoolOutputs } from '../../dist/src/engine/pool-outputs.js';
import { createHttpServer } from '../../dist/src/http/server.js';
import { poolClock } from '../../dist/src/service/clock.js';
import { openParts, settingsOf } from '../../dist/src/service/parts.js';
import { startPool } from '../../dist/src/service/pool.js';

const loaded = loadConfig(process.argv[3], process.env);
if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
const { config } = loaded;
const log = createLogger('warn');
const parts = await openParts(config, process.env, log);

const markers = new Map();
const guest = {
  probe: async ({ member }) => ({
    ok: true,
    hostKeys: [`ssh-ed25519 ${Buffer.from(member).toString('base64')}`],
    marker: markers.get(member) ?? null,
    bootId: member,
  }),
  contract: async () => ({ ok: true }),
  takeBaseline: async () => ({ ok: true }),
  stage: async ({ member }, { lease, key, user }) => {
    markers.set(member, { lease, key, user, authentic: true });
    return { ok: true };
  },
  scrub: async ({ member }) => {
    markers.delete(member);
    return { ok: true };
  },
  forget: async () => undefined,
  close: () => parts.guest.close(),
};
const clock = poolClock(parts.book.at);
const pool = startPool({
  ...parts,
  guest,
  hostKeyPolicy: config.guest.hostKeys,
  parseOutputs: parsePoolOutputs,
  clock,
  log,
  version: 'bench',
  capabilitySecret: parts.secret,
  settings: settingsOf(config),
});
const http = createHttpServer({
  config,
  service: pool.service,
  clock,
  log,
  notReady: () => pool.notReady(),
});
const { url } = await http.listen();
console.log(JSON.stringify({ event: 'ready', url }));
process.once('SIGTERM', async () => {
  await http.close(1_000);
  await pool.stop();
  parts.cloud.close();
  process.exit(0);
});
