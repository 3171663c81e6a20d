import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readWorkerConfig, type WorkerConfig } from '../config.js';
import type { EndingContext } from '../ending.js';
import { report } from '../report.js';
import { ServiceClient } from '../service-client.js';
import { Spool } from '../spool/spool.js';

/** The configuration, or null after saying everything that is wrong with it. */
export function configOrReport(hook: string): WorkerConfig | null {
  const read = readWorkerConfig(process.env);
  if (read.ok) return read.config;
  report(hook, `${read.path}: ${read.errors.join('; ')}`);
  return null;
}

export function remaining(limitMs: number): () => number {
  const end = performance.now() + limitMs;
  return () => end - performance.now();
}

export function client(config: WorkerConfig): ServiceClient {
  const token = readFileSync(config.service.tokenFile, 'utf8').trim();
  return new ServiceClient(config.service.url, config.service.caFile, token);
}

/** The installer puts the directory of the job starter here; uninstalled, it lies beside us. */
const libraryDirectory = '@VMPOOL_LIB@';

export function endingContext(hook: string, config: WorkerConfig, limitMs: number): EndingContext {
  const library = libraryDirectory.startsWith('/') ? libraryDirectory : dirname(process.argv[1] ?? '/');
  return {
    config,
    spool: new Spool(config.spool),
    client: client(config),
    starterProgram: join(library, 'jobstarter'),
    remainingMs: remaining(limitMs),
    say: (message) => report(hook, message),
  };
}
