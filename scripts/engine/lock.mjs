/** A lock file between processes that must not do the same at the same time: set-ups, and runs of one test suite. */
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** An owner on another machine (a cache on a shared file system) cannot be looked at: after this it counts as gone. */
const foreignOwnerMaxMs = 60 * 60 * 1000;
const takeOverPauseMs = 20;
/** Taking over is two file operations. */
const takeOverMaxMs = 10_000;
/** Tells apart those that one process waits for at the same time. */
let asked = 0;

/**
 * Takes the lock, waiting while a live process holds it, and gives the function that releases it. `what` holds it, in
 * words. Throws when it is still held after `waitMs`, and an AbortError as soon as `signal` fires.
 */
export async function takeLock(file, { waitMs, say, pollMs = 500, what = 'set-up', signal }) {
  mkdirSync(dirname(file), { recursive: true });
  const mine = `${file}.${process.pid}-${(asked += 1)}`;
  const owner = { pid: process.pid, started: startOf(process.pid), host: hostname(), since: Date.now() };
  writeFileSync(mine, JSON.stringify(owner));
  const deadline = performance.now() + waitMs;
  let told = false;
  try {
    for (;;) {
      try {
        // A link appears with its content at once: nobody ever reads half an owner.
        linkSync(mine, file);
        return () => release(file, owner);
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const holder = read(file);
      if (holder === undefined) continue;
      if (isGone(holder)) {
        say(`taking over the lock of a ${what} that ended without releasing it (pid ${holder.pid})`);
        takeOver(file, holder);
        await sleep(takeOverPauseMs);
        continue;
      }
      if (performance.now() > deadline) {
        throw new Error(
          `Another ${what} (pid ${holder.pid} on ${holder.host}) still holds ${file}. ` +
            `Wait for it or end it, then try again.`,
        );
      }
      if (!told) say(`waiting for another ${what} (pid ${holder.pid})`);
      told = true;
      await sleep(pollMs, undefined, { signal });
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

/**
 * Removes a lock whose owner is gone. Only one of those who found it stale may: a second one, late, would remove the
 * lock that the first has taken since.
 */
function takeOver(file, holder) {
  const turn = `${file}.takeover`;
  try {
    mkdirSync(turn);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    // Whoever had the turn was killed in it.
    if (Date.now() - (statSync(turn, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) > takeOverMaxMs) {
      rmSync(turn, { recursive: true, force: true });
    }
    return;
  }
  try {
    release(file, holder);
  } finally {
    rmSync(turn, { recursive: true, force: true });
  }
}

/** Removes the lock if it is still the one of this owner. */
function release(file, owner) {
  const holder = read(file);
  if (holder !== undefined && holder.pid === owner.pid && holder.since === owner.since) {
    try {
      unlinkSync(file);
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
}

function read(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    if (error instanceof SyntaxError) return { pid: 0, started: '', host: hostname(), since: undefined };
    throw error;
  }
}

/** A process is gone when its pid is free, or belongs to a process that started at another time. */
function isGone(holder) {
  if (holder.host !== hostname()) return Date.now() - holder.since > foreignOwnerMaxMs;
  if (!(holder.pid > 0)) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (error.code === 'ESRCH') return true;
  }
  return holder.started !== startOf(holder.pid);
}

/** When a process started, in the kernel's clock ticks ('' where there is no /proc). */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
