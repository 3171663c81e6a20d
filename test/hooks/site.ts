import type { ClassSettings } from '../../src/config/class-settings.js';
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installHooks } from '../../hooks/install.js';
import { Mom, type MomOptions } from '../mom/mom.js';
import { buildStarter } from '../mom/starter-program.js';
import { VmMachine } from '../mom/vm-machine.js';
import { WorkerSandbox, type SandboxUser } from '../mom/worker-sandbox.js';
import { LeaseService } from './lease-service.js';

const repository = process.cwd();

const user = (name: string, uid: number, extra: readonly [string, number][] = []): SandboxUser => ({
  ...{ name, uid, gid: uid, home: `/home/${name}`, shell: '/bin/bash' },
  groups: [{ name, gid: uid }, ...extra.map(([group, gid]) => ({ name: group, gid }))],
});
export const alice = user('vmpalice', 64_101, [['vmpgrid', 64_200]]);
export const bob = user('vmpbob', 64_102);
export const carol = user('vmpcarol', 64_103);
const low = { ...user('vmplow', 64_104), uid: 499, gid: 499, groups: [{ name: 'vmplow', gid: 499 }] };

/** A loopback address for each VM: ports would be met by other machines of the host. */
let nextVm = 0;
const nextAddress = (): string => `127.77.${process.pid % 250}.${(nextVm++ % 250) + 1}`;

/** Once for each file of tests. */
let bundled = false;

/** A worker with the real hooks under the mom's double, a lease service, and VMs with real sshds. */
export class Site {
  private constructor(
    readonly worker: WorkerSandbox,
    readonly service: LeaseService,
    readonly mom: Mom,
    readonly vms: VmMachine[],
  ) {}

  static async open(
    options: {
      readonly vms?: number;
      readonly mom?: Partial<MomOptions>;
      readonly config?: Readonly<Record<string, unknown>>;
      /** The VMs are those of a class of 4 processors and 8 GiB. */
      readonly rule?: ClassSettings;
      /** PEM files of the service's certificate and key, and the authority that the worker trusts. */
      readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
    } = {},
  ): Promise<Site> {
    const hooksDir = join(repository, '.cache', 'hooks-under-test');
    if (!bundled) execFileSync(process.execPath, [join(repository, 'scripts/bundle-hooks.mjs'), hooksDir]);
    bundled = true;
    const starter = await buildStarter(
      join(repository, 'test/mom/starter.c'),
      join(repository, '.cache/mom'),
    );
    const worker = await WorkerSandbox.start();
    const vms = await Promise.all(
      Array.from({ length: options.vms ?? 1 }, (_, index) =>
        VmMachine.start(`vm${index + 1}`, nextAddress(), 22_022),
      ),
    );
    const { tls = null, rule = null } = options;
    const service = rule === null ? new LeaseService(vms, tls) : new LeaseService(vms, tls, 4, rule);
    await service.start();
    const users = [alice, bob, carol, low];
    for (const one of users) worker.addUser(one);
    mkdirSync(worker.path('/usr/local/lib/vmpool-test'), { recursive: true });
    writeFileSync(worker.path('/usr/local/lib/vmpool-test/mom-starter'), readFileSync(starter), {
      mode: 0o755,
    });
    const mom = new Mom({
      root: worker.root,
      enter: (...command) => worker.enter(...command),
      starter: '/usr/local/lib/vmpool-test/mom-starter',
      home: '/var/spool/torque',
      jobStarter: '/usr/local/lib/vmpool/jobstarter',
      users,
      np: 8,
      killDelayMs: 1500,
      checkPollMs: 200,
      requeueExitCode: 99,
      ...options.mom,
    });
    mkdirSync(worker.path('/etc/vmpool'), { recursive: true });
    writeFileSync(worker.path('/etc/vmpool/worker.token'), `${service.token}\n`, { mode: 0o600 });
    if (options.tls !== undefined)
      writeFileSync(worker.path('/etc/vmpool/ca.pem'), readFileSync(options.tls.ca), { mode: 0o644 });
    const config = {
      service: {
        url: service.url,
        ...(options.tls === undefined ? {} : { caFile: '/etc/vmpool/ca.pem' }),
      },
      worker: 'worker1',
      quickWaitSeconds: 1,
      prologueLimitSeconds: 20,
      epilogueLimitSeconds: 40,
      maxWaitSeconds: 30,
      sharedHome: true,
      renewSeconds: 1,
      commands: {
        qstat: mom.server.command('qstat'),
        qhold: mom.server.command('qhold'),
        qrls: mom.server.command('qrls'),
      },
      ...options.config,
    };
    writeFileSync(worker.path('/etc/vmpool/worker.json'), JSON.stringify(config), { mode: 0o644 });
    const site = new Site(worker, service, mom, vms);
    const installed = installHooks({
      hooksDir,
      root: worker.root,
      libDir: '/usr/local/lib/vmpool',
      nodePath: process.execPath,
      schedule: 'cron',
    });
    if (!installed.ok) {
      await site.close();
      throw new Error(installed.findings.map((one) => `${one.level}: ${one.text}`).join('\n'));
    }
    return site;
  }

  /** Makes a directory of the user's on the worker with these files in it. */
  directory(path: string, owner: SandboxUser, files: Readonly<Record<string, string>> = {}): void {
    mkdirSync(this.worker.path(path), { recursive: true });
    chownSync(this.worker.path(path), owner.uid, owner.gid);
    for (const [name, text] of Object.entries(files)) this.file(join(path, name), owner, text);
  }
  file(path: string, owner: { uid: number; gid: number }, text: string, mode = 0o600): void {
    writeFileSync(this.worker.path(path), text, { mode });
    chownSync(this.worker.path(path), owner.uid, owner.gid);
  }
  spool(): string[] {
    if (!existsSync(this.worker.path('/var/spool/vmpool/jobs'))) return [];
    return execFileSync(
      'find',
      [this.worker.path('/var/spool/vmpool/jobs'), '-mindepth', '1', '-printf', '%P\n'],
      {
        encoding: 'utf8',
      },
    )
      .split('\n')
      .filter((line) => line !== '');
  }

  async close(): Promise<void> {
    this.mom.close();
    await this.service.stop();
    await Promise.all(this.vms.map((vm) => vm.stop()));
    await this.worker.stop();
  }
}
