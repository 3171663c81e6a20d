import { basename, dirname } from 'node:path';
import { Low, type Adapter } from 'lowdb';
import type { z } from 'zod';
import { encode, sealEnvelope, type Envelope } from './envelope.js';
import {
  errorCode,
  errorText,
  nodeFiles,
  removeIfThere,
  replaceFile,
  temporaryOf,
  type StoreFiles,
} from './files.js';
import { generationPaths, keepCopy, newestCopyAt, renewAfterMs } from './generations.js';
import { createJournal, isJournalDraft, removeOtherJournals, type JournalWriter } from './journal.js';
import { acquireLock, isAbandonedDraft, type Lock } from './lock.js';
import { migrate, type Migrations } from './migrations.js';
import { diff } from './patch.js';
import { StoreError, type OpenResult, type Store } from './port.js';
import { damageReport } from './recovery-advice.js';
import { readStored, type WholeStored } from './stored.js';

/** Wall-clock milliseconds, for the dates in the file and the age of its copies; decides nothing else. */
export interface StoreClock {
  now(): number;
}

export interface StoreOptions<T> {
  /** The file; its directory is made (0700) when it is not there. */
  readonly path: string;
  readonly schema: z.ZodType<T>;
  /** Version of the document that `schema` describes, 1 or more. */
  readonly version: number;
  readonly migrations: Migrations;
  /** The first version whose snapshots have a journal beside them. */
  readonly journalSince: number;
  readonly initial: () => T;
  readonly clock: StoreClock;
  /** Told of trouble that costs no data, such as an earlier copy that could not be renewed. */
  readonly onWarning?: (message: string) => void;
  readonly files?: StoreFiles;
}

/** The file cannot be understood: what is told to the operator. */
class Damage extends Error {
  constructor(
    why: string,
    readonly before: Envelope | null,
  ) {
    super(why);
  }
}

/** How documents of one kind are stored. */
export type StoredFormat<T> = Pick<StoreOptions<T>, 'schema' | 'version' | 'migrations' | 'journalSince'>;

export type ReadDocument<T> =
  | { readonly kind: 'none' }
  | { readonly kind: 'read'; readonly document: T; readonly stored: WholeStored }
  | { readonly kind: 'damaged'; readonly why: string; readonly before: Envelope | null };

/** Reads the newest committed document, also beside the process that owns the store. Changes nothing. */
export const readDocument = async <T>(
  files: StoreFiles,
  path: string,
  format: StoredFormat<T>,
): Promise<ReadDocument<T>> => {
  const stored = await readStored(files, path, format.journalSince);
  if (stored.kind !== 'whole') return stored;
  const damaged = (why: string): ReadDocument<T> => ({ kind: 'damaged', why, before: null });
  const migrated = migrate(stored.document, stored.version, format.version, format.migrations);
  if (!migrated.ok) return damaged(migrated.why);
  const parsed = format.schema.safeParse(migrated.document);
  if (parsed.success) return { kind: 'read', document: parsed.data, stored };
  const [issue] = parsed.error.issues;
  return damaged(
    `its content is not what version ${String(format.version)} holds: ` +
      `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  );
};

/** lowdb's adapter for the snapshot: checksummed envelope, versions, and a write that a crash cannot cut in half. */
class SnapshotAdapter<T> implements Adapter<T> {
  /** What the last read found, before any migration. */
  found: WholeStored | null = null;
  /** What the last write put there. */
  written: string | null = null;
  journal: JournalWriter | null = null;
  /** The snapshot whose journal has the commits that the next snapshot takes in. */
  private after: string | null = null;

  constructor(
    private readonly files: StoreFiles,
    private readonly options: StoreOptions<T>,
  ) {}

  async read(): Promise<T | null> {
    const read = await readDocument(this.files, this.options.path, this.options);
    if (read.kind === 'none') return null;
    if (read.kind === 'damaged') throw new Damage(read.why, read.before);
    this.found = read.stored;
    this.after = read.stored.snapshot;
    return read.document;
  }

  async write(document: T): Promise<void> {
    const { files, options } = this;
    const { text, sha256 } = sealEnvelope({
      version: options.version,
      savedAt: new Date(options.clock.now()).toISOString(),
      origin: 'commit',
      json: JSON.stringify(document),
    });
    await this.closeJournal();
    const header = { version: options.version, snapshot: sha256, after: this.after };
    const journal = await createJournal(files, options.path, header);
    await replaceFile(files, options.path, text);
    this.journal = journal;
    this.written = text;
    await removeOtherJournals(files, options.path, sha256);
  }

  /** What was committed in it is in the next snapshot. */
  async closeJournal(): Promise<void> {
    const { journal } = this;
    if (journal === null) return;
    this.journal = null;
    if (journal.records > 0) this.after = journal.snapshot;
    await journal.close();
  }
}

/** A journal smaller than this is not worth a snapshot, whatever its age or the snapshot's size. */
const leastJournalBytes = 1024 * 1024;
/** A journal grows to so many times its snapshot: writing the snapshot stays a small part of the work of commits. */
const journalPerSnapshot = 2;
/** The snapshot of a store in use is no older than this, or than its size divided by the pace below. */
const leastSnapshotAgeMs = 60_000;
const snapshotBytesPerMs = 64;

interface Group<T> {
  document: T;
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
}

const newGroup = <T>(document: T): Group<T> => {
  let resolve: () => void = () => undefined;
  let reject: (error: StoreError) => void = () => undefined;
  const done = new Promise<void>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { document, done, resolve, reject };
};

class FileStore<T> implements Store<T> {
  /** Commits that came while a write was under way: they become durable together, by one write. */
  private next: Group<T> | null = null;
  private writing: Promise<void> | null = null;
  private closing: Promise<void> | null = null;
  private snapshotAt = 0;

  constructor(
    private readonly db: Low<T>,
    /** What snapshot and journal hold together. */
    private durable: T,
    private readonly adapter: SnapshotAdapter<T>,
    private readonly options: StoreOptions<T>,
    private readonly files: StoreFiles,
    private readonly lock: Lock,
    private copyAt: number | null,
  ) {}

  commit(document: T): Promise<void> {
    if (this.closing !== null) {
      return Promise.reject(new StoreError(`The store ${this.options.path} is closed.`, null));
    }
    if (this.next === null) this.next = newGroup(document);
    else this.next.document = document;
    const { done } = this.next;
    this.writing ??= this.writeGroups();
    return done;
  }

  close(): Promise<void> {
    this.closing ??= (this.writing ?? Promise.resolve())
      .then(() => this.takeIn())
      .then(() => this.adapter.closeJournal())
      .then(() => this.lock.release());
    return this.closing;
  }

  /** A snapshot takes in what the journal has, once that is large or old enough to be worth it. */
  private snapshotIsDue(): boolean {
    const { journal, written } = this.adapter;
    if (journal?.usable !== true || written === null) return true;
    if (journal.bytes > Math.max(leastJournalBytes, journalPerSnapshot * written.length)) return true;
    if (this.copyIsDue()) return true;
    const age = Math.abs(this.options.clock.now() - this.snapshotAt);
    return age > Math.max(leastSnapshotAgeMs, written.length / snapshotBytesPerMs);
  }

  private async write(document: T): Promise<void> {
    if (this.snapshotIsDue()) {
      this.db.data = document;
      await this.db.write();
      this.snapshotAt = this.options.clock.now();
    } else {
      const patch = diff(this.durable, document);
      if (patch.length > 0)
        await this.adapter.journal?.append(new Date(this.options.clock.now()).toISOString(), patch);
    }
    this.durable = document;
  }

  /** So that what an operator finds after a stop is one file; the journal has it all if this cannot be done. */
  private async takeIn(): Promise<void> {
    if ((this.adapter.journal?.records ?? 0) === 0) return;
    this.db.data = this.durable;
    await this.db.write().catch(() => undefined);
  }

  private async writeGroups(): Promise<void> {
    // A turn of the event loop's queue, so that commits of the same moment share the first write too.
    await Promise.resolve();
    try {
      for (let group = this.next; group !== null; group = this.next) {
        this.next = null;
        try {
          await this.write(group.document);
          group.resolve();
        } catch (error) {
          group.reject(refusal(this.options.path, error));
          continue;
        }
        await this.renewCopy();
      }
    } finally {
      // In the same turn as the loop's last look: a commit between the two would wait for a write that never comes.
      this.writing = null;
    }
  }

  private copyIsDue(): boolean {
    return this.copyAt === null || Math.abs(this.options.clock.now() - this.copyAt) >= renewAfterMs;
  }

  private async renewCopy(): Promise<void> {
    if (!this.copyIsDue() || this.adapter.written === null) return;
    const now = this.options.clock.now();
    // Also after a failure: once an hour is often enough for a disk that is full.
    this.copyAt = now;
    try {
      await keepCopy(this.files, this.options.path, this.adapter.written);
    } catch (error) {
      this.options.onWarning?.(
        `The store's earlier copy ${generationPaths(this.options.path)[0]} could not be renewed: ${errorText(error)}`,
      );
    }
  }
}

const refusal = (path: string, error: unknown): StoreError => {
  const code = errorCode(error) ?? null;
  const advice =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'Free space there; work goes on by itself.'
      : code === 'EROFS'
        ? 'The file system has become read-only: look at the kernel log.'
        : code === 'EIO'
          ? 'The disk reports errors: look at the kernel log.'
          : 'The last saved state is still whole.';
  return new StoreError(`The store ${path} could not be written: ${errorText(error)}. ${advice}`, code);
};

/**
 * Opens the store for this process alone. Nothing is written to the document's file before the first commit,
 * and nothing at all when it cannot be understood.
 *
 * @throws StoreError when the directory refuses the lock file
 */
export const openStore = async <T>(options: StoreOptions<T>): Promise<OpenResult<T>> => {
  const files = options.files ?? nodeFiles;
  const { path } = options;
  const lockPath = `${path}.lock`;
  let locked;
  try {
    await files.makeDirectory(dirname(path));
    locked = await acquireLock(files, lockPath);
  } catch (error) {
    throw refusal(lockPath, error);
  }
  if (locked.kind === 'owned') return { kind: 'owned', pid: locked.pid, host: locked.host, path };
  try {
    const adapter = new SnapshotAdapter(files, options);
    const db = new Low<T>(adapter, options.initial());
    try {
      await db.read();
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      await locked.lock.release();
      return await damageReport(files, path, error.message, error.before);
    }
    await removeLeftovers(files, path, lockPath);
    await removeOtherJournals(files, path, adapter.found?.snapshot ?? null);
    const copyAt = await copyOnOpen(adapter, options, files);
    const store = new FileStore(db, db.data, adapter, options, files, locked.lock, copyAt);
    const document = db.data;
    return adapter.found === null
      ? { kind: 'created', store, document }
      : {
          kind: 'opened',
          ...{ store, document, restored: adapter.found.restored, cutOff: adapter.found.cutOff },
        };
  } catch (error) {
    await locked.lock.release();
    throw error;
  }
};

/** Before an older version is overwritten it becomes a copy, whatever the age of the one that is there. */
const copyOnOpen = async <T>(
  adapter: SnapshotAdapter<T>,
  options: StoreOptions<T>,
  files: StoreFiles,
): Promise<number | null> => {
  if (adapter.found === null) return null;
  try {
    const now = options.clock.now();
    const copyAt = await newestCopyAt(files, options.path);
    const recent = copyAt !== null && Math.abs(now - copyAt) < renewAfterMs;
    if (recent && adapter.found.version === options.version) return copyAt;
    const { version, savedAt, document, records, bytes } = adapter.found;
    const copy =
      records === 0 ? bytes : encode({ version, savedAt, origin: 'commit', json: JSON.stringify(document) });
    await keepCopy(files, options.path, copy);
    return now;
  } catch (error) {
    options.onWarning?.(`An earlier copy of ${options.path} could not be kept: ${errorText(error)}`);
    return null;
  }
};

const removeLeftovers = async (files: StoreFiles, path: string, lockPath: string): Promise<void> => {
  for (const target of [path, ...generationPaths(path)]) {
    await removeIfThere(files, temporaryOf(target)).catch(() => undefined);
  }
  const directory = dirname(path);
  for (const name of await files.list(directory).catch(() => [])) {
    if (isAbandonedDraft(name, basename(lockPath)) || isJournalDraft(name, basename(path))) {
      await removeIfThere(files, `${directory}/${name}`).catch(() => undefined);
    }
  }
};
