import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { markVariable, runVariable } from './environment.js';

export interface MarkedProcess {
  readonly pid: number;
  /** Base name of what was executed. */
  readonly program: string;
}

/** Is the variable set to exactly that value in the text of a `/proc/<pid>/environ`? */
export const carriesMark = (environ: string, mark: string, variable = markVariable): boolean =>
  environ.split('\0').includes(`${variable}=${mark}`);

/** Processes that were started with this engine's mark, this one itself excepted. */
export const markedProcesses = (mark: string, variable = markVariable): readonly MarkedProcess[] => {
  const found: MarkedProcess[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isSafeInteger(pid) || pid === process.pid) {
      continue;
    }
    try {
      if (carriesMark(readFileSync(`/proc/${name}/environ`, 'utf8'), mark, variable)) {
        const program = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')[0] ?? '';
        found.push({ pid, program: basename(program) });
      }
    } catch {
      // Gone in the meantime, or another user's: not ours.
    }
  }
  return found;
};

/**
 * Ends what an earlier engine left behind. Its own process first, at once. A `pulumi` is asked to stop: it
 * starts nothing new, finishes what it waits for and writes its state, which saves the creates under way. What
 * is still there after the grace is killed.
 */
export const endOrphans = async (mark: string, graceMs: number): Promise<readonly MarkedProcess[]> => {
  const orphans = markedProcesses(mark);
  for (const { pid, program } of orphans) {
    if (program === 'pulumi') {
      endProcess(pid, 'SIGINT');
    } else if (!program.startsWith('pulumi-')) {
      endProcess(pid, 'SIGKILL');
    }
  }
  const pollMs = 100;
  for (let waited = 0; waited < graceMs && markedProcesses(mark).length > 0; waited += pollMs) {
    await sleep(pollMs);
  }
  const killRounds = 50;
  for (let round = 0; round < killRounds; round += 1) {
    const left = markedProcesses(mark);
    if (left.length === 0) {
      return orphans;
    }
    for (const { pid } of left) {
      endProcess(pid, 'SIGKILL');
    }
    await sleep(pollMs);
  }
  throw new Error(
    `processes of an earlier engine cannot be ended: ${markedProcesses(mark)
      .map(({ pid, program }) => `${program} (pid ${String(pid)})`)
      .join(', ')}`,
  );
};

/** Ends at once what a killed `pulumi` of this engine left: a plugin may be about to make one more server. */
export const endRun = (run: string): void => {
  for (const { pid } of markedProcesses(run, runVariable)) {
    endProcess(pid, 'SIGKILL');
  }
};

/** A process that is gone already is no error. */
export const endProcess = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
};
