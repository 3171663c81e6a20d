import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateSshKey } from '../../src/embedded/sandbox/host-key.js';
import { createGuest } from '../../src/guest/guest.js';
import type { Guest, GuestTarget } from '../../src/guest/port.js';
import type { MemberName } from '../../src/pool/model.js';
import { repoRoot } from '../../src/repo-root.js';
import { runBySsh, type Ran } from '../support/ssh.js';

/** `systemd`: as the images of clouds have it. `plain`: cgroup v2, and a shell for an init. */
export type VmInit = 'systemd' | 'plain';

/** Where scripts/setup.mjs leaves kernel, first disk and system (test/openstack/lab/guest-image.sh). */
const imageDirectory = join(
  process.env['VMPOOL_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'vmpool'),
  'vm',
);
const bootLimitMs = 500_000;
/** Every login takes an emulated processor seconds. */
const callMs = 400_000;
/** QEMU takes connections from its start on, also those that the machine behind it will never answer. */
const bootCallMs = 30_000;

/**
 * A machine with a kernel of its own: QEMU in software emulation, its SSH on a port of loopback's. Nothing that it
 * writes stays.
 */
export class QemuVm {
  readonly #folder = mkdtempSync(join(tmpdir(), 'vmpool-vm-'));
  readonly #guests: Guest[] = [];
  #process: ChildProcess | null = null;
  #port = 0;
  readonly #hostKey = generateSshKey('vm');
  readonly jobKey = generateSshKey('job');

  private constructor(readonly init: VmInit) {}

  /** Rejects where it does not answer by SSH in time, with the end of its console. */
  static async boot(init: VmInit): Promise<QemuVm> {
    const vm = new QemuVm(init);
    try {
      await vm.#start();
      return vm;
    } catch (error) {
      await vm.end();
      throw error;
    }
  }

  get target(): GuestTarget {
    const known = this.#hostKey.publicLine.split(' ').slice(0, 2).join(' ');
    const member = `vm-${this.init}-1` as MemberName;
    return { member, endpoint: { host: '127.0.0.1', port: this.#port }, hostKeys: [known] };
  }

  guest(): Guest {
    const guest = createGuest({
      adminUser: 'root',
      privateKeyFile: join(this.#folder, 'admin'),
      hostKeyPolicy: 'console',
      stateDir: join(this.#folder, 'state'),
      markerSecret: 'secret of the test',
      clock: Date,
      limits: { connectMs: callMs, probeMs: callMs, stageMs: callMs, baselineMs: callMs, scrubMs: callMs },
      log: () => undefined,
    });
    this.#guests.push(guest);
    return guest;
  }

  run(command: string, user = 'root', input = '', limitMs = callMs): Promise<Ran> {
    const keyFile = join(this.#folder, user === 'root' ? 'admin' : 'job');
    return runBySsh(this.target, { user, keyFile, command, input: Buffer.from(input), limitMs });
  }

  async end(): Promise<void> {
    for (const guest of this.#guests) await guest.close();
    const running = this.#process;
    if (running !== null && running.exitCode === null && running.signalCode === null) {
      const gone = new Promise((resolve) => running.once('close', resolve));
      running.kill('SIGKILL');
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    for (const name of ['vmlinuz', 'initrd', 'root.qcow2'])
      if (!existsSync(join(imageDirectory, name)))
        throw new Error(`there is no ${name} in ${imageDirectory}: run these tests with make test SUITES=vm`);
    const initrd = this.#ramdisk();
    this.#port = await freePort();
    const log = join(this.#folder, 'console.log');
    const word = this.init === 'plain' ? ' vmpool.init=/sbin/plain-init' : '';
    // An emulated processor takes all of a real one: whatever else runs here comes first.
    this.#process = spawn(
      'nice',
      [
        ...['-n', '10', 'qemu-system-x86_64'],
        ...['-accel', 'tcg', '-m', '512', '-display', 'none', '-no-reboot', '-serial', `file:${log}`],
        ...['-kernel', join(imageDirectory, 'vmlinuz'), '-initrd', initrd],
        ...[
          '-append',
          `console=ttyS0 quiet cryptomgr.notests net.ifnames=0 norandmaps no_timer_check systemd.show_status=false${word}`,
        ],
        ...['-drive', `file=${join(imageDirectory, 'root.qcow2')},if=virtio,snapshot=on`],
        ...['-device', 'virtio-rng-pci', '-device', 'virtio-net-pci,netdev=net'],
        ...['-netdev', `user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:${String(this.#port)}-:22`],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    this.#process.stderr?.on('data', (part: Buffer) => (said += part.toString()));
    const started = Date.now();
    while ((await this.run('true', 'root', '', bootCallMs)).code !== 0) {
      const { exitCode, signalCode } = this.#process;
      const why =
        exitCode !== null || signalCode !== null
          ? `QEMU ended: ${said}`
          : Date.now() - started > bootLimitMs
            ? 'the VM does not answer'
            : null;
      const console = existsSync(log) ? readFileSync(log, 'utf8').slice(-2000) : '';
      if (why !== null) throw new Error(`${why}\n${console}`);
      await sleep(500);
    }
  }

  /** The image's first disk with what this machine is to have on top: of two files of one name the kernel takes the later. */
  #ramdisk(): string {
    const tree = join(this.#folder, 'ramdisk');
    const directory = (path: string, mode = 0o755): string => {
      mkdirSync(join(tree, path), { recursive: true });
      chmodSync(join(tree, path), mode);
      return join(tree, path);
    };
    const admin = generateSshKey('admin');
    writeFileSync(join(this.#folder, 'admin'), admin.privateKey, { mode: 0o600 });
    writeFileSync(join(this.#folder, 'job'), this.jobKey.privateKey, { mode: 0o600 });
    directory('seed');
    directory('seed/root', 0o700);
    writeFileSync(join(directory('seed/root/.ssh', 0o700), 'authorized_keys'), `${admin.publicLine}\n`, {
      mode: 0o600,
    });
    directory('seed/etc');
    const hostKeyFile = join(directory('seed/etc/ssh'), 'ssh_host_ed25519_key');
    writeFileSync(hostKeyFile, this.#hostKey.privateKey, { mode: 0o600 });
    const from = (name: string): string => join(repoRoot, 'test', 'vm', name);
    copyFileSync(from('ramdisk-init'), join(tree, 'init'));
    // `usr/sbin`: a directory of the seed's must not take the place of a link of the image's.
    directory('seed/usr');
    copyFileSync(from('plain-init'), join(directory('seed/usr/sbin'), 'plain-init'));
    const archive = execFileSync('sh', ['-c', 'find . | cpio -o -H newc -R 0:0 --quiet | gzip'], {
      cwd: tree,
      maxBuffer: 1 << 24,
    });
    const initrd = join(this.#folder, 'initrd');
    writeFileSync(initrd, Buffer.concat([readFileSync(join(imageDirectory, 'initrd')), archive]));
    return initrd;
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const at = server.address();
      const port = at !== null && typeof at === 'object' ? at.port : 0;
      server.close(() => resolve(port));
    });
  });
