import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
} from 'node:fs';
import { readdirSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Root's files in the spool. Safe because of one rule: every directory on the way is root's and writable by root
 * alone, so no user can put a link in our way. `makeOwned` and `assertOwned` check it; what users may write
 * (`run/`) is never opened by root.
 */
export function assertOwned(path: string): void {
  const stat = lstatSync(path);
  const me = process.getuid?.() ?? 0;
  if (!stat.isDirectory() || stat.uid !== me || (stat.mode & 0o022) !== 0)
    throw new Error(`${path} must be a directory of root's that only root can write; remove or repair it`);
}

export function makeOwned(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      fchmodSync(fd, mode);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
    if (code !== 'EEXIST') throw error;
  }
  assertOwned(path);
}

export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

/** Writes beside, syncs, renames, syncs the directory: after a crash the old or the new file is there, whole. */
export function writeDurably(path: string, data: string | Buffer, mode: number, owner?: FileOwner): void {
  const beside = `${path}.${process.pid}.new`;
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  try {
    unlinkSync(beside);
  } catch {
    // Usual: nothing was left there.
  }
  const fd = openSync(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    if (owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
    fchmodSync(fd, mode);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(beside, path);
  const directory = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

const draft = /\.\d+\.new$/;

/**
 * What writers that were killed have left beside the files that they were to write. For directories of root's whose
 * writers are locked out, or are dead.
 */
export function removeDrafts(directory: string): void {
  let names: readonly string[];
  try {
    names = readdirSync(directory);
  } catch {
    return; // It is gone, or was never made.
  }
  for (const name of names.filter((one) => draft.test(one)))
    try {
      unlinkSync(join(directory, name));
    } catch {
      // Another copy of us was here.
    }
}

/** More than any file of the spool can hold. */
const largestPlain = 4 * 1024 * 1024;

/**
 * Reads a regular file without following a link; null when there is none, or when it is larger than any file that we
 * write: one that was handed to a user may have been blown up by them, and must not cost root its memory.
 */
export function readPlain(path: string): string | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const stat = fstatSync(fd);
    return stat.isFile() && stat.size <= largestPlain ? readFileSync(fd, 'utf8') : null;
  } finally {
    closeSync(fd);
  }
}
