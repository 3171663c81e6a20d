/** A real OpenSSH server for tests, on a loopback port, with keys of its own. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const startLimitMs = 20_000;
const sshdPath = '/usr/sbin/sshd';

/** An SSH server that accepts one key, for the user who runs the test. Variables VMP_* and PULUMI_COMMAND_* are let in. */
export class TestSshd {
  private process: ChildProcess | undefined;

  private constructor(
    private readonly dir: string,
    readonly port: number,
  ) {}

  /** Prepares keys and configuration; `start` starts it. */
  static async prepare(): Promise<TestSshd> {
    if (!existsSync(sshdPath)) throw new Error(`${sshdPath} is missing: run \`make setup\`, which installs openssh-server`);
    const dir = mkdtempSync(join(tmpdir(), 'vmpool-sshd-'));
    const server = new TestSshd(dir, await freePort());
    for (const [name, type] of [
      ['host_ed25519', 'ed25519'],
      ['host_rsa', 'rsa'],
      ['user', 'ed25519'],
      ['stranger', 'ed25519'],
    ] as const) {
      execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', name, '-f', join(dir, name)]);
    }
    writeFileSync(
      join(dir, 'sshd_config'),
      [
        `Port ${server.port}`,
        'ListenAddress 127.0.0.1',
        `HostKey ${dir}/host_ed25519`,
        `HostKey ${dir}/host_rsa`,
        `AuthorizedKeysFile ${dir}/user.pub`,
        `PidFile ${dir}/pid`,
        'StrictModes no',
        'UsePAM no',
        'PasswordAuthentication no',
        'PermitRootLogin yes',
        'AcceptEnv VMP_* PULUMI_COMMAND_*',
        'Subsystem sftp internal-sftp',
        '',
      ].join('\n'),
    );
    return server;
  }

  get user(): string {
    return userInfo().username;
  }

  /** The private key that the server accepts. */
  get userKey(): string {
    return readFileSync(join(this.dir, 'user'), 'utf8');
  }

  get hostKey(): string {
    return this.publicKey('host_ed25519');
  }

  get rsaHostKey(): string {
    return this.publicKey('host_rsa');
  }

  /** A key that this server does not have. */
  get otherHostKey(): string {
    return this.publicKey('stranger');
  }

  private publicKey(name: string): string {
    return readFileSync(join(this.dir, `${name}.pub`), 'utf8').trim();
  }

  async start(): Promise<void> {
    // Where Debian's sshd, as root, keeps the empty folder that it needs.
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
    this.process = spawn(sshdPath, ['-D', '-e', '-f', join(this.dir, 'sshd_config')], { stdio: 'ignore' });
    const deadline = performance.now() + startLimitMs;
    while (!(await answers(this.port))) {
      if (performance.now() > deadline || this.process.exitCode !== null) throw new Error('the test sshd does not start');
      await sleep(50);
    }
  }

  async close(): Promise<void> {
    const running = this.process;
    if (running !== undefined && running.exitCode === null && running.signalCode === null) {
      const ended = new Promise((resolve) => running.once('exit', resolve));
      running.kill('SIGTERM');
      await ended;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'));
        else resolve(address.port);
      });
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}
