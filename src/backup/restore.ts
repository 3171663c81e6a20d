import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Book } from '../pool/book.js';
import { parseCheckpointFile } from '../engine/deployment.js';
import { bookFormat } from '../pool/book-schema.js';
import { bookPath } from '../service/open-book.js';
import { errorText, nodeFiles, replaceFile } from '../store/files.js';
import { setAside } from '../store/generations.js';
import { recoverStore } from '../store/recover.js';
import { BackupError, type Manifest } from './archive.js';
import { bookEntry, installationEntry, kindOfEntry, pathOfEntry, type Place } from './place.js';
import { verifyBackup, type Verified } from './verify.js';

/**
 * What a restore does with one file of the backup.
 * - `put`: nothing was there
 * - `same`: it is there already
 * - `kept`: another one is there and stays, because it is newer than the backup by what happened since
 * - `replaced`: what was there is set aside
 * - `left out`: it has no place here
 */
export interface Step {
  readonly name: string;
  readonly path: string | null;
  readonly action: 'put' | 'same' | 'kept' | 'replaced' | 'left out';
  readonly why: string;
}

export interface Restored {
  readonly manifest: Manifest;
  readonly book: Book;
  readonly steps: readonly Step[];
  /** Where what stood in the way is now. */
  readonly setAside: readonly string[];
  readonly done: boolean;
}

export interface RestoreOptions {
  readonly file: string;
  /** Only say what would be done. */
  readonly dryRun: boolean;
  readonly clock: { now(): number };
}

/**
 * Puts a backup back: the book always, everything else where it is missing. States of stacks that are there stay:
 * Pulumi has gone on writing them, and one from the backup would know less. Nothing is deleted. It can be repeated
 * until it has gone through; the book comes last.
 *
 * @throws BackupError when the backup is damaged or another pool's, or when a service runs on that state directory
 */
export const restoreBackup = async (place: Place, options: RestoreOptions): Promise<Restored> => {
  const verified = await verifyBackup(options.file);
  const { manifest, book, envelope } = verified;
  refuseAnother(place, manifest);
  const steps = [...verified.files.keys()].map((name) => stepFor(place, verified, name));
  if (options.dryRun) return { manifest, book, steps, setAside: [], done: false };
  const stamp = new Date(options.clock.now()).toISOString().replaceAll(':', '');
  const aside: string[] = [];
  const result = await recoverStore({
    path: bookPath(place.stateDir),
    journalSince: bookFormat.journalSince,
    from: envelope,
    clock: options.clock,
    before: async () => {
      refuseAnother(place, manifest);
      for (const { name, path, action } of steps) {
        const bytes = verified.files.get(name);
        if (name === bookEntry || path === null || bytes === undefined) continue;
        if (action === 'replaced') aside.push(...(await setAside(nodeFiles, [path], stamp)));
        if (action !== 'put' && action !== 'replaced') continue;
        await nodeFiles.makeDirectory(dirname(path));
        await replaceFile(nodeFiles, path, bytes);
      }
    },
  });
  switch (result.kind) {
    case 'owned':
      throw new BackupError(
        `a service runs on ${place.stateDir} (pid ${String(result.pid)}): stop it first, nothing was changed`,
      );
    case 'no-backup':
      throw new BackupError(result.detail);
    case 'recovered':
      return { manifest, book, steps, setAside: [...aside, ...result.setAside], done: true };
  }
};

/** Another pool's book would take this one's VMs for strangers, and its own for members that are gone. */
const refuseAnother = (place: Place, manifest: Manifest): void => {
  if (manifest.pool !== place.pool) {
    throw new BackupError(`the backup is of pool ${manifest.pool}, the configuration of pool ${place.pool}`);
  }
  const path = pathOfEntry(place, installationEntry);
  if (path === null || !existsSync(path)) return;
  const here = readFileSync(path, 'utf8').trim();
  if (here !== manifest.installation) {
    throw new BackupError(
      `${place.stateDir} is of installation ${here}, the backup of ${manifest.installation}. If a service was started here ` +
        'by mistake before the restore, move that directory away and restore into a new one',
    );
  }
};

const stepFor = (place: Place, verified: Verified, name: string): Step => {
  const path = pathOfEntry(place, name);
  const step = (action: Step['action'], why = ''): Step => ({ name, path, action, why });
  if (path === null) return step('left out', 'the stacks are in another backend, which keeps its own copies');
  if (!existsSync(path)) return step('put');
  if (name === bookEntry) return step('replaced', 'what is there is set aside');
  let present: Buffer;
  try {
    present = readFileSync(path);
  } catch (error) {
    throw new BackupError(`${path} cannot be read: ${errorText(error)}`);
  }
  if (verified.files.get(name)?.equals(present) === true) return step('same');
  switch (kindOfEntry(name)) {
    case 'stack state': {
      const parsed = parseCheckpointFile(present.toString('utf8'));
      return parsed.ok
        ? step('kept', 'it is newer than the backup')
        : step('replaced', `what is there cannot be read (${parsed.why})`);
    }
    case 'secret':
      return step(
        'kept',
        "another secret is there: markers written with the backup's prove nothing any more",
      );
    default:
      return step('kept', 'it was written after the backup');
  }
};
