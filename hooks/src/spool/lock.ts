import { spawn } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';

export type Held = { readonly release: () => void };

/**
 * An exclusive lock on a file, held by this process alone. The lock is flock(2)'s on our own open file: flock(1)
 * only sets it and leaves. So the kernel frees it when we end, however we end, and no stale lock can exist.
 * Null: somebody else had it for the whole time.
 */
export async function lock(path: string, waitMs: number): Promise<Held | null> {
  const until = performance.now() + waitMs;
  for (;;) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    const rest = Math.max(0, (until - performance.now()) / 1000).toFixed(2);
    const code = await new Promise<number | null>((resolve, reject) => {
      const child = spawn('flock', ['-x', '-w', rest, '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
      child.once('error', reject).once('exit', resolve);
    });
    if (code !== 0) {
      closeSync(fd);
      return null;
    }
    // Cleaning removes lock files: one that is no longer at its path guards nothing.
    const here = statSync(path, { throwIfNoEntry: false });
    if (here?.ino === fstatSync(fd).ino) return { release: () => closeSync(fd) };
    closeSync(fd);
  }
}
