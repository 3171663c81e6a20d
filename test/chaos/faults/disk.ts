import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Fills the file system that holds the service's state to its last byte. Returns what makes room again. */
export const fillDisk = (stateDir: string): (() => void) => {
  const path = join(stateDir, 'filler');
  const file = openSync(path, 'w', 0o600);
  try {
    for (let size = 1 << 20; size >= 1;) {
      try {
        writeSync(file, Buffer.alloc(size));
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
        size = size === 1 ? 0 : Math.max(1, size >> 4);
      }
    }
  } finally {
    closeSync(file);
  }
  return () => rmSync(path, { force: true });
};
