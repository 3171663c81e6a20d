import { spawn, type ChildProcess } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  appendFileSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An account of the sandbox. */
export interface SandboxUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly { readonly name: string; readonly gid: number }[];
  readonly home: string;
  readonly shell: string;
}

const setUp = (directory: string): string => `
set -e
mount -t tmpfs -o mode=755 sandbox ${directory}
for d in etc var usr/local; do
  n=$(echo $d | tr / -); mkdir -p ${directory}/$n.up ${directory}/$n.work
  mount -t overlay overlay -o lowerdir=/$d,upperdir=${directory}/$n.up,workdir=${directory}/$n.work /$d
done
mount -t tmpfs -o mode=755 home /home
mount -t tmpfs -o mode=1777 tmp /tmp
`;

/**
 * A machine of sorts: the host's programs, processes and network, but accounts, /etc, /var, /home and /tmp of its
 * own. All of it is gone with its last process; nothing of it was ever on the host. Needs root.
 */
export class WorkerSandbox {
  private constructor(
    private readonly child: ChildProcess,
    /** Its files' place, unique on this machine, which each of its processes shows among its mounts. */
    readonly directory: string,
    readonly pid: number,
  ) {}

  static async start(): Promise<WorkerSandbox> {
    const directory = mkdtempSync(join(tmpdir(), 'vmpool-worker-'));
    // `cat` ends with its standard input, and so with us.
    const child = spawn(
      'unshare',
      ['-m', '--propagation', 'private', 'sh', '-c', `${setUp(directory)}\necho ready; exec cat`],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`the worker sandbox ended with ${code}: is this root?`)));
    });
    return new WorkerSandbox(child, directory, child.pid ?? 0);
  }

  /** The sandbox's files as seen from outside. */
  get root(): string {
    return `/proc/${this.pid}/root`;
  }
  path(inside: string): string {
    return join(this.root, inside);
  }
  /** Puts a command into the sandbox; its pid stays the one that was spawned. */
  enter(...command: string[]): [string, string[]] {
    return ['nsenter', ['-t', String(this.pid), '-m', '--', ...command]];
  }

  addUser(user: SandboxUser): void {
    appendFileSync(
      this.path('/etc/passwd'),
      `${user.name}:x:${user.uid}:${user.gid}::${user.home}:${user.shell}\n`,
    );
    for (const group of user.groups)
      appendFileSync(this.path('/etc/group'), `${group.name}:x:${group.gid}:${user.name}\n`);
    mkdirSync(this.path(user.home), { recursive: true, mode: 0o700 });
    chownSync(this.path(user.home), user.uid, user.gid);
  }

  /** Every process of it ends, and the next that look find another boot id. */
  reboot(): void {
    const mine = readlinkSync(`/proc/${this.pid}/ns/mnt`);
    for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one) && Number(one) !== this.pid))
      try {
        if (readlinkSync(`/proc/${name}/ns/mnt`) === mine) process.kill(Number(name), 'SIGKILL');
      } catch {
        // It has ended, or is the kernel's.
      }
    writeFileSync(this.path('/etc/boot-id'), `${randomUUID()}\n`);
    const [command, args] = this.enter('mount', '--bind', '/etc/boot-id', '/proc/sys/kernel/random/boot_id');
    execFileSync(command, args);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    if (this.child.exitCode === null && this.child.signalCode === null) await ended;
    rmSync(this.directory, { recursive: true, force: true });
  }
}
