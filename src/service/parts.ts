import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OpenStackCloud } from '../cloud/openstack.js';
import { createCloud } from '../cloud/openstack.js';
import type { Config } from '../config/load.js';
import { cellsAtOnce } from '../config/parallel.js';
import { mostCellsAtOnce } from '../config/schema.js';
import { loadOrMakeSecret } from '../config/secret-file.js';
import { createEngine } from '../engine/client.js';
import { pulumiHomeAt } from '../engine/home.js';
import { locatedEngine } from '../engine/located.js';
import type { EngineOptionsInput } from '../engine/options.js';
import type { Engine } from '../engine/port.js';
import { createGuest } from '../guest/guest.js';
import type { Guest } from '../guest/port.js';
import type { Book } from '../pool/book.js';
import type { InstallationId } from '../pool/model.js';
import { repoRoot } from '../repo-root.js';
import type { History, Store } from '../store/port.js';
import { openHistory } from '../store/history.js';
import { readHistory, type HistoryLine, type HistoryWish } from '../store/history-read.js';
import { openUsage, type UsageJournal } from '../usage/journal.js';
import { errorText } from '../store/files.js';
import { cloudEnvironment } from './environment.js';
import { installationOf } from './installation.js';
import type { Log } from './log.js';
import { openBook, StartError } from './open-book.js';
import type { Settings } from './pool.js';

/**
 * The engine's options, for the service and for `vmpool env` and `plan` alike. `homeFor` says where this Pulumi may
 * write, from the PULUMI_HOME that was installed.
 */
export async function engineOptions(
  config: Config,
  installation: InstallationId,
  env: Readonly<Record<string, string | undefined>>,
  homeFor: (installed: string) => string,
): Promise<EngineOptionsInput> {
  const located = await locatedEngine();
  return {
    repoRoot,
    stateDir: config.stateDir,
    pool: config.pool,
    installation,
    pulumi: { bin: located.pulumi, home: homeFor(located.pulumiHome) },
    backendUrl: config.engine.backend,
    passphraseFile: config.engine.passphraseFile,
    cloudEnv: cloudEnvironment(config, env),
    // How many run side by side is the executor's to say: `engine.maxParallel` changes on reload.
    maxParallel: mostCellsAtOnce,
    createTimeoutMs: config.engine.createTimeout,
  };
}

export interface OuterParts {
  readonly installation: InstallationId;
  readonly store: Store<Book>;
  readonly book: Book;
  readonly history: History;
  readonly readHistory: (wish: HistoryWish, signal: AbortSignal) => Promise<HistoryLine[]>;
  readonly usage: UsageJournal;
  readonly engine: Engine;
  readonly cloud: OpenStackCloud;
  readonly guest: Guest;
  /** Behind the capabilities of leases and the seal of markers. */
  readonly secret: Buffer;
}

/** Opens everything that the pool needs, the book first: who owns it owns the engine and the VMs. */
export async function openParts(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
): Promise<OuterParts> {
  await mkdir(config.stateDir, { recursive: true, mode: 0o700 });
  const installation = await installationOf(config.stateDir);
  const { store, book } = await openBook(
    { stateDir: config.stateDir, pool: config.pool, hostKeys: config.guest.hostKeys },
    installation,
    log,
  );
  try {
    const secret = Buffer.from(
      await loadOrMakeSecret(config.capabilitySecretFile).catch((error: unknown) => {
        throw new StartError(errorText(error));
      }),
    );
    if (config.engine.backend.startsWith('file://')) {
      await mkdir(config.engine.backend.slice('file://'.length), { recursive: true, mode: 0o700 });
    }
    const engine = await createEngine(
      await engineOptions(config, installation, env, (installed) =>
        pulumiHomeAt(join(config.stateDir, 'engine', 'pulumi-home'), installed),
      ),
    );
    const cloud = createCloud({ env: cloudEnvironment(config, env), installation, log });
    const guest = createGuest({
      adminUser: config.guest.user,
      privateKeyFile: config.guest.privateKeyFile,
      hostKeyPolicy: config.guest.hostKeys,
      stateDir: config.stateDir,
      markerSecret: secret,
      limits: { uidMin: config.guest.uidMin, scrubMs: config.policy.scrubLimitMs },
      environment: config.guest.environment,
      mounts: config.guest.mounts,
      clock: { now: () => Date.now() },
      log: (message, about) => log.debug({ ...about }, message),
    });
    // Left behind by a service that ended between a VM's end and the end of what was kept of it.
    await guest.keepOnly(book.members.values().map((member) => member.name));
    const historyDir = join(config.stateDir, 'history');
    const history = await openHistory({
      dir: historyDir,
      maxBytes: 16 * 1024 * 1024,
      keep: 8,
      onWarning: (message) => log.warn({}, message),
    });
    const usage = await openUsage({
      dir: join(config.stateDir, 'usage'),
      size: config.usage.size,
      keepMs: config.usage.keep,
      now: () => Date.now(),
      onWarning: (message) => log.warn({}, message),
    });
    return {
      ...{ usage, installation, store, book, history, engine, cloud, guest, secret },
      readHistory: (wish, signal) => readHistory(historyDir, wish, signal),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** What of the configuration the running pool goes by. */
export function settingsOf(config: Config): Settings {
  const workers = config.auth.tokens.flatMap((t) =>
    t.role === 'worker' && t.worker !== null ? [t.worker] : [],
  );
  return {
    policy: config.policy,
    workers: [...new Set(workers)],
    watch: { busyMs: 1_000, quietMs: 30_000 },
    adoptEveryMs: config.engine.adoptEvery,
    maxCells: cellsAtOnce(config),
  };
}
