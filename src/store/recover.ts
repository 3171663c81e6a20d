import { dirname } from 'node:path';
import { decode, encode, type Envelope } from './envelope.js';
import { nodeFiles, replaceFile, type StoreFiles } from './files.js';
import { generationPaths, goodCopies, setAside } from './generations.js';
import { journalsOf } from './journal.js';
import { acquireLock } from './lock.js';
import type { StoreClock } from './store.js';
import { readStored } from './stored.js';

export interface RecoverOptions {
  readonly path: string;
  /**
   * `backup`: put the newest good copy back. `cloud`: start from nothing, the VMs are found in the cloud. An envelope:
   * put that document back, which was kept elsewhere.
   */
  readonly from: 'backup' | 'cloud' | Envelope;
  readonly clock: StoreClock;
  /** Done first, while no service can start on the store. What it throws leaves the store as it is. */
  readonly before?: () => Promise<void>;
  /** As for `openStore`. */
  readonly journalSince: number;
  readonly files?: StoreFiles;
}

export type RecoverResult =
  | {
      readonly kind: 'recovered';
      /** Where the files that stood in the way are now. */
      readonly setAside: readonly string[];
      /** The copy that was put back (or the envelope, at the store's own path), null with `from: 'cloud'`. */
      readonly restored: { readonly path: string; readonly savedAt: string } | null;
    }
  | { readonly kind: 'no-backup'; readonly detail: string }
  | { readonly kind: 'owned'; readonly pid: number };

/** What the damaged files hold before the damage is newer than any copy; it stays what it was when they are whole. */
const newestGood = async (
  files: StoreFiles,
  path: string,
  journalSince: number,
): Promise<{ readonly path: string; readonly envelope: Envelope } | null> => {
  const stored = await readStored(files, path, journalSince);
  if (stored.kind === 'damaged' && stored.before !== null) return { path, envelope: stored.before };
  const [copy] = await goodCopies(files, path);
  const decoded = copy === undefined ? null : decode(await files.read(copy.path));
  return copy !== undefined && decoded?.ok === true ? { path: copy.path, envelope: decoded.envelope } : null;
};

/**
 * What `vmpool recover` does, on an operator's order only. Removes nothing: what stood there gets another
 * name. The next `openStore` gives the restored document (`restored: true`) or the initial one (`created`).
 */
export const recoverStore = async (options: RecoverOptions): Promise<RecoverResult> => {
  const files = options.files ?? nodeFiles;
  const { path } = options;
  await files.makeDirectory(dirname(path));
  const locked = await acquireLock(files, `${path}.lock`);
  if (locked.kind === 'owned') return { kind: 'owned', pid: locked.pid };
  try {
    await options.before?.();
    const stamp = new Date(options.clock.now()).toISOString().replaceAll(':', '');
    if (options.from === 'cloud') {
      const journals = await journalsOf(files, path);
      const moved = await setAside(files, [path, ...journals, ...generationPaths(path)], stamp);
      return { kind: 'recovered', setAside: moved, restored: null };
    }
    if (options.from !== 'backup') {
      const moved = await setAside(files, [path, ...(await journalsOf(files, path))], stamp);
      await replaceFile(files, path, encode({ ...options.from, origin: 'restored' }));
      return { kind: 'recovered', setAside: moved, restored: { path, savedAt: options.from.savedAt } };
    }
    const found = await newestGood(files, path, options.journalSince);
    if (found === null) {
      return {
        kind: 'no-backup',
        detail: `Neither ${generationPaths(path).join(' nor ')} is whole. Use --from-cloud.`,
      };
    }
    const moved = await setAside(files, [path, ...(await journalsOf(files, path))], stamp);
    await replaceFile(files, path, encode({ ...found.envelope, origin: 'restored' }));
    const { savedAt } = found.envelope;
    return { kind: 'recovered', setAside: moved, restored: { path: found.path, savedAt } };
  } finally {
    await locked.lock.release();
  }
};
