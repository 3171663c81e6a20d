import { dirname } from 'node:path';
import { decode, encode, type Envelope } from './envelope.js';
import { nodeFiles, replaceFile, type StoreFiles } from './files.js';
import { generationPaths, goodCopies, setAside } from './generations.js';
import { acquireLock } from './lock.js';
import type { StoreClock } from './store.js';

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
      const moved = await setAside(files, [path, ...generationPaths(path)], stamp);
      return { kind: 'recovered', setAside: moved, restored: null };
    }
    if (options.from !== 'backup') {
      const moved = await setAside(files, [path], stamp);
      await replaceFile(files, path, encode({ ...options.from, origin: 'restored' }));
      return { kind: 'recovered', setAside: moved, restored: { path, savedAt: options.from.savedAt } };
    }
    const [copy] = await goodCopies(files, path);
    const decoded = copy === undefined ? null : decode(await files.read(copy.path));
    if (copy === undefined || decoded?.ok !== true) {
      return {
        kind: 'no-backup',
        detail: `Neither ${generationPaths(path).join(' nor ')} is whole. Use --from-cloud.`,
      };
    }
    const moved = await setAside(files, [path], stamp);
    await replaceFile(files, path, encode({ ...decoded.envelope, origin: 'restored' }));
    return { kind: 'recovered', setAside: moved, restored: { path: copy.path, savedAt: copy.savedAt } };
  } finally {
    await locked.lock.release();
  }
};
