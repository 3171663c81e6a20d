import { constants } from 'node:fs';
import { link, mkdir, open, readFile, readdir, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** An open file that is being written. */
export interface OpenFile {
  write(data: string | Buffer): Promise<void>;
  /** Returns when the data is on the disk, not only in the page cache. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The few calls that the store needs of a file system; tests put one in between that fails at each of them. */
export interface StoreFiles {
  read(path: string): Promise<Buffer>;
  /** Empties or creates the file, mode 0600, never through a symbolic link. */
  create(path: string): Promise<OpenFile>;
  /** Opens for writing at the end, mode 0600 when created. */
  append(path: string): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  link(existing: string, created: string): Promise<void>;
  remove(path: string): Promise<void>;
  list(directory: string): Promise<readonly string[]>;
  makeDirectory(path: string): Promise<void>;
  /** Makes a rename in that directory durable. */
  syncDirectory(path: string): Promise<void>;
}

const openForWriting = async (path: string, flags: number): Promise<OpenFile> => {
  const handle = await open(path, flags | constants.O_NOFOLLOW, 0o600);
  return {
    write: (data) => handle.writeFile(data),
    // The length belongs to what fdatasync makes durable (POSIX); times, which nobody reads, do not.
    sync: () => handle.datasync(),
    close: () => handle.close(),
  };
};

/** The real file system. */
export const nodeFiles: StoreFiles = {
  read: (path) => readFile(path),
  create: (path) => openForWriting(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC),
  append: (path) => openForWriting(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND),
  rename,
  link,
  remove: unlink,
  list: (directory) => readdir(directory),
  makeDirectory: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  syncDirectory: async (path) => {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

/**
 * The `code` of a system error (`ENOENT`), or undefined for anything else. By shape and not by class: an error
 * made in another realm (a worker, a test runner's sandbox) is of another `Error` class.
 */
export const errorCode = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;

export const errorText = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);

/** Reads a file; null when there is none. */
export const readIfThere = async (files: StoreFiles, path: string): Promise<Buffer | null> => {
  try {
    return await files.read(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
};

/** Removes a file; one that is not there is as good as removed. */
export const removeIfThere = async (files: StoreFiles, path: string): Promise<void> => {
  try {
    await files.remove(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
};

export const temporaryOf = (path: string): string => `${path}.tmp`;

/**
 * Puts `text` in the place of `path`: whoever reads it, at whatever moment of a crash, finds the old file or
 * the new one, each whole. When this throws, either may be there; the next call starts from nothing again,
 * because after a failed fsync the kernel may have dropped pages that it still shows as written.
 */
export const replaceFile = async (files: StoreFiles, path: string, text: string | Buffer): Promise<void> => {
  const temporary = temporaryOf(path);
  try {
    const file = await files.create(temporary);
    try {
      await file.write(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(temporary, path);
  } catch (error) {
    // On a full disk the half-written file is what stands in the way of everything else.
    await removeIfThere(files, temporary).catch(() => undefined);
    throw error;
  }
  await files.syncDirectory(dirname(path));
};
