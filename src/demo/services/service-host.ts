import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateSshKey } from '../../embedded/sandbox/host-key.js';

/** A person or a program that asks too long of a machine that is slow: not a measure of anything. */
const limitMs = 120_000;

const setUp = (directory: string): string => `
set -e
mount -t tmpfs -o mode=755 service-host ${directory}
for d in etc var; do
  mkdir ${directory}/$d.up ${directory}/$d.work
  mount -t overlay overlay -o lowerdir=/$d,upperdir=${directory}/$d.up,workdir=${directory}/$d.work /$d
done
for d in run tmp root home; do mount -t tmpfs -o mode=755 $d /$d; done
chmod 1777 /tmp; chmod 700 /root
mkdir -p /run/sshd
sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
echo ready
exec cat >/dev/null
`;

/** In which nothing is the machine's own: what would be asked of PAM or of a person's home is not. */
const sshdConfig = (address: string, port: number): string => `ListenAddress ${address}:${String(port)}
HostKey /etc/ssh/service_host_key
AuthorizedKeysFile /etc/ssh/service_host_authorized
AuthenticationMethods publickey
PermitRootLogin prohibit-password
AllowUsers root
UsePAM no
PidFile none
`;

/**
 * A host for services beside the pool, reached by SSH as a site's would be: the machine's programs and network, but
 * processes, /etc, /var, /run and homes of its own. All of it ends with this process, by whatever means, and nothing of
 * it was ever on the machine. Needs root.
 */
export class ServiceHost {
  private constructor(
    private readonly outer: ChildProcess,
    private readonly sshd: ChildProcess,
    private readonly inner: number,
    /** `host` in the settings of a service. */
    readonly host: Readonly<Record<string, unknown>>,
  ) {}

  /** @param directory an existing one, in which a key and an empty directory are made. */
  static async start(directory: string, address: string, port: number): Promise<ServiceHost> {
    const files = join(directory, 'service-host');
    mkdirSync(files, { mode: 0o700 });
    const client = generateSshKey('vmpool-demo-services');
    const keyFile = join(directory, 'service-key');
    writeFileSync(keyFile, client.privateKey, { mode: 0o600 });
    const hostKey = generateSshKey('service-host');
    const flags = [
      '--mount',
      '--propagation',
      'private',
      '--pid',
      '--ipc',
      '--uts',
      '--fork',
      '--kill-child',
    ];
    const outer = spawn('unshare', [...flags, '--mount-proc', 'sh', '-c', setUp(files)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: '/',
    });
    try {
      await saysReady(outer);
      const inner = await childOf(outer.pid ?? 0);
      const write = (path: string, mode: string, text: string): Promise<string> =>
        runIn(inner, `umask 077; cat >${path}; chmod ${mode} ${path}`, text);
      await write('/etc/ssh/service_host_key', '600', hostKey.privateKey);
      await write('/etc/ssh/service_host_authorized', '644', `${client.publicLine}\n`);
      await write('/etc/ssh/service_host_config', '644', sshdConfig(address, port));
      const sshd = spawn(
        'nsenter',
        inside(inner, 'exec /usr/sbin/sshd -D -e -f /etc/ssh/service_host_config'),
        {
          stdio: ['ignore', 'ignore', 'pipe'],
          cwd: '/',
        },
      );
      await listens(sshd);
      return new ServiceHost(outer, sshd, inner, {
        address,
        port,
        user: 'root',
        keyFile,
        hostKey: hostKey.publicLine.split(' ').slice(0, 2).join(' '),
      });
    } catch (error) {
      outer.stdin.end();
      outer.kill('SIGKILL');
      throw error;
    }
  }

  /** Runs a shell command there to its end, with what it says; throws where its exit code is not 0. */
  run(command: string, input = '', timeoutMs = limitMs): Promise<string> {
    return runIn(this.inner, command, input, timeoutMs);
  }

  /** Ends everything in it. Idempotent. */
  async stop(): Promise<void> {
    const ended = Promise.all([this.outer, this.sshd].map(hasEnded));
    this.outer.stdin?.end();
    await ended;
  }
}

const inside = (pid: number, command: string): string[] => [
  '-t',
  String(pid),
  '--mount',
  '--pid',
  '--ipc',
  '--uts',
  'sh',
  '-c',
  command,
];

const runIn = (pid: number, command: string, input: string, timeout = limitMs): Promise<string> =>
  new Promise((resolve, reject) => {
    const options = { timeout, maxBuffer: 64 * 1024 * 1024, cwd: '/' };
    const child = execFile('nsenter', inside(pid, command), options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`on the host of the services: ${command}\n${stdout}${stderr}${error.message}`));
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });

const hasEnded = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('close', () => resolve()));

/** Until `sign` is in what the stream brings; rejects with the words when the process ends first. */
const says = (child: ChildProcess, what: string, sign: string): Promise<void> =>
  new Promise((resolve, reject) => {
    let words = '';
    const timer = setTimeout(() => reject(new Error(`${what}: not within two minutes: ${words}`)), limitMs);
    const take = (text: Buffer): void => {
      words += text.toString();
      if (!words.includes(sign)) return;
      clearTimeout(timer);
      resolve();
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('close', () => {
      clearTimeout(timer);
      reject(new Error(`${what} ended: ${words}`));
    });
  });

const saysReady = (outer: ChildProcess): Promise<void> => says(outer, 'the host of the services', 'ready\n');
const listens = (sshd: ChildProcess): Promise<void> =>
  says(sshd, 'the SSH server of the services', 'Server listening');

/** The one child of a process, as this machine sees it. */
const childOf = async (pid: number): Promise<number> => {
  const file = `/proc/${String(pid)}/task/${String(pid)}/children`;
  for (let tries = 0; tries < 100; tries += 1) {
    const child = Number(readFileSync(file, 'utf8').trim().split(' ')[0]);
    if (child > 0) return child;
    await sleep(50);
  }
  throw new Error('the host of the services has no first process');
};
