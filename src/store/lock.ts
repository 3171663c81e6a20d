import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { errorCode, readIfThere, removeIfThere, type StoreFiles } from './files.js';
import { isAlive, thisProcess } from './process-identity.js';

const lockContent = z.object({
  pid: z.int(),
  ticks: z.int(),
  boot: z.string(),
  host: z.string(),
  nonce: z.string(),
});

export interface Lock {
  release(): Promise<void>;
}

export type LockResult =
  | { readonly kind: 'locked'; readonly lock: Lock }
  | { readonly kind: 'owned'; readonly pid: number; readonly host: string };

/** Dead processes that died while they took over a lock, one inside the other, before an operator is asked. */
const deepestTakeover = 8;

/**
 * Takes the lock file at `path` for this process.
 *
 * The file appears whole (written aside, then linked), so that nobody ever reads half of it. A lock whose
 * owner is gone is replaced only by who holds `<path>.claim`, itself such a lock: without it, two processes
 * that find the same stale lock could each remove what the other has just put there.
 *
 * @throws system errors of the directory
 */
export const acquireLock = async (files: StoreFiles, path: string, depth = 0): Promise<LockResult> => {
  const content = JSON.stringify({ ...thisProcess(), nonce: randomBytes(8).toString('hex') });
  const draft = `${path}.${String(process.pid)}-${randomBytes(4).toString('hex')}.tmp`;
  const file = await files.create(draft);
  try {
    await file.write(content).finally(() => file.close());
    for (;;) {
      try {
        await files.link(draft, path);
        return { kind: 'locked', lock: lockOf(files, path, content) };
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
      }
      const found = await readIfThere(files, path);
      if (found === null) continue;
      const owner = ownerIn(found);
      if (owner !== null && isAlive(owner)) return { kind: 'owned', pid: owner.pid, host: owner.host };
      if (depth === deepestTakeover) throw new Error(`${path}: too many abandoned locks; remove ${path}*`);
      const claim = await acquireLock(files, `${path}.claim`, depth + 1);
      if (claim.kind === 'owned') return claim;
      try {
        const now = await readIfThere(files, path);
        if (now === null || !now.equals(found)) continue;
        await files.rename(draft, path);
        return { kind: 'locked', lock: lockOf(files, path, content) };
      } finally {
        await claim.lock.release();
      }
    }
  } finally {
    await removeIfThere(files, draft);
  }
};

/** Null for what no process of ours wrote whole: a lock is linked only when complete, so its writer is gone. */
const ownerIn = (bytes: Buffer): z.infer<typeof lockContent> | null => {
  try {
    return lockContent.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    return null;
  }
};

const lockOf = (files: StoreFiles, path: string, content: string): Lock => ({
  release: async () => {
    // Somebody may have removed it by hand and started another owner: that one's lock is not ours to remove.
    const found = await readIfThere(files, path);
    if (found?.toString('utf8') === content) await removeIfThere(files, path);
  },
});

/** Drafts of lock files whose writers died before they linked them. */
export const isAbandonedDraft = (name: string, lockName: string): boolean => {
  if (!name.startsWith(`${lockName}.`)) return false;
  const pid = /\.(\d+)-[0-9a-f]{8}\.tmp$/.exec(name)?.[1];
  if (pid === undefined || Number(pid) === process.pid) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return errorCode(error) === 'ESRCH';
  }
};
