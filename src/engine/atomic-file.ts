import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Writes a file so that a reader, or a crash, meets the old content or the new one, never a part. Mode 0600.
 * Synchronous, because nothing else may happen between the decision and its record.
 */
export const writeFileAtomically = (path: string, content: string): void => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.new`;
  writeDurably(temporary, content);
  renameSync(temporary, path);
  syncDirectory(dirname(path));
};

/** The same for a file that must not be there yet: one that is there stays as it is, and false is returned. */
export const beginFile = (path: string, content: string): boolean => {
  const temporary = `${path}.new`;
  writeDurably(temporary, content);
  try {
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(temporary, { force: true });
  }
  syncDirectory(dirname(path));
  return true;
};

const writeDurably = (path: string, content: string): void => {
  const file = openSync(path, 'w', 0o600);
  try {
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
};

const syncDirectory = (path: string): void => {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
};
