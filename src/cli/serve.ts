import { diffConfig, mergeReload } from '../config/diff.js';
import { formatConfigErrors, loadConfig, type Config } from '../config/load.js';
import { createLogger } from '../config/logger.js';
import { createHttpServer, type HttpServer } from '../http/server.js';
import type { Log } from '../service/log.js';
import { StartError } from '../service/open-book.js';
import { startService } from '../service/start-service.js';
import { errorText } from '../store/files.js';
import { version } from '../version.js';
import { exitCodes } from './exit.js';

/** Beyond `limits.stopGrace`, a stop may take so long before what is left is cut off, in milliseconds. */
const stopLimitMs = 75_000;

/**
 * Runs the service until SIGTERM or SIGINT. Logs JSON lines on standard output; the one with event `ready` tells
 * the address. A second signal, or a stop that takes too long, ends the process hard: what was answered is durable.
 *
 * @throws StartError when it cannot start
 */
export const serve = async (
  file: string,
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> => {
  const log = createLogger(config.logging.level);
  let stopRequested = false;
  let requestStop: (signal: string) => void = () => undefined;
  const asked = new Promise<string>((resolve) => (requestStop = resolve));
  const onStop = (signal: NodeJS.Signals): void => {
    if (stopRequested) {
      log.error({ event: 'stop', signal }, 'a second signal: ended at once');
      process.exit(exitCodes.notInOrder);
    }
    stopRequested = true;
    requestStop(signal);
  };
  // Until there is something to reload, SIGHUP must not end the process.
  let reload: () => void = () => undefined;
  const onReload = (): void => reload();
  process.on('SIGTERM', onStop).on('SIGINT', onStop).on('SIGHUP', onReload);
  try {
    const running = await start(config, env, log);
    reload = reloader(file, env, log, config, running, (level) => (log.level = level));
    log.info({ event: 'ready', url: running.url, pid: process.pid, version }, `ready on ${running.url}`);
    const signal = await asked;
    log.info({ event: 'stop', signal }, 'stopping: no new requests, work under way may end');
    const limit = setTimeout(() => {
      log.error({ event: 'stop' }, 'the stop took too long: what is left is cut off');
      process.exit(exitCodes.notInOrder);
    }, config.limits.stopGrace + stopLimitMs);
    limit.unref();
    await running.stop();
    clearTimeout(limit);
    log.info({ event: 'stop' }, 'stopped');
    return exitCodes.ok;
  } finally {
    process.off('SIGTERM', onStop).off('SIGINT', onStop).off('SIGHUP', onReload);
  }
};

interface Running {
  readonly url: string;
  readonly http: HttpServer;
  configure(config: Config): void;
  stop(): Promise<void>;
}

const start = async (
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
): Promise<Running> => {
  const running = await startService(config, env, log, version);
  const http = createHttpServer({
    config,
    service: running.service,
    clock: running.clock,
    log,
    notReady: () => running.notReady(),
    metrics: () => running.metrics(),
  });
  const stop = async (): Promise<void> => {
    await http.close(config.limits.stopGrace);
    await running.stop();
  };
  try {
    const { url } = await http.listen();
    return { url, http, configure: (next) => running.configure(next), stop };
  } catch (error) {
    await stop();
    throw new StartError(
      `cannot listen on ${config.listen.host} port ${String(config.listen.port)}: ${errorText(error)}. Is another service there? See listen in the configuration`,
    );
  }
};

/** Reads the file again. What can change changes at once; what cannot, and what is wrong, is told and left. */
const reloader = (
  file: string,
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
  first: Config,
  running: Running,
  setLevel: (level: string) => void,
): (() => void) => {
  let current = first;
  return () => {
    const loaded = loadConfig(file, env);
    if (!loaded.ok) {
      const errors = formatConfigErrors(file, loaded.errors).split('\n');
      log.error({ event: 'reload', errors }, 'the configuration has errors: nothing was changed');
      return;
    }
    const { applied, needsRestart } = diffConfig(current, loaded.config);
    const next = mergeReload(current, loaded.config);
    try {
      running.http.reload(next);
    } catch (error) {
      log.error(
        { event: 'reload', err: error },
        'the TLS files cannot be used: nothing of the configuration was changed',
      );
      return;
    }
    running.configure(next);
    setLevel(next.logging.level);
    current = next;
    log.info({ event: 'reload', applied, needsRestart }, 'the configuration was read again');
    if (needsRestart.length > 0) {
      log.warn({ event: 'reload', needsRestart }, 'these changes need a restart of the service');
    }
  };
};
