import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { projectName } from './options.js';
import type { Run } from './runs.js';

/** A stack's lock as the self-managed backends write it. */
export interface StackLock {
  readonly pid: number;
  readonly username: string;
  readonly hostname: string;
  readonly timestamp: string;
}

const lockSchema = z.object({
  pid: z.number(),
  username: z.string(),
  hostname: z.string(),
  timestamp: z.string(),
}) satisfies z.ZodType<StackLock>;

/** Ours to break: written on this host by a process that this engine started for this stack and that is gone. */
export const isStaleLockOfOurs = (
  lock: Pick<StackLock, 'pid' | 'hostname'>,
  host: string,
  deadRuns: readonly Run[],
): boolean => lock.hostname === host && deadRuns.some((run) => run.process.pid === lock.pid);

export const describeLock = (lock: Pick<StackLock, 'pid' | 'username' | 'hostname' | 'timestamp'>): string =>
  `${lock.username}@${lock.hostname} (pid ${String(lock.pid)}) since ${lock.timestamp}`;

export const busyMessage = (stack: string, locks: readonly StackLock[]): string =>
  `stack ${stack} is locked by ${locks.map(describeLock).join(', ')}: nothing is done to it until that update ends. ` +
  `If that process is gone, release the stack with \`pulumi cancel --stack ${stack}\``;

/**
 * A lock is written beside its place (`<lock>.json.<time>.tmp`) and renamed, which takes no time at all; one that lies
 * there for longer was left by a `pulumi` that was killed in between. Pulumi reads it like a lock and then refuses every
 * command (`unexpected end of JSON input`), and `cancel` as well. It never became a lock, so nobody holds the stack by it.
 */
const halfWrittenName = /\.json\.[0-9a-f]+\.tmp$/;
const halfWrittenAfterMs = 2000;

const isHalfWritten = (path: string, nowMs: number): boolean => {
  if (!halfWrittenName.test(path)) {
    return false;
  }
  const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  // Of a clock that was set back since, the distance says the same.
  return written !== undefined && Math.abs(nowMs - written) > halfWrittenAfterMs;
};

/** Breaks our stale locks in a `file://` backend, and what never became one, and returns those that are left. */
export const breakFileLocks = (
  backendDirectory: string,
  stack: string,
  host: string,
  deadRuns: readonly Run[],
  nowMs = Date.now(),
): readonly StackLock[] => {
  const directory = join(backendDirectory, '.pulumi', 'locks', 'organization', projectName, stack);
  const left: StackLock[] = [];
  for (const name of listing(directory)) {
    const path = join(directory, name);
    if (isHalfWritten(path, nowMs)) {
      rmSync(path, { force: true });
    }
    if (!name.endsWith('.json')) {
      continue;
    }
    const lock = readLock(path);
    if (lock === 'gone') {
      continue;
    }
    if (lock !== 'unreadable' && isStaleLockOfOurs(lock, host, deadRuns)) {
      rmSync(path, { force: true });
      rmSync(`${path}.attrs`, { force: true });
    } else {
      left.push(
        lock === 'unreadable' ? { pid: 0, username: 'unknown', hostname: path, timestamp: 'unknown' } : lock,
      );
    }
  }
  return left;
};

const listing = (directory: string): readonly string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};

const readLock = (path: string): StackLock | 'gone' | 'unreadable' => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return 'gone';
  }
  try {
    return lockSchema.parse(JSON.parse(text));
  } catch {
    return 'unreadable';
  }
};

/** The locks that Pulumi's own message names: the only way to see those of a backend that is no directory. */
export const locksInMessage = (message: string): readonly StackLock[] =>
  message.includes('the stack is currently locked by')
    ? [...message.matchAll(/created by (\S+?)@(\S+) \(pid (\d+)\) at (\S+)/g)].map((found) => ({
        username: found[1] ?? '',
        hostname: found[2] ?? '',
        pid: Number(found[3]),
        timestamp: found[4] ?? '',
      }))
    : [];
