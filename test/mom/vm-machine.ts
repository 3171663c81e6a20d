import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SandboxUser } from './worker-sandbox.js';

const setUp = (directory: string): string => `
set -e
mount -t tmpfs -o mode=755 vm ${directory}
mkdir -p ${directory}/up ${directory}/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=${directory}/up,workdir=${directory}/work /etc
for d in home var/tmp tmp; do mount -t tmpfs -o mode=1777 vm /$d; done
chmod 755 /home
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/sshd /etc/vmpool-keys
hostname "$1"
read line
exec /usr/sbin/sshd -D -e -f /etc/vmpool-sshd 2>/etc/sshd.log
`;

/** A VM for the hooks' tests: a real sshd, processes, files, accounts and a host name of its own; gone when stopped. */
export class VmMachine {
  private constructor(
    private readonly child: ChildProcess,
    private readonly directory: string,
    private readonly init: number,
    readonly host: string,
    readonly port: number,
    readonly hostKey: string,
  ) {}

  static async start(name: string, host: string, port: number): Promise<VmMachine> {
    const directory = mkdtempSync(join(tmpdir(), 'vmpool-vm-'));
    const child = spawn(
      'setpriv',
      [
        // A VM never outlives the test that started it, even a killed one.
        ...['--pdeathsig', 'KILL', 'unshare'],
        '-m',
        '-u',
        '-p',
        '-i',
        '-f',
        '--kill-child',
        '--mount-proc',
        '--propagation',
        'private',
        'sh',
        '-c',
        `${setUp(directory).replace('read line', 'echo ready; read line')}`,
        'sh',
        name,
      ],
      { stdio: ['pipe', 'pipe', 'ignore'] },
    );
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`the VM's sandbox ended with ${code}: is this root?`)));
    });
    const init = Number(
      readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')[0],
    );
    const etc = `/proc/${init}/root/etc`;
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${etc}/vmpool-host-key`]);
    const [type = '', key = ''] = readFileSync(`${etc}/vmpool-host-key.pub`, 'utf8').split(' ');
    writeFileSync(
      `${etc}/vmpool-sshd`,
      [
        ...[`ListenAddress ${host}:${port}`, 'HostKey /etc/vmpool-host-key', 'PidFile none', 'UsePAM no'],
        ...['AuthorizedKeysFile /etc/vmpool-keys/%u', 'PasswordAuthentication no', 'StrictModes yes'],
        ...['AllowTcpForwarding no', 'X11Forwarding no', 'PrintMotd no', 'UseDNS no', 'MaxStartups 100', ''],
      ].join('\n'),
    );
    child.stdin.write('go\n');
    const vm = new VmMachine(child, directory, init, host, port, `${type} ${key}`);
    await vm.#answers();
    return vm;
  }

  async #answers(): Promise<void> {
    for (let i = 0; i < 200; i++) {
      const open = await new Promise<boolean>((resolve) => {
        const socket = createConnection(this.port, this.host);
        socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
        socket.once('close', () => resolve(false));
        setTimeout(() => socket.destroy(), 20);
      });
      if (open) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`sshd of the VM at ${this.host}:${this.port} does not answer`);
  }

  get root(): string {
    return `/proc/${this.init}/root`;
  }
  path(inside: string): string {
    return join(this.root, inside);
  }

  /** What the service does when a lease is granted: the account with its ids, home, and the lease's key. */
  stage(user: SandboxUser, publicKey: string): void {
    const passwd = readFileSync(this.path('/etc/passwd'), 'utf8');
    if (!passwd.includes(`\n${user.name}:`)) {
      appendFileSync(
        this.path('/etc/passwd'),
        `${user.name}:x:${user.uid}:${user.gid}::${user.home}:${user.shell}\n`,
      );
      appendFileSync(this.path('/etc/shadow'), `${user.name}:*:19000:0:99999:7:::\n`);
      for (const group of user.groups)
        appendFileSync(this.path('/etc/group'), `${group.name}:x:${group.gid}:${user.name}\n`);
      mkdirSync(this.path(user.home), { recursive: true });
      chownSync(this.path(user.home), user.uid, user.gid);
      chmodSync(this.path(user.home), 0o700);
    }
    writeFileSync(this.path(`/etc/vmpool-keys/${user.name}`), `${publicKey}\n`);
  }
  /** Measures what the user's processes use, within limits as meter.sh takes them, as the service does at a grant. */
  meter(user: SandboxUser, limits: string): void {
    const program = readFileSync('src/guest/scripts/meter.sh', 'utf8');
    mkdirSync(this.path('/run/vmpool'), { recursive: true });
    const [, , , pvmem = 0, , pcput = 0] = limits.split(' ').map(Number);
    writeFileSync(this.path('/run/vmpool/limits'), `${Math.floor(pvmem / 1024)} ${Math.ceil(pcput / 100)}\n`);
    writeFileSync(this.path('/run/vmpool/meter'), program);
    const order = `exec setsid bash /run/vmpool/meter ${user.uid} ${user.gid} ${limits}`;
    this.run(
      `(${order}) </dev/null >/dev/null 2>&1 & for i in 1 2 3 4 5 6 7 8 9 10; do [ -s /run/vmpool/usage ] && break; sleep 0.1; done`,
    );
  }
  /** The meter's last line, which ends it. */
  metered(): string {
    const line = this.run(
      'p=$(cat /run/vmpool/pid); kill $p; while kill -0 $p 2>/dev/null; do sleep 0.05; done; cat /run/vmpool/usage',
    );
    rmSync(this.path('/run/vmpool'), { recursive: true });
    return line.trimEnd();
  }
  /** Takes the key away, ends the user's processes and wipes their files. */
  scrub(user: SandboxUser): void {
    rmSync(this.path(`/etc/vmpool-keys/${user.name}`), { force: true });
    this.run(
      `for p in /proc/[0-9]*; do [ "$(stat -c %u $p 2>/dev/null)" = ${user.uid} ] && kill -9 \${p#/proc/}; done; find ${user.home} /tmp /var/tmp -user ${user.uid} -mindepth 1 -delete 2>/dev/null; true`,
    );
  }
  run(script: string): string {
    return execFileSync('nsenter', ['-t', String(this.init), '-m', '-p', '-u', '--', 'sh', '-c', script], {
      encoding: 'utf8',
    });
  }

  /** Without a word to anybody: every process ends at once. */
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    try {
      process.kill(this.init, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
    if (this.child.exitCode === null && this.child.signalCode === null) await ended;
    rmSync(this.directory, { recursive: true, force: true });
  }
}
