import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** What a command says, and its exit code (256: a signal's). */
export function collect(child: ChildProcess): Promise<{ code: number; stdout: string; stderr: string }> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (part: Buffer) => out.push(part));
  child.stderr?.on('data', (part: Buffer) => err.push(part));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      resolve({
        code: code ?? 256,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      }),
    );
  });
}

const numbers: Readonly<Record<string, number>> = {
  SIGTERM: 15,
  SIGKILL: 9,
  SIGINT: 2,
  SIGHUP: 1,
  SIGUSR1: 10,
};
export const signalNumber = (signal: string | null): number => numbers[signal ?? ''] ?? 9;

/** Pids of the session's live processes. */
export function sessionMembers(session: number): number[] {
  if (session <= 1) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        const [state, , , its] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return Number(its) === session && state !== 'Z';
      } catch {
        return false;
      }
    });
}
