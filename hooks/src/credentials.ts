import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
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
 * Is this path out of the reach of everybody but root: no link and no directory of another's on the way? Where all
 * may write under the sticky bit (/tmp), they may add names, but not change those of root.
 */
function isRootsWay(path: string): boolean {
  const parts = dirname(path).split('/');
  return parts.every((_part, index) => {
    const stat = lstatSync(parts.slice(0, index + 1).join('/') || '/', { throwIfNoEntry: false });
    return (
      stat?.isDirectory() === true &&
      stat.uid === 0 &&
      ((stat.mode & 0o022) === 0 || (stat.mode & 0o1000) !== 0)
    );
  });
}

/**
 * Reads a credential, whoever we are: a regular file that belongs to one of `owners`, not through a link in its last
 * part. So nobody obtains a file of another's by naming it or by a link in /tmp. A file of root's that is read for a
 * user must also have but one name, on a way that no user can bend: neither a link of theirs in the place of a
 * directory nor a second name for /etc/shadow makes root hand it out. Null: not there or not theirs.
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
    const isRoots = stat.uid === 0 && owners.some((uid) => uid !== 0);
    if (isRoots && (stat.nlink !== 1 || !isRootsWay(path))) return null;
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
