import { decode, type Envelope } from './envelope.js';
import { errorText, readIfThere, type StoreFiles } from './files.js';
import { goodCopies } from './generations.js';
import { readJournal, type JournalRead } from './journal-format.js';
import { journalPath, journalsOf } from './journal.js';
import { applyPatch } from './patch.js';

/** What snapshot and journal hold together, not yet migrated or checked against a schema. */
export interface WholeStored {
  readonly kind: 'whole';
  readonly document: unknown;
  readonly version: number;
  /** When the newest commit in it was made. */
  readonly savedAt: string;
  readonly restored: boolean;
  /** Its journal ends within a line: commits may be missing at its end. */
  readonly cutOff: boolean;
  /** The snapshot's bytes and checksum. */
  readonly bytes: Buffer;
  readonly snapshot: string;
  /** Commits since the snapshot. */
  readonly records: number;
}

export type Stored =
  | { readonly kind: 'none' }
  | WholeStored
  | {
      readonly kind: 'damaged';
      readonly why: string;
      /** What stands before the damage when the snapshot itself is whole. */
      readonly before: Envelope | null;
    };

/** A service that runs may put a new snapshot in place between two reads. */
const readsBesideWriter = 5;

/**
 * Reads a store without owning it. Snapshots of version `journalSince` and later have a journal, unless an operator
 * put them there. Changes nothing on disk.
 */
export const readStored = async (files: StoreFiles, path: string, journalSince: number): Promise<Stored> => {
  for (let left = readsBesideWriter; ; left -= 1) {
    let bytes: Buffer | null;
    try {
      bytes = await readIfThere(files, path);
    } catch (error) {
      return { kind: 'damaged', why: `it cannot be read (${errorText(error)})`, before: null };
    }
    if (bytes === null) return nothingThere(files, path);
    const decoded = decode(bytes);
    if (!decoded.ok) return { kind: 'damaged', why: decoded.why, before: null };
    const { envelope, sha256 } = decoded;
    const expected = envelope.version >= journalSince && envelope.origin === 'commit';
    const own = await readIfThere(files, journalPath(path, sha256));
    const journal = own === null ? null : readJournal(own);
    const stored = await replay(files, path, { envelope, sha256, bytes, expected }, journal);
    if (stored.kind === 'damaged' && left > 0) {
      const again = await readIfThere(files, path);
      if (again?.equals(bytes) !== true) continue;
    }
    return stored;
  }
};

interface Snapshot {
  readonly envelope: Envelope;
  readonly sha256: string;
  readonly bytes: Buffer;
  readonly expected: boolean;
}

const replay = async (
  files: StoreFiles,
  path: string,
  { envelope, sha256, bytes, expected }: Snapshot,
  journal: JournalRead | null,
): Promise<Stored> => {
  let document: unknown;
  try {
    document = JSON.parse(envelope.json);
  } catch {
    // The checksum says that it is what was written, not that it was JSON.
    const why = 'its checksum is right, but what it holds is not JSON';
    return { kind: 'damaged', why, before: null };
  }
  let { savedAt } = envelope;
  let records = 0;
  let damage = await foreignJournal(files, path, sha256, journal?.header?.after ?? null);
  const name = journalPath(path, sha256);
  if (journal === null) {
    if (expected) damage = `its journal ${name} is gone, and with it what was committed since`;
  } else if (journal.header !== null && journal.header.snapshot !== sha256)
    damage = `its journal ${name} belongs to another snapshot`;
  else if (journal.header !== null && journal.header.version !== envelope.version)
    damage = `its journal ${name} is of another version`;
  else {
    try {
      for (const { at, patch } of journal.records) {
        document = applyPatch(document, patch);
        savedAt = at;
        records += 1;
      }
      if (journal.damage !== null) damage = `its journal ${name} is damaged: ${journal.damage}`;
    } catch (error) {
      // Half of a change may have been applied: only the snapshot itself can be offered.
      const why = `change ${String(records + 1)} of its journal ${name} does not fit: ${errorText(error)}`;
      return { kind: 'damaged', why, before: envelope };
    }
  }
  const { version, origin } = envelope;
  if (damage === null) {
    const restored = origin === 'restored';
    const cutOff = journal?.cutOff === true;
    return { kind: 'whole', document, version, savedAt, restored, cutOff, bytes, snapshot: sha256, records };
  }
  return {
    kind: 'damaged',
    why: damage,
    before: { version, savedAt, origin, json: JSON.stringify(document) },
  };
};

/** Commits in a journal of another snapshot than this one and the one before it: one of the two files is not in its place. */
const foreignJournal = async (
  files: StoreFiles,
  path: string,
  snapshot: string,
  after: string | null,
): Promise<string | null> => {
  for (const other of await journalsOf(files, path)) {
    if (other === journalPath(path, snapshot)) continue;
    const bytes = await readIfThere(files, other);
    const read = bytes === null ? null : readJournal(bytes);
    if (read === null || (read.header !== null && read.header.snapshot === after)) continue;
    if (read.records.length > 0 || read.header === null)
      return `${other} beside it holds commits that belong to another snapshot: one of the two was moved here or put back`;
  }
  return null;
};

const nothingThere = async (files: StoreFiles, path: string): Promise<Stored> => {
  const copies = await goodCopies(files, path);
  if (copies.length > 0)
    return {
      kind: 'damaged',
      why: 'the file is gone, while earlier copies of it are still there',
      before: null,
    };
  for (const journal of await journalsOf(files, path)) {
    const bytes = await readIfThere(files, journal);
    // An empty one is made just before the first snapshot.
    if (bytes !== null && readJournal(bytes).records.length > 0)
      return {
        kind: 'damaged',
        why: `the file is gone, while its journal ${journal} is there`,
        before: null,
      };
  }
  return { kind: 'none' };
};
