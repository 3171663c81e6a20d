import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';

const project = 'vmpool';

/** Locks a stack as another Pulumi would: the process named lives, it is this one. Returns what unlocks it. */
export const lockStack = (backend: string, stack: string): (() => void) => {
  const directory = join(backend, '.pulumi', 'locks', 'organization', project, stack);
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${randomUUID()}.json`);
  const lock = {
    pid: process.pid,
    username: 'somebody',
    hostname: hostname(),
    timestamp: new Date().toISOString(),
  };
  writeFileSync(path, JSON.stringify(lock), { mode: 0o600 });
  return () => rmSync(path, { force: true });
};

export const stateFile = (backend: string, stack: string): string =>
  join(backend, '.pulumi', 'stacks', project, `${stack}.json`);

const isWhole = (path: string): boolean => {
  try {
    JSON.parse(readFileSync(path, 'utf8'));
    return true;
  } catch {
    return false;
  }
};

/**
 * What an operator does on the service's advice: the newest whole copy of the history takes the place of a state
 * that cannot be read. Where Pulumi has written the state anew meanwhile there is nothing to do; where there
 * is no copy, `saved` (the site's own backup) takes its place.
 */
export const putStateBack = (backend: string, stack: string, saved: Buffer): string => {
  const path = stateFile(backend, stack);
  if (existsSync(path) && isWhole(path)) return 'it was written anew meanwhile';
  const history = join(backend, '.pulumi', 'history', project, stack);
  const stampOf = (name: string): string => /-(\d+)\.checkpoint\.json$/.exec(name)?.[1] ?? '';
  const copy = (existsSync(history) ? readdirSync(history) : [])
    .filter((name) => stampOf(name) !== '')
    .sort((a, b) => stampOf(b).localeCompare(stampOf(a)))
    .map((name) => join(history, name))
    .find(isWhole);
  writeFileSync(`${path}.chaos`, copy === undefined ? saved : readFileSync(copy), { mode: 0o600 });
  renameSync(`${path}.chaos`, path);
  return copy === undefined
    ? "the site's backup was put back"
    : 'the newest copy of its history was put back';
};
