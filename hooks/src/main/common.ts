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

/** `starterPath` is baked in by the installer's layout: all hooks' own files lie in one directory. */
export function endingContext(hook: string, config: WorkerConfig, limitMs: number): EndingContext {
  return {
    config,
    spool: new Spool(config.spool),
    client: client(config),
    starterProgram: join(dirname(process.argv[1] ?? '/'), 'jobstarter'),
    remainingMs: remaining(limitMs),
    say: (message) => report(hook, message),
  };
}
