import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** A process, told apart from a later one with the same pid, and from one before a reboot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since boot: field 22 of /proc/<pid>/stat. */
  readonly ticks: number;
  /** /proc/sys/kernel/random/boot_id */
  readonly boot: string;
  readonly host: string;
}

/** Start ticks of a process, null when there is none (or it is a zombie, which holds nothing any more). */
export const startTicksOf = (pid: number): number | null => {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  } catch {
    return null;
  }
  // The command's name stands in parentheses and may hold anything, parentheses included.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, ticks] = [fields[0], Number(fields[19])];
  if (state === 'Z' || state === 'X' || !Number.isSafeInteger(ticks)) return null;
  return ticks;
};

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

export const thisProcess = (): ProcessIdentity => ({
  pid: process.pid,
  ticks: startTicksOf(process.pid) ?? 0,
  boot: bootId(),
  host: hostname(),
});

/**
 * Does that process still live? Of another machine (another host name and another boot) nothing can be known,
 * so it counts as alive: two owners of one store would be worse than an operator's look.
 */
export const isAlive = (identity: ProcessIdentity): boolean => {
  if (identity.boot !== bootId()) return identity.host !== hostname();
  return startTicksOf(identity.pid) === identity.ticks;
};
