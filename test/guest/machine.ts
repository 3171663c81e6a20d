import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, readFileSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeBaseLayer } from '../../src/embedded/sandbox/base-layer.js';
import { generateSshKey } from '../../src/embedded/sandbox/host-key.js';
import { sandboxProgram } from '../../src/embedded/sandbox/program.js';
import { Sandbox } from '../../src/embedded/sandbox/sandbox.js';
import { createGuest } from '../../src/guest/guest.js';
import { MarkerSeal, markerText } from '../../src/guest/marker.js';
import type { GuestOptions } from '../../src/guest/options.js';
import type { Guest, GuestTarget, StageOrder } from '../../src/guest/port.js';
import type { LeaseId, MemberName } from '../../src/pool/model.js';
import { runBySsh, type Ran } from '../support/ssh.js';

const admin = generateSshKey('pool-admin');
export const job = generateSshKey('job');

const memberOf = (number: number): MemberName => `test-${number}-${process.pid}` as MemberName;

/** A folder with the layer that all machines of one test file share. */
export class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), 'vmpool-guest-'));
  readonly #machines: Machine[] = [];
  readonly #guests: Guest[] = [];
  #program = '';

  static async open(): Promise<Lab> {
    const lab = new Lab();
    lab.#program = await sandboxProgram();
    await writeBaseLayer(lab.#program, join(lab.folder, 'base'), [lab.folder]);
    writeFileSync(join(lab.folder, 'admin'), admin.privateKey, { mode: 0o600 });
    writeFileSync(join(lab.folder, 'job'), job.privateKey, { mode: 0o600 });
    return lab;
  }

  async machine(): Promise<Machine> {
    const machine = await Machine.boot(this, this.#program, this.#machines.length + 1);
    this.#machines.push(machine);
    return machine;
  }

  guest(options: Partial<GuestOptions> = {}): Guest {
    const guest = createGuest({
      adminUser: 'root',
      privateKeyFile: join(this.folder, 'admin'),
      hostKeyPolicy: 'console',
      stateDir: join(this.folder, 'state'),
      markerSecret,
      clock: Date,
      log: () => undefined,
      ...options,
    });
    this.#guests.push(guest);
    return guest;
  }

  async close(): Promise<void> {
    for (const guest of this.#guests) await guest.close();
    for (const machine of this.#machines) await machine.sandbox.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One real machine: its own processes, files, accounts and SSH server on a loopback address. */
export class Machine {
  private constructor(
    readonly lab: Lab,
    readonly sandbox: Sandbox,
    readonly target: GuestTarget,
  ) {}

  static async boot(lab: Lab, program: string, number: number): Promise<Machine> {
    const host = `127.${90 + (process.pid % 100)}.${(process.pid >> 7) % 250}.${number}`;
    const hostKey = generateSshKey(`vm${number}`);
    const folder = join(lab.folder, `vm${number}`);
    const seed = join(lab.folder, `seed${number}`);
    mkdirSync(folder);
    mkdirSync(join(seed, 'root/.ssh'), { recursive: true });
    mkdirSync(join(seed, 'etc/ssh'), { recursive: true });
    for (const [path, mode] of [
      ['root', 0o700],
      ['root/.ssh', 0o700],
      ['etc', 0o755],
      ['etc/ssh', 0o755],
    ] as const) {
      chmodSync(join(seed, path), mode);
    }
    chmodSync(seed, 0o755);
    writeFileSync(join(seed, 'root/.ssh/authorized_keys'), `${admin.publicLine}\n`, { mode: 0o600 });
    writeFileSync(join(seed, 'etc/ssh/ssh_host_ed25519_key'), hostKey.privateKey, { mode: 0o600 });
    const sandbox = await Sandbox.create({
      program,
      baseLayer: join(lab.folder, 'base'),
      directory: folder,
      seed,
      consoleLog: join(lab.folder, `vm${number}.log`),
      addresses: [host],
      port: 22,
      diskBytes: 1 << 28,
      onDown: () => undefined,
    });
    await sandbox.boot(`vm${number}`, 'answer');
    const known = hostKey.publicLine.split(' ').slice(0, 2).join(' ');
    return new Machine(lab, sandbox, {
      member: memberOf(number),
      endpoint: { host, port: 22 },
      hostKeys: [known],
    });
  }

  /** Runs a command on the machine by OpenSSH's own client, as root or as the job's user. */
  run(
    command: string,
    as: { user: string; key: 'admin' | 'job' } = { user: 'root', key: 'admin' },
    input: Buffer = Buffer.alloc(0),
  ): Promise<Ran> {
    return runBySsh(this.target, { user: as.user, keyFile: join(this.lab.folder, as.key), command, input });
  }

  asJob(command: string, user = 'alice'): Promise<Ran> {
    return this.run(command, { user, key: 'job' });
  }
}

/** What sudo does for an account that it asks for nothing, as a set-uid program: sudo itself is not on every test machine. */
const standInForSudo = `
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
  int first = 1;
  while (first < argc && argv[first][0] == '-') first++;
  if (argc <= first || setgid(0) || setuid(0)) return 1;
  execvp(argv[first], argv + first);
  return 127;
}`;

/** Gives the machine an ordinary account \`debian\` with the admin key and sudo, as cloud images have it. */
export async function addSudoAdmin(machine: Machine): Promise<void> {
  const program = join(machine.lab.folder, 'sudo');
  execFileSync('gcc', ['-x', 'c', '-o', program, '-'], { input: standInForSudo });
  const base64 = readFileSync(program).toString('base64');
  const ran = await machine.run(
    `useradd -m -p '*' -s /bin/bash debian && mkdir -m 700 ~debian/.ssh && cp /root/.ssh/authorized_keys ~debian/.ssh/ && chown -R debian: ~debian &&
     echo ${base64} | base64 -d > /usr/local/bin/sudo && chmod 4755 /usr/local/bin/sudo`,
  );
  if (ran.code !== 0) throw new Error(`the machine takes no administrator: ${ran.out}`);
}

export function orderFor(lease: string, changes: Partial<StageOrder['user']> = {}): StageOrder {
  return {
    lease: lease as LeaseId,
    key: { worker: 'wn1', job: '12.server', attempt: { start: 1, boot: 'b', pid: 100, ticks: 5 } },
    user: {
      name: 'alice',
      uid: 4001,
      gid: 4001,
      groups: [
        { name: 'alice', gid: 4001 },
        { name: 'physics', gid: 4100 },
      ],
      home: '/home/alice',
      shell: '/bin/bash',
      ...changes,
    },
    publicKey: job.publicLine,
    environment: { SITE: "it's here" },
  };
}

const markerSecret = 'secret of the test';

/** The text that the guest part leaves on the first machine of a test for that order. */
export function markerOf(order: StageOrder): string {
  return markerText(order, memberOf(1), new MarkerSeal(markerSecret));
}

/** A signal for calls that the test does not mean to end itself. */
export function patience(): AbortSignal {
  return new AbortController().signal;
}
