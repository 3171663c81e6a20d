import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { errorCode, errorText, nodeFiles, replaceFile } from '../store/files.js';

export type SecretRead =
  { readonly ok: true; readonly secret: string } | { readonly ok: false; readonly message: string };

/** Reads a secret from a file that others may not touch; surrounding white space is no part of it. */
export const readSecretFile = (path: string): SecretRead => {
  try {
    const { mode } = statSync(path);
    if ((mode & 0o007) !== 0) {
      return { ok: false, message: `${path} is open to every user of this machine: chmod o-rwx ${path}` };
    }
    const secret = readFileSync(path, 'utf8').trim();
    return secret === '' ? { ok: false, message: `${path} is empty` } : { ok: true, secret };
  } catch (error) {
    return { ok: false, message: `${path} cannot be read: ${errorText(error)}` };
  }
};

/**
 * The secret behind capabilities: 32 random bytes in hexadecimal, made with mode 0600 when absent.
 *
 * @throws Error when it is there and not usable: a new one would void every capability given out
 */
export const loadOrMakeSecret = async (path: string): Promise<string> => {
  try {
    statSync(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    const made = randomBytes(32).toString('hex');
    await replaceFile(nodeFiles, path, `${made}\n`);
    return made;
  }
  const read = readSecretFile(path);
  if (!read.ok) throw new Error(`The capability secret is not usable: ${read.message}`);
  if (read.secret.length < 32)
    throw new Error(`The capability secret in ${path} has fewer than 32 characters.`);
  return read.secret;
};
