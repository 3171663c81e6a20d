import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { InstallationId } from '../pool/model.js';
import { errorCode, nodeFiles, replaceFile } from '../store/files.js';

/**
 * This installation's UUID, in a file of its own beside the book: a lost book must not make our servers strangers.
 * Made at the first start. Throws when it is there and cannot be used: a new one would orphan every server.
 */
export async function installationOf(stateDir: string): Promise<InstallationId> {
  const path = join(stateDir, 'installation');
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    const made = randomUUID();
    await replaceFile(nodeFiles, path, `${made}\n`);
    return made as InstallationId;
  }
  const parsed = z.uuid().safeParse(text);
  if (!parsed.success) {
    throw new Error(
      `${path} holds no UUID. It names every server of this pool: write the value of their metadata key vmpool_installation back into it`,
    );
  }
  return parsed.data as InstallationId;
}

/**
 * Makes the state directory that of an installation whose servers are there already.
 *
 * @throws Error when it is another one's, or when `installation` is no UUID
 */
export async function installationIs(stateDir: string, installation: string): Promise<void> {
  if (!z.uuid().safeParse(installation).success)
    throw new Error(`${installation} is no UUID of an installation`);
  const path = join(stateDir, 'installation');
  let present: string;
  try {
    present = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    await replaceFile(nodeFiles, path, `${installation}\n`);
    return;
  }
  if (present === installation) return;
  throw new Error(
    `${stateDir} is of installation ${present} already, not of ${installation}. If that was made by mistake, move the directory away first`,
  );
}
