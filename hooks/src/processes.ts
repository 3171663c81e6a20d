import { readdirSync, readFileSync } from 'node:fs';

/** A process for good: pids are used again, a pid with its start time (clock ticks since boot) is not. */
export interface ProcessId {
  readonly pid: number;
  readonly ticks: number;
}

export interface ProcessStat extends ProcessId {
  readonly parent: number;
  readonly session: number;
  readonly zombie: boolean;
}

/** Fields of /proc/PID/stat; the command's name may hold blanks and brackets, so counting begins behind it. */
export function parseStat(text: string): ProcessStat | null {
  const end = text.lastIndexOf(')');
  const fields = text.slice(end + 2).split(' ');
  const pid = Number.parseInt(text, 10);
  const [state, parent, , session] = fields;
  const ticks = Number(fields[19]);
  if (end < 0 || !Number.isInteger(pid) || !Number.isInteger(ticks) || state === undefined) return null;
  return {
    pid,
    ticks,
    parent: Number(parent),
    session: Number(session),
    // One whose first thread has ended looks like one, but for its other threads.
    zombie: (state === 'Z' && !(Number(fields[17]) > 1)) || state === 'X',
  };
}

export function statOf(pid: number | 'self'): ProcessStat | null {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return null;
  }
}

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

export function alive(id: ProcessId): boolean {
  const stat = statOf(id.pid);
  return stat !== null && stat.ticks === id.ticks && !stat.zombie;
}

/** Sends the signal if the pid still is that very process. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): boolean {
  if (id.pid <= 1 || !alive(id)) return false;
  try {
    process.kill(id.pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Processes of `uid` whose command line names `path`: what a job starter that was killed has left. */
export function leftovers(uid: number, path: string): ProcessId[] {
  const found: ProcessId[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${name}/cmdline`, 'latin1').includes(path)) continue;
      const owner = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'latin1'))?.[1];
      const stat = statOf(Number(name));
      if (owner === String(uid) && stat !== null && !stat.zombie) found.push(stat);
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}
