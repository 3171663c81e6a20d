import { z } from 'zod';
import type { Book } from '../pool/book.js';
import { bookFormat } from '../pool/book-schema.js';
import { decode, type Envelope } from '../store/envelope.js';
import { migrate } from '../store/migrations.js';
import { BackupError, readArchive, type Archive } from './archive.js';
import { bookEntry, installationEntry, kindOfEntry } from './place.js';

export interface Verified extends Archive {
  readonly envelope: Envelope;
  readonly book: Book;
}

/**
 * Reads a backup as a restore would: every file whole, the book of a version that this program reads, and all of one
 * pool and one installation.
 *
 * @throws BackupError that says what is wrong with it
 */
export const verifyBackup = async (path: string): Promise<Verified> => {
  const archive = await readArchive(path);
  const no = (why: string): BackupError => new BackupError(`${path} cannot be used: ${why}`);
  const { manifest, files } = archive;
  const stranger = [...files.keys()].find((name) => kindOfEntry(name) === null);
  if (stranger !== undefined) throw no(`${stranger} is nothing that a backup holds`);
  const bytes = files.get(bookEntry);
  if (bytes === undefined) throw no('the book is not in it');
  const decoded = decode(bytes);
  if (!decoded.ok) throw no(`its book cannot be read: ${decoded.why}`);
  const { envelope } = decoded;
  const migrated = migrate(
    JSON.parse(envelope.json),
    envelope.version,
    bookFormat.version,
    bookFormat.migrations,
  );
  if (!migrated.ok) throw no(`its book: ${migrated.why}`);
  const parsed = bookFormat.schema.safeParse(migrated.document);
  if (!parsed.success) throw no(`its book is not what this version reads: ${z.prettifyError(parsed.error)}`);
  const book = parsed.data;
  const installation = files.get(installationEntry)?.toString('utf8').trim();
  if (installation === undefined) throw no('the installation is not in it');
  if (
    book.installation !== installation ||
    manifest.installation !== installation ||
    book.pool !== manifest.pool
  )
    throw no('its parts are of different pools or installations');
  return { ...archive, envelope, book };
};
