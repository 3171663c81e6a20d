import { spawn } from 'node:child_process';

export interface RunAs {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** Arguments that turn a command of root's into the user's, with all their groups and none of root's. */
export function asUser(who: RunAs, command: readonly string[]): [string, string[]] {
  const groups = [...new Set([who.gid, ...who.groups])].join(',');
  return [
    'setpriv',
    [`--reuid=${who.uid}`, `--regid=${who.gid}`, `--groups=${groups}`, '--no-new-privs', '--', ...command],
  ];
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs to the end with a time limit, in a session of its own that is ended as a whole when the time is over. */
export function runToEnd(
  command: string,
  args: readonly string[],
  options: { readonly limitMs: number; readonly input?: string; readonly env?: NodeJS.ProcessEnv },
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, [...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      cwd: '/',
      env: options.env ?? { PATH: '/usr/bin:/bin' },
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => out.push(part));
    child.stderr.on('data', (part: Buffer) => err.push(part));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    const timer = setTimeout(() => {
      err.push(Buffer.from(`no end within ${Math.round(options.limitMs / 1000)} s`));
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, options.limitMs);
    const finish = (code: number | null): void => {
      clearTimeout(timer);
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString().trim() });
    };
    child.once('error', (error) => {
      err.push(Buffer.from(error.message));
      finish(null);
    });
    child.once('close', finish);
  });
}
