import { basename, dirname, join } from 'node:path';
import { removeIfThere, replaceFile, temporaryOf, type OpenFile, type StoreFiles } from './files.js';
import { encodeHeader, encodeRecord, type JournalHeader } from './journal-format.js';
import type { PatchOperation } from './patch.js';

/** Enough of the checksum that no two snapshots of one store ever share a name; the whole one is in the header. */
const nameLength = 16;

export const journalPath = (path: string, snapshot: string): string =>
  `${path}.journal-${snapshot.slice(0, nameLength)}`;

/** Every journal beside the store's file, whichever snapshot it belongs to. */
export const journalsOf = async (files: StoreFiles, path: string): Promise<readonly string[]> => {
  const prefix = `${basename(path)}.journal-`;
  const names = await files.list(dirname(path));
  return names
    .filter((name) => name.startsWith(prefix) && /^[0-9a-f]+$/.test(name.slice(prefix.length)))
    .map((name) => join(dirname(path), name));
};

/** A journal that a crash left before it was in its place. */
export const isJournalDraft = (name: string, file: string): boolean =>
  name.startsWith(`${file}.journal-`) && name.endsWith(temporaryOf(''));

/** Puts an empty journal in its place, durably: before its snapshot, so that no snapshot is ever without one. */
export const createJournal = async (
  files: StoreFiles,
  path: string,
  header: JournalHeader,
): Promise<JournalWriter> => {
  const { line, sha256 } = encodeHeader(header);
  await replaceFile(files, journalPath(path, header.snapshot), line);
  return new JournalWriter(files, journalPath(path, header.snapshot), header.snapshot, sha256);
};

/** Appends commits to a journal. After a failure it is never written again: nobody knows what is in the file. */
export class JournalWriter {
  private file: OpenFile | null = null;
  private written = 0;
  private count = 0;
  private broken = false;

  constructor(
    private readonly files: StoreFiles,
    readonly path: string,
    /** The snapshot that it belongs to. */
    readonly snapshot: string,
    private previous: string,
  ) {}

  get bytes(): number {
    return this.written;
  }

  /** Commits in it, the one that failed included. */
  get records(): number {
    return this.count;
  }

  get usable(): boolean {
    return !this.broken;
  }

  /** Durable when it resolves. When it rejects, the commit may be there whole, in part or not at all. */
  async append(at: string, patch: readonly PatchOperation[]): Promise<void> {
    this.count += 1;
    const { line, sha256 } = encodeRecord(this.previous, this.count, { at, patch });
    try {
      this.file ??= await this.files.append(this.path);
      await this.file.write(line);
      await this.file.sync();
    } catch (error) {
      this.broken = true;
      throw error;
    }
    this.previous = sha256;
    this.written += Buffer.byteLength(line);
  }

  async close(): Promise<void> {
    const { file } = this;
    this.file = null;
    this.broken = true;
    await file?.close().catch(() => undefined);
  }
}

/** Removes every journal but the one of `snapshot`. What cannot be removed now is removed another time. */
export const removeOtherJournals = async (
  files: StoreFiles,
  path: string,
  snapshot: string | null,
): Promise<void> => {
  const own = snapshot === null ? null : journalPath(path, snapshot);
  for (const journal of await journalsOf(files, path).catch(() => []))
    if (journal !== own) await removeIfThere(files, journal).catch(() => undefined);
};
