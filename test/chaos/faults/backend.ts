import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { readStateFile } from '../../../src/doctor/stacks.js';

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

/** Can the state be read? */
export const isWhole = (backend: string, stack: string): boolean =>
  readStateFile(backend, stack)?.ok === true;
