import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expandPattern, type WorkerConfig } from './config.js';
import { writeDurably, type FileOwner } from './spool/files.js';
import type { PreparedCredential } from './spool/lease-files.js';

export interface CredentialFile {
  readonly path: string;
  readonly mode: number;
  readonly data: Buffer;
}

const maxBytes = 1024 * 1024;

/**
 * Reads a credential, whoever we are: a regular file that belongs to `owner`, not through a link in its last
 * part. So nobody obtains a file of another's by naming it or by a link in /tmp. Null: not there or not theirs.
 */
export function readCredential(path: string, owners: readonly number[]): CredentialFile | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || !owners.includes(stat.uid) || stat.size > maxBytes) return null;
    return { path, mode: stat.mode & 0o700, data: readFileSync(fd) };
  } finally {
    closeSync(fd);
  }
}

interface Whose extends FileOwner {
  readonly job: string;
  readonly user: string;
}

/** Run by root: copies what only root can read into `lease/`, where the user finds it. */
export function prepareRootCredentials(
  config: WorkerConfig,
  of: Whose,
  home: string,
  leaseDirectory: string,
): PreparedCredential[] {
  const prepared: PreparedCredential[] = [];
  config.credentials.forEach((credential, index) => {
    if (!('path' in credential) || credential.readAs !== 'root') return;
    const path = expandPattern(credential.path, { ...of, home });
    const file = readCredential(path, [0, of.uid]);
    if (file === null) return;
    const name = `credential-${index}`;
    writeDurably(join(leaseDirectory, name), file.data, 0o400, of);
    prepared.push({ file: name, path, mode: file.mode });
  });
  return prepared;
}

/** Run by the job's user: everything that is to be on the VM now. */
export function collectCredentials(
  config: WorkerConfig,
  of: { readonly uid: number; readonly user: string; readonly home: string; readonly job: string },
  variable: (name: string) => string | null,
  prepared: readonly PreparedCredential[],
  leaseDirectory: string,
): CredentialFile[] {
  const files = new Map<string, CredentialFile>();
  for (const credential of config.credentials) {
    if ('path' in credential && credential.readAs === 'root') continue;
    const path = 'path' in credential ? expandPattern(credential.path, of) : variable(credential.variable);
    if (path === null || !/^\/[^\0\n]*$/.test(path)) continue;
    const file = readCredential(path, [of.uid]);
    if (file !== null) files.set(path, file);
  }
  for (const one of prepared) {
    const file = readCredential(join(leaseDirectory, one.file), [of.uid]);
    if (file !== null) files.set(one.path, { ...file, path: one.path, mode: one.mode });
  }
  return [...files.values()];
}
