import { existsSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../config/load.js';
import { configOfPool, poolsOf, stateDirOfPool } from '../config/of-pool.js';
import { parsePoolOutputs } from '../engine/pool-outputs.js';
import { figuresTogether } from '../metrics/together.js';
import type { Note } from '../pool/book.js';
import { followedTogether, type Followed, type FollowedFrom } from '../pool/followed.js';
import type { ServiceInput } from '../../stacks/services/plan.js';
import type { ClassedPool } from './classes/classed-pool.js';
import { createClassedService } from './classes/service.js';
import { poolClock, type Clock } from './clock.js';
import type { Log } from './log.js';
import { bookPath } from './open-book.js';
import { openParts, settingsOf } from './parts.js';
import { startPool, type PoolParts, type RunningPool } from './pool.js';
import type { PoolService } from './port.js';

type Env = Readonly<Record<string, string | undefined>>;

/** Everything behind the HTTP side, be it one pool or several. */
export interface RunningService {
  readonly service: PoolService;
  readonly clock: Clock;
  /** The figures as Prometheus reads them. */
  metrics(): Promise<string>;
  /** Why it cannot serve at the moment, or null. */
  notReady(): string | null;
  /** Takes over a changed configuration, as far as that can change. */
  configure(config: Config): void;
  stop(): Promise<void>;
}

type Sharing = Pick<PoolParts, 'processMetrics' | 'onNote' | 'followed' | 'figures'>;

interface OpenPool {
  readonly pool: RunningPool;
  readonly clock: Clock;
  stop(): Promise<void>;
}

/**
 * Opens what the configuration names and sets it going.
 *
 * @throws StartError when it cannot start; nothing is left running then
 */
export async function startService(
  config: Config,
  env: Env,
  log: Log,
  version: string,
): Promise<RunningService> {
  tellOfUnserved(config, log);
  if (config.classes.length > 0) return startClasses(config, env, log, version);
  const only = await openPool(config, env, log, version, { processMetrics: true });
  const { pool, clock } = only;
  return {
    service: pool.service,
    clock,
    metrics: () => pool.metrics(),
    notReady: () => pool.notReady(),
    configure: (next) => pool.configure(settingsOf(next)),
    stop: () => only.stop(),
  };
}

async function openPool(
  config: Config,
  env: Env,
  log: Log,
  version: string,
  sharing: Sharing,
): Promise<OpenPool> {
  const parts = await openParts(config, env, log);
  const clock = poolClock(parts.book.at);
  for (const warning of parts.cloud.warnings) log.warn({ event: 'credentials' }, warning);
  const pool = startPool({
    ...parts,
    ...sharing,
    hostKeyPolicy: config.guest.hostKeys,
    parseOutputs: parsePoolOutputs,
    clock,
    log,
    version,
    capabilitySecret: parts.secret,
    settings: settingsOf(config),
  });
  const stop = async (): Promise<void> => {
    await pool.stop();
    parts.cloud.close();
  };
  return { pool, clock, stop };
}

async function startClasses(config: Config, env: Env, log: Log, version: string): Promise<RunningService> {
  const classes: (ClassedPool & OpenPool)[] = [];
  let told: (note: Note) => void = () => undefined;
  const followed = followedOf(config.classes.length, classes);
  const stop = async (): Promise<void> => {
    await Promise.all(classes.map((one) => one.stop()));
  };
  try {
    for (const rule of config.classes) {
      const sharing = {
        processMetrics: classes.length === 0,
        onNote: (note: Note) => told(note),
        followed: (from: FollowedFrom) => followed(rule.pool, from),
        figures: () => classes.map(({ pool }) => pool.figures()),
      };
      const own = configOfPool(config, rule.pool);
      const open = await openPool(own, env, logOf(rule.pool, log), version, sharing);
      classes.push({ rule, ...open });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const [first] = classes;
  if (first === undefined) throw new Error('there is no class');
  const service = createClassedService(classes, first.clock);
  told = (note) => service.told(note);
  return {
    service,
    clock: first.clock,
    metrics: async () => figuresTogether(await Promise.all(classes.map(({ pool }) => pool.metrics()))),
    notReady: () => {
      const why = classes.map(({ rule, pool }) => ({ pool: rule.pool, reason: pool.notReady() }));
      if (why.some(({ reason }) => reason === null)) return null;
      return why.map(({ pool, reason }) => `${pool}: ${reason ?? ''}`).join('; ');
    },
    configure: (next) => {
      for (const { rule, pool } of classes) pool.configure(settingsOf(configOfPool(next, rule.pool)));
    },
    stop: async () => {
      service.close();
      await stop();
    },
  };
}

/** What the services of each pool are told: of all pools. The same object as long as no pool has changed. */
function followedOf(
  count: number,
  classes: readonly ClassedPool[],
): (pool: string, from: FollowedFrom) => ServiceInput | null {
  const before = new Map<
    string,
    { readonly parts: readonly (Followed | null)[]; readonly input: ServiceInput | null }
  >();
  return (pool, from) => {
    // While the others are still being opened, their VMs would look as if they were gone.
    if (classes.length < count) return null;
    const parts = classes.map(({ rule, pool: one }): Followed | null => {
      const part = one.followed(from);
      return part === null ? null : { ...part, workers: rule.workers ?? null, slotsPerVm: rule.slots ?? 1 };
    });
    const key = `${pool} ${from}`;
    const known = before.get(key);
    const same = known?.parts.every(
      (part, at) => part?.input === parts[at]?.input && part?.max === parts[at]?.max,
    );
    if (known !== undefined && same === true) return known.input;
    const input = followedTogether(pool, parts);
    before.set(key, { parts, input });
    return input;
  };
}

/** Every line says of which pool it is. */
const logOf = (pool: string, log: Log): Log => ({
  debug: (fields, message) => log.debug({ pool, ...fields }, message),
  info: (fields, message) => log.info({ pool, ...fields }, message),
  warn: (fields, message) => log.warn({ pool, ...fields }, message),
  error: (fields, message) => log.error({ pool, ...fields }, message),
});

/** A class that was taken out of the configuration keeps its book, its VMs and the leases on them. */
function tellOfUnserved(config: Config, log: Log): void {
  const served = new Set(poolsOf(config));
  const directory = dirname(stateDirOfPool(config.stateDir, config.pool));
  if (!existsSync(directory)) return;
  for (const pool of readdirSync(directory)) {
    if (served.has(pool) || !existsSync(bookPath(stateDirOfPool(config.stateDir, pool)))) continue;
    log.warn(
      { event: 'start', pool },
      `the state directory holds a pool ${pool} that no class names: it is not served, and its VMs stay as they are. Put it back into classes and scale it to 0 first, or remove ${stateDirOfPool(config.stateDir, pool)} once it has none`,
    );
  }
}
