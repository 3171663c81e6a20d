import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { installHooks } from '../../hooks/install.js';
import { Mom } from '../../test/mom/mom.js';
import { buildStarter } from '../../test/mom/starter-program.js';
import { WorkerSandbox, type SandboxUser } from '../../test/mom/worker-sandbox.js';
import { repoRoot } from '../repo-root.js';
import { poolMax, workerName, type Place } from './place.js';

const libDir = '/usr/local/lib/vmpool';
const ownDir = '/usr/local/lib/vmpool-demo';
const starterPath = `${ownDir}/mom-starter`;
/** cron would run the sync every minute; the demo is over by then. */
const syncEveryMs = 5_000;

export type UserName = 'alice' | 'bob' | 'carol';

/** Ids that hardly any machine uses, and others than those of a demo beside this one: processes are told by them. */
const firstId = 50_000 + (process.pid % 1000) * 4;
const userIds: Readonly<Record<UserName, number>> = {
  alice: firstId + 1,
  bob: firstId + 2,
  carol: firstId + 3,
};

/** Under which name and with how many processors a worker takes part. */
export interface WorkerIdentity {
  readonly name: string;
  readonly token: string;
  readonly np: number;
  /** Number of its first job: no two workers of one server have the same. */
  readonly firstJob: number;
  /** Longest that a job waits for its VM before it goes back into the queue. */
  readonly maxWaitSeconds?: number;
  /** The server's `kill_delay`: how long after SIGTERM a job of it is killed, milliseconds. */
  readonly killDelayMs?: number;
}

/** The Torque worker of the demo: a sandbox with three users, the mom's double and the real hooks. */
export class DemoWorker {
  readonly #syncs: NodeJS.Timeout;
  #syncing: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly sandbox: WorkerSandbox,
    readonly mom: Mom,
    readonly users: Readonly<Record<UserName, SandboxUser>>,
  ) {
    this.#syncs = setInterval(() => {
      this.#syncing = this.#syncing.then(() => this.mom.runHook(`${libDir}/sync`)).catch(() => undefined);
    }, syncEveryMs);
  }

  /** Throws when the sandbox cannot be made or the installer finds something that is not in order. */
  static async start(
    place: Pick<Place, 'workerSandboxes' | 'workerToken'>,
    serviceUrl: string,
    as: WorkerIdentity = { name: workerName, token: place.workerToken, np: poolMax, firstJob: 28 },
  ): Promise<DemoWorker> {
    const starter = await buildStarter(join(repoRoot, 'test/mom/starter.c'), join(repoRoot, '.cache/mom'));
    const sandbox = await WorkerSandbox.start();
    try {
      appendFileSync(place.workerSandboxes, `${sandbox.directory}/\n`, { mode: 0o600 });
      return DemoWorker.#furnish(sandbox, starter, serviceUrl, as);
    } catch (error) {
      await sandbox.stop();
      throw error;
    }
  }

  static #furnish(
    sandbox: WorkerSandbox,
    starter: string,
    serviceUrl: string,
    as: WorkerIdentity,
  ): DemoWorker {
    const users = {
      alice: account('alice', [{ name: 'physics', gid: firstId }]),
      bob: account('bob'),
      carol: account('carol'),
    };
    for (const user of Object.values(users)) sandbox.addUser(user);
    mkdirSync(sandbox.path(ownDir), { recursive: true });
    writeFileSync(sandbox.path(starterPath), readFileSync(starter), { mode: 0o755 });
    const mom = new Mom({
      root: sandbox.root,
      enter: (...command) => sandbox.enter(...command),
      starter: starterPath,
      home: '/var/spool/torque',
      jobStarter: `${libDir}/jobstarter`,
      users: Object.values(users),
      np: as.np,
      firstJob: as.firstJob,
      killDelayMs: as.killDelayMs ?? 30_000,
      requeueExitCode: 99,
    });
    mkdirSync(sandbox.path('/etc/vmpool'), { recursive: true });
    writeFileSync(sandbox.path('/etc/vmpool/worker.token'), `${as.token}\n`, { mode: 0o600 });
    const config = {
      service: { url: serviceUrl },
      worker: as.name,
      quickWaitSeconds: 1,
      maxWaitSeconds: as.maxWaitSeconds ?? 180,
      commands: {
        qstat: mom.server.command('qstat'),
        qhold: mom.server.command('qhold'),
        qrls: mom.server.command('qrls'),
      },
    };
    writeFileSync(sandbox.path('/etc/vmpool/worker.json'), JSON.stringify(config), { mode: 0o644 });
    const installed = installHooks({
      hooksDir: join(repoRoot, 'dist', 'worker'),
      root: sandbox.root,
      libDir,
      nodePath: nodeForUsers(sandbox),
      schedule: 'cron',
    });
    if (!installed.ok) {
      const wrong = installed.findings.filter(({ level }) => level === 'error').map(({ text }) => text);
      throw new Error(`the hooks could not be installed on the worker:\n${wrong.join('\n')}`);
    }
    return new DemoWorker(sandbox, mom, users);
  }

  /** What the node check says: empty when Torque may send jobs. */
  async nodeCheck(): Promise<string> {
    const { stdout } = await this.mom.runHook(`${libDir}/nodecheck`);
    return stdout.trim();
  }

  /** A directory of that user's on the worker, with files in it. Returns its path there. */
  directory(user: UserName, name: string, files: Readonly<Record<string, string>>): string {
    const { uid, gid, home } = this.users[user];
    const path = join(home, name);
    mkdirSync(this.sandbox.path(path), { recursive: true, mode: 0o700 });
    chownSync(this.sandbox.path(path), uid, gid);
    for (const [file, text] of Object.entries(files)) {
      const host = this.sandbox.path(join(path, file));
      writeFileSync(host, text, { mode: 0o600 });
      chownSync(host, uid, gid);
    }
    return path;
  }

  /** Content of a file on the worker, or null. */
  file(path: string): string | null {
    try {
      return readFileSync(this.sandbox.path(path), 'utf8');
    } catch {
      return null;
    }
  }

  /** Ends the mom, every process of its jobs, and the sandbox. Idempotent. */
  async stop(): Promise<void> {
    clearInterval(this.#syncs);
    await this.#syncing;
    this.mom.close();
    await this.sandbox.stop();
  }
}

/** The job starter runs as the job's user, who may not reach a Node in somebody's home: then the worker gets a copy. */
const nodeForUsers = (sandbox: WorkerSandbox): string => {
  const node = realpathSync(process.execPath);
  let reachable = (statSync(node).mode & 0o005) === 0o005;
  for (let at = dirname(node); at !== '/'; at = dirname(at)) reachable &&= (statSync(at).mode & 0o001) !== 0;
  if (reachable && !/^\/(home|tmp)\//.test(node)) return node;
  const copy = `${ownDir}/node`;
  copyFileSync(node, sandbox.path(copy));
  chmodSync(sandbox.path(copy), 0o755);
  return copy;
};

const account = (name: UserName, groups: readonly { name: string; gid: number }[] = []): SandboxUser => ({
  name,
  uid: userIds[name],
  gid: userIds[name],
  groups: [{ name, gid: userIds[name] }, ...groups],
  home: `/home/${name}`,
  shell: '/bin/bash',
});

export const demoUids: readonly number[] = Object.values(userIds);
