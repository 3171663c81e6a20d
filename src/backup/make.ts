import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Book } from '../pool/book.js';
import { bookFormat } from '../pool/book-schema.js';
import { bookPath } from '../service/open-book.js';
import { currentDocument } from '../store/current.js';
import { encode } from '../store/envelope.js';
import { nodeFiles, readIfThere } from '../store/files.js';
import { version } from '../version.js';
import { BackupError, writeArchive, type Manifest } from './archive.js';
import { bookEntry, entriesAt, kindOfEntry, pathOfEntry, type Place } from './place.js';
import { verifyBackup } from './verify.js';

export interface Made {
  readonly path: string;
  readonly bytes: number;
  readonly manifest: Manifest;
  readonly book: Book;
  /** Earlier backups of this pool in the same directory that were removed. */
  readonly removed: readonly string[];
}

export interface MakeOptions {
  /** A directory, in which the backup gets a name of its own, or a file that is not there yet. */
  readonly target: string;
  /** So many generated backups stay in the directory; null keeps all. */
  readonly keep: number | null;
  readonly now: number;
}

/**
 * Makes a backup, beside the running service or without one, and reads it again to see that it is whole.
 *
 * States are read before the book. A member that the book has and a state does not is never made again by an update;
 * a server that a state has and the book does not is held until it is explained.
 *
 * @throws BackupError when there is no book, when it is damaged, or when the target cannot be used
 */
export const makeBackup = async (place: Place, options: MakeOptions): Promise<Made> => {
  const directory =
    existsSync(options.target) && statSync(options.target).isDirectory() ? options.target : null;
  const path = directory === null ? options.target : join(directory, nameOf(place.pool, options.now));
  if (existsSync(path)) throw new BackupError(`${path} is there already: give another name, or a directory`);
  if (directory === null && options.keep !== null)
    throw new BackupError(
      '--keep needs a directory: earlier backups are known by the names that they got there',
    );
  const files = new Map<string, Buffer>();
  for (const name of entriesAt(place)) {
    const bytes = name === bookEntry ? await bookOf(place) : await readWhole(place, name);
    if (bytes !== null) files.set(name, bytes);
  }
  const installation = files.get('installation')?.toString('utf8').trim() ?? '';
  const takenAt = new Date(options.now).toISOString();
  await writeArchive(path, { pool: place.pool, installation, takenAt, program: version }, files);
  const { manifest, book } = await verifyBackup(path);
  const removed =
    directory === null || options.keep === null ? [] : prune(directory, place.pool, options.keep);
  return { path, bytes: statSync(path).size, manifest, book, removed };
};

const nameOf = (pool: string, now: number): string =>
  `${pool}-${new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '')}.vmpool.tgz`;

const bookOf = async (place: Place): Promise<Buffer> => {
  const path = bookPath(place.stateDir);
  const found = await currentDocument(nodeFiles, path, bookFormat.journalSince);
  switch (found.kind) {
    case 'none':
      throw new BackupError(`there is no book at ${path} yet: the first start of the service makes it`);
    case 'unusable':
      throw new BackupError(
        `${path} cannot be read (${found.why}), and a backup of it would be no good. Keep the backups that you have; see vmpool doctor`,
      );
    case 'read':
      return Buffer.from(encode(found.envelope));
  }
};

const triesAtOnce = 5;

/** Pulumi replaces a state whole; one that cannot be parsed is read again, in case another backend's tool does not. */
const readWhole = async (place: Place, name: string): Promise<Buffer | null> => {
  const path = pathOfEntry(place, name);
  if (path === null) return null;
  for (let tries = 1; ; tries += 1) {
    const bytes = await readIfThere(nodeFiles, path);
    if (bytes === null || kindOfEntry(name) !== 'stack state' || isJson(bytes)) return bytes;
    // A damaged state is no reason to have no backup of the rest: it is left out, and doctor tells of it.
    if (tries === triesAtOnce) return null;
    await sleep(200);
  }
};

const isJson = (bytes: Buffer): boolean => {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
};

const prune = (directory: string, pool: string, keep: number): readonly string[] => {
  const generated = new RegExp(`^${pool}-\\d{8}T\\d{6}Z\\.vmpool\\.tgz$`);
  const names = readdirSync(directory)
    .filter((name) => generated.test(name))
    .sort();
  const old = names.slice(0, Math.max(0, names.length - keep));
  for (const name of old) rmSync(join(directory, name), { force: true });
  return old.map((name) => join(directory, name));
};
