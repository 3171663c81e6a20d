/**
 * The service as a process of its own for the attacks on its HTTP side: real server, routes, core, store and history;
 * the cloud and its VMs are in memory, and always do what they are asked.
 *
 *   service.mjs DIRECTORY [TIMES]      TIMES: limits on slow clients as JSON, in the place of short ones; tells its URL on the first line of its output; ends with SIGTERM
 */
import { join } from 'node:path';
import { createHttpServer, type HttpTimeouts } from '../../src/http/server.js';
import type { InstallationId, Shape } from '../../src/pool/model.js';
import { defaultPolicy } from '../../src/pool/policy.js';
import { poolClock } from '../../src/service/clock.js';
import { openBook } from '../../src/service/open-book.js';
import { startPool } from '../../src/service/pool.js';
import type { Log } from '../../src/service/log.js';
import { openHistory } from '../../src/store/history.js';
import { readHistory } from '../../src/store/history-read.js';
import { httpConfig } from '../fast/http/harness.js';
import { shapeOf } from '../fast/pool/fixture.js';
import { FakeCloud, FakeEngine, FakeGuest, FakeUsage } from '../fast/service/fake-ports.js';

const [stateDir = '', times = '{}'] = process.argv.slice(2);
const quiet = (): void => undefined;
const say = (fields: object, message: string): void => {
  console.error(message, fields);
};
const log: Log = { debug: quiet, info: quiet, warn: say, error: say };
const installation = 'aaaaaaaa-0000-4000-8000-000000000000' as InstallationId;

const { store, book } = await openBook({ stateDir, pool: 'p', hostKeys: 'first-sight' }, installation, log);
const history = await openHistory({ dir: join(stateDir, 'history'), maxBytes: 16 * 1024 * 1024, keep: 1 });
const cloud = new FakeCloud();
const engine = new FakeEngine(cloud);
engine.automatic = true;
engine.outputs = shapeOf({ min: 3, max: 6 });
const clock = poolClock(book.at);
const pool = startPool({
  readHistory: (wish, signal) => readHistory(join(stateDir, 'history'), wish, signal),
  usage: new FakeUsage(),
  ...{ book, store, history, engine, cloud, clock, log },
  guest: new FakeGuest(),
  hostKeyPolicy: 'first-sight',
  parseOutputs: (outputs) => ({ ok: true, shape: outputs as Shape }),
  version: 'test',
  capabilitySecret: Buffer.from('a secret of the hostile suite'),
  settings: {
    policy: defaultPolicy,
    workers: ['node1', 'node2'],
    watch: { busyMs: 500, quietMs: 2_000 },
    adoptEveryMs: 60_000,
    maxCells: 4,
  },
});
const http = createHttpServer({
  // As it is by default, but for failed authentications (one attacker is meant to try for long), long polls and times.
  config: httpConfig({
    ...{ bodyBytes: 1024 * 1024, connections: 2_000 },
    ...{ failedAuthPerMinute: 1_000_000, maxWait: 100 },
  }),
  service: pool.service,
  clock,
  log,
  notReady: () => pool.notReady(),
  metrics: () => pool.metrics(),
  timeouts: {
    ...{ headersMs: 1_500, requestMs: 3_000, keepAliveMs: 1_500, checkEveryMs: 250, silenceMs: 2_000 },
    ...(JSON.parse(times) as Partial<HttpTimeouts>),
  },
});
const { url } = await http.listen();
process.once('SIGTERM', () => {
  void (async () => {
    await http.close(1_000);
    await pool.stop();
  })();
});
console.log(url);
