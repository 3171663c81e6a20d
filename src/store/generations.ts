import { dirname } from 'node:path';
import { decode } from './envelope.js';
import { readIfThere, removeIfThere, replaceFile, type StoreFiles } from './files.js';

/** Earlier good copies, newest first. Two: the newer may carry the same mistake as the store itself. */
export const generationPaths = (path: string): readonly [string, string] => [`${path}.1`, `${path}.2`];

/** Age of the newest copy at which it is renewed. */
export const renewAfterMs = 60 * 60 * 1000;

/** When the newest copy was saved, null when there is none that can be read. */
export const newestCopyAt = async (files: StoreFiles, path: string): Promise<number | null> => {
  const bytes = await readIfThere(files, generationPaths(path)[0]);
  const decoded = bytes === null ? null : decode(bytes);
  if (decoded?.ok !== true) return null;
  const at = Date.parse(decoded.envelope.savedAt);
  return Number.isNaN(at) ? null : at;
};

/**
 * Keeps `text`, known to be good, as the newest copy. Copies and not hard links: an editor or a bad block that
 * changes the store's file in place would change the link with it.
 */
export const keepCopy = async (files: StoreFiles, path: string, text: string | Buffer): Promise<void> => {
  const [newest, older] = generationPaths(path);
  const present = await readIfThere(files, newest);
  if (present !== null && present.equals(Buffer.from(text))) return;
  // A copy that is itself damaged must not push out a good older one.
  if (present !== null && decode(present).ok) await replaceFile(files, older, present);
  await replaceFile(files, newest, text);
};

export interface Copy {
  readonly path: string;
  readonly savedAt: string;
  readonly version: number;
}

/** Earlier copies that are whole, newest first. */
export const goodCopies = async (files: StoreFiles, path: string): Promise<readonly Copy[]> => {
  const copies: Copy[] = [];
  for (const candidate of generationPaths(path)) {
    const bytes = await readIfThere(files, candidate).catch(() => null);
    const decoded = bytes === null ? null : decode(bytes);
    if (decoded?.ok === true) {
      copies.push({
        path: candidate,
        savedAt: decoded.envelope.savedAt,
        version: decoded.envelope.version,
      });
    }
  }
  return copies;
};

/** Moves the store's file and its copies aside, under names that nothing reads; tells the new names. */
export const setAside = async (
  files: StoreFiles,
  paths: readonly string[],
  stamp: string,
): Promise<readonly string[]> => {
  const moved: string[] = [];
  for (const path of paths) {
    if ((await readIfThere(files, path).catch(() => Buffer.alloc(0))) === null) continue;
    const target = `${path}.aside-${stamp}`;
    await removeIfThere(files, target);
    await files.rename(path, target);
    moved.push(target);
  }
  const [first] = paths;
  if (first !== undefined) await files.syncDirectory(dirname(first));
  return moved;
};
