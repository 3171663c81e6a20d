import { closeSync, fchmodSync, openSync, writeSync } from 'node:fs';
import { errorText } from '../store/files.js';
import { CliError, exitCodes } from './exit.js';

/**
 * Writes a secret to a file that only its owner can read, never over one that is there: it may be somebody else's.
 *
 * @throws CliError (usage) `<what> cannot be written: ...`
 */
export const writeNewFile = (path: string, text: string, what: string): void => {
  try {
    const fd = openSync(path, 'wx', 0o600);
    try {
      fchmodSync(fd, 0o600);
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new CliError(`${what} cannot be written: ${errorText(error)}`, exitCodes.usage);
  }
};
