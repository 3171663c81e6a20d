import { basename, dirname } from 'node:path';
import { Low, type Adapter } from 'lowdb';
import type { z } from 'zod';
import { decode, encode } from './envelope.js';
import {
  errorCode,
  errorText,
  nodeFiles,
  readIfThere,
  removeIfThere,
  replaceFile,
  temporaryOf,
  type StoreFiles,
} from './files.js';
import { generationPaths, goodCopies, keepCopy, newestCopyAt, renewAfterMs } from './generations.js';
import { acquireLock, isAbandonedDraft, type Lock } from './lock.js';
import { migrate, type Migrations } from './migrations.js';
import { StoreError, type OpenResult, type Store } from './port.js';
import { damageReport } from './recovery-advice.js';

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
  readonly initial: () => T;
  readonly clock: StoreClock;
  /** Told of trouble that costs no data, such as an earlier copy that could not be renewed. */
  readonly onWarning?: (message: string) => void;
  readonly files?: StoreFiles;
}

/** The file cannot be understood: what is told to the operator. */
class Damage extends Error {}

/** The checksum says that it is what was written; this says that it was JSON. */
const parsedJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new Damage('its checksum is right, but what it holds is not JSON');
  }
};

/** lowdb's adapter: checksummed envelope, versions, and a write that a crash cannot cut in half. */
class EnvelopeAdapter<T> implements Adapter<T> {
  /** What the last read found, before any migration. */
  found: { readonly bytes: Buffer; readonly version: number; readonly restored: boolean } | null = null;
  /** What the last write put there. */
  written: string | null = null;

  constructor(
    private readonly files: StoreFiles,
    private readonly options: StoreOptions<T>,
  ) {}

  async read(): Promise<T | null> {
    const bytes = await readIfThere(this.files, this.options.path).catch((error: unknown) => {
      throw new Damage(`it cannot be read (${errorText(error)})`);
    });
    if (bytes === null) {
      const copies = await goodCopies(this.files, this.options.path);
      if (copies.length === 0) return null;
      throw new Damage('the file is gone, while earlier copies of it are still there');
    }
    const decoded = decode(bytes);
    if (!decoded.ok) throw new Damage(decoded.why);
    const { envelope } = decoded;
    const migrated = migrate(
      parsedJson(envelope.json),
      envelope.version,
      this.options.version,
      this.options.migrations,
    );
    if (!migrated.ok) throw new Damage(migrated.why);
    const parsed = this.options.schema.safeParse(migrated.document);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new Damage(
        `its content is not what version ${String(this.options.version)} holds: ` +
          `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
      );
    }
    this.found = { bytes, version: envelope.version, restored: envelope.origin === 'restored' };
    return parsed.data;
  }

  async write(document: T): Promise<void> {
    const text = encode({
      version: this.options.version,
      savedAt: new Date(this.options.clock.now()).toISOString(),
      origin: 'commit',
      json: JSON.stringify(document),
    });
    await replaceFile(this.files, this.options.path, text);
    this.written = text;
  }
}

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

  constructor(
    private readonly db: Low<T>,
    private readonly adapter: EnvelopeAdapter<T>,
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
    this.closing ??= (this.writing ?? Promise.resolve()).then(() => this.lock.release());
    return this.closing;
  }

  private async writeGroups(): Promise<void> {
    // A turn of the event loop's queue, so that commits of the same moment share the first write too.
    await Promise.resolve();
    try {
      for (let group = this.next; group !== null; group = this.next) {
        this.next = null;
        try {
          this.db.data = group.document;
          await this.db.write();
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

  private async renewCopy(): Promise<void> {
    const now = this.options.clock.now();
    if (this.copyAt !== null && Math.abs(now - this.copyAt) < renewAfterMs) return;
    if (this.adapter.written === null) return;
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
    const adapter = new EnvelopeAdapter(files, options);
    const db = new Low<T>(adapter, options.initial());
    try {
      await db.read();
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      await locked.lock.release();
      return await damageReport(files, path, error.message);
    }
    await removeLeftovers(files, path, lockPath);
    const copyAt = await copyOnOpen(adapter, options, files);
    const store = new FileStore(db, adapter, options, files, locked.lock, copyAt);
    const document = db.data;
    return adapter.found === null
      ? { kind: 'created', store, document }
      : { kind: 'opened', store, document, restored: adapter.found.restored };
  } catch (error) {
    await locked.lock.release();
    throw error;
  }
};

/** Before an older version is overwritten it becomes a copy, whatever the age of the one that is there. */
const copyOnOpen = async <T>(
  adapter: EnvelopeAdapter<T>,
  options: StoreOptions<T>,
  files: StoreFiles,
): Promise<number | null> => {
  if (adapter.found === null) return null;
  try {
    const now = options.clock.now();
    const copyAt = await newestCopyAt(files, options.path);
    const recent = copyAt !== null && Math.abs(now - copyAt) < renewAfterMs;
    if (recent && adapter.found.version === options.version) return copyAt;
    await keepCopy(files, options.path, adapter.found.bytes);
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
    if (isAbandonedDraft(name, basename(lockPath))) {
      await removeIfThere(files, `${directory}/${name}`).catch(() => undefined);
    }
  }
};
