import { createLogger } from '../../../src/config/logger.js';
import { createHttpServer } from '../../../src/http/server.js';
import type { Book } from '../../../src/pool/book.js';
import type { Shape } from '../../../src/pool/model.js';
import { defaultPolicy } from '../../../src/pool/policy.js';
import { startPool, type PoolParts, type RunningPool } from '../../../src/service/pool.js';
import { httpConfig } from '../http/harness.js';
import { FakeCloud, FakeEngine, FakeGuest, FakeHistory, FakeStore, FakeUsage } from './fake-ports.js';
import { ManualClock } from './manual-clock.js';

/** The service as `vmpool serve` puts it together, with its own log and over HTTP; cloud, engine and VMs are played. */
export interface WholeService {
  readonly url: string;
  readonly port: number;
  readonly pool: RunningPool;
  readonly clock: ManualClock;
  readonly cloud: FakeCloud;
  readonly engine: FakeEngine;
  readonly guest: FakeGuest;
  /** Lines of the log, as written. */
  readonly logged: readonly string[];
  stop(): Promise<void>;
}

export const startWhole = async (
  book: Book,
  shape: Shape,
  capabilitySecret: Buffer,
  disk: Partial<Pick<PoolParts, 'store' | 'history' | 'readHistory' | 'usage'>> = {},
): Promise<WholeService> => {
  const logged: string[] = [];
  const log = createLogger('debug', { write: (line) => void logged.push(line) });
  const clock = new ManualClock(book.at);
  const [cloud, guest] = [new FakeCloud(), new FakeGuest()];
  const engine = new FakeEngine(cloud);
  engine.automatic = true;
  engine.outputs = shape;
  const pool = startPool({
    ...{ store: new FakeStore(), history: new FakeHistory(), usage: new FakeUsage() },
    readHistory: () => Promise.resolve([]),
    ...disk,
    ...{ book, engine, cloud, guest, clock, log, capabilitySecret },
    settings: {
      policy: { ...defaultPolicy, idleBeforeShrinkMs: 3_600_000 },
      workers: ['node1'],
      watch: { busyMs: 1_000, quietMs: 30_000 },
      adoptEveryMs: 60_000,
      maxCells: 4,
    },
    hostKeyPolicy: 'first-sight',
    parseOutputs: (outputs) => ({ ok: true, shape: outputs as Shape, services: {} }),
    version: '1',
  });
  const http = createHttpServer({
    config: httpConfig(),
    service: pool.service,
    ...{ clock, log, metrics: () => pool.metrics(), notReady: () => pool.notReady() },
  });
  const { url, port } = await http.listen();
  let stopped: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    await http.close(1_000);
    await pool.stop();
  };
  return {
    ...{ url, port, pool, clock, cloud, engine, guest, logged },
    stop: () => (stopped ??= stop()),
  };
};
