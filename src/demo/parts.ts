import { join } from 'node:path';
import { z } from 'zod';
import { CloudControl } from '../embedded/control.js';
import { repoRoot } from '../repo-root.js';
import { parseLogLine, type Journal } from './journal.js';
import { OwnedProcess } from './owned-process.js';
import { writeOpenrc, type Place } from './place.js';

const cloudReady = z.object({
  controlUrl: z.string(),
  controlToken: z.string(),
  env: z.record(z.string(), z.string()),
});

/**
 * A little environment for the demo's own processes: nothing of the caller's that could change what they do, above
 * all no credentials of a real cloud.
 */
export const ownEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    ['HOME', 'LANG', 'PATH', 'TMPDIR', 'USER', 'VMPOOL_CACHE', 'VMPOOL_TEST_RUN', 'XDG_CACHE_HOME'].flatMap(
      (name) => {
        const value = process.env[name];
        return value === undefined ? [] : [[name, value]];
      },
    ),
  );

const program = (path: string): string => join(repoRoot, 'dist', 'src', path);

/** Starts a program and waits for the line that says it is ready; when it ends first, rejects with its words. */
const startUntil = async <T>(
  options: {
    what: string;
    args: string[];
    env?: Readonly<Record<string, string>>;
    logFile: string;
    stopLimitMs: number;
    limitMs: number;
  },
  ready: (line: string) => T | null,
): Promise<{ readonly process: OwnedProcess; readonly value: T }> => {
  let found: (value: T) => void = () => undefined;
  const value = new Promise<T>((resolve) => (found = resolve));
  const { limitMs, ...rest } = options;
  const owned = new OwnedProcess({
    ...rest,
    env: { ...ownEnvironment(), ...options.env },
    onLine: (line) => {
      const got = ready(line);
      if (got !== null) found(got);
    },
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${options.what} was not ready within ${String(limitMs / 1000)} s`)),
      limitMs,
    );
  });
  try {
    return { process: owned, value: await Promise.race([value, owned.mustLive(), late]) };
  } catch (error) {
    await owned.stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
};

/** Starts the embedded cloud as a process of its own and writes its credentials where the service reads them. */
export const startCloud = async (
  place: Place,
): Promise<{ readonly process: OwnedProcess; readonly control: CloudControl }> => {
  const started = await startUntil(
    {
      what: 'the embedded cloud',
      args: [program('embedded/main.js'), '--state', place.cloudState, '--options', place.cloudOptions],
      logFile: place.cloudLog,
      stopLimitMs: 20_000,
      limitMs: 30_000,
    },
    (line) => {
      try {
        return cloudReady.parse(JSON.parse(line));
      } catch {
        return null;
      }
    },
  );
  writeOpenrc(place, started.value.env);
  const { controlUrl, controlToken } = started.value;
  return { process: started.process, control: new CloudControl(controlUrl, controlToken) };
};

/** Starts `vmpool serve`; its log feeds the journal. Resolves with its address. `env` is added to its environment. */
export const startService = async (
  place: Place,
  journal: Journal,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly process: OwnedProcess; readonly url: string }> => {
  const started = await startUntil(
    {
      what: 'the service',
      args: [program('cli/main.js'), 'serve', '--config', place.configFile],
      env,
      logFile: place.serviceLog,
      stopLimitMs: 60_000,
      limitMs: 30_000,
    },
    (line) => {
      const entry = parseLogLine(line);
      if (entry === null) return null;
      journal.take(entry);
      return entry.event === 'ready' ? (entry.url ?? null) : null;
    },
  );
  return { process: started.process, url: started.value };
};
