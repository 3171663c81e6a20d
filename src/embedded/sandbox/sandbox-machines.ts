import { appendFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine, Machines, MachineSpec, SshMode } from '../machines.js';
import { generateSshKey } from './host-key.js';
import { Sandbox } from './sandbox.js';
import { consoleBanner, writeSeed } from './seed.js';

export interface SandboxSettings {
  readonly program: string;
  readonly baseLayer: string;
  /** Folder of the machines' own folders. */
  readonly servers: string;
  readonly sshPort: number;
  readonly diskBytes: number;
}

/** A host name made from a server's name, which may hold anything. */
export function hostName(name: string): string {
  const safe = name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
  return safe === '' ? 'vm' : safe;
}

class SandboxMachine implements Machine {
  #queue: Promise<unknown> = Promise.resolve();
  #ended: Promise<void> | undefined;
  #addresses: readonly string[];
  #refusing = false;

  constructor(
    readonly spec: MachineSpec,
    readonly folder: string,
    readonly sandbox: Sandbox,
  ) {
    this.#addresses = spec.addresses;
  }

  get initPid(): number | undefined {
    return this.sandbox.initPid;
  }

  /** One order at a time, in the order given. */
  #next<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  boot(ssh: SshMode): Promise<void> {
    return this.#next(async () => {
      if (this.#ended || this.sandbox.initPid !== undefined) return;
      if (ssh === 'refuse') await this.#unlistenAll();
      else if (this.#refusing) await this.#listenAll();
      await this.sandbox.boot(hostName(this.spec.name), ssh === 'refuse' ? 'answer' : ssh);
    });
  }

  stop(network: 'refuse' | 'drop'): Promise<void> {
    return this.#next(async () => {
      if (!this.#ended) await this.sandbox.halt(network);
    });
  }

  freeze(): Promise<void> {
    return this.#next(async () => {
      if (this.sandbox.initPid !== undefined) await this.sandbox.freeze();
    });
  }

  thaw(): Promise<void> {
    return this.#next(async () => {
      if (this.sandbox.initPid !== undefined) await this.sandbox.thaw();
    });
  }

  network(mode: SshMode): Promise<void> {
    return this.#next(async () => {
      if (mode === 'refuse') {
        await this.#unlistenAll();
        return;
      }
      if (this.#refusing) await this.#listenAll();
      await this.sandbox.network(mode);
    });
  }

  async #unlistenAll(): Promise<void> {
    if (this.#refusing) return;
    this.#refusing = true;
    for (const address of this.#addresses) await this.sandbox.unlisten(address);
  }

  async #listenAll(): Promise<void> {
    this.#refusing = false;
    for (const address of this.#addresses) await this.sandbox.listen(address);
  }

  fillDisk(full: boolean): Promise<void> {
    return this.#next(() => this.sandbox.fillDisk(full));
  }

  changeHostKey(): Promise<void> {
    return this.#next(async () => {
      const pid = this.sandbox.initPid;
      if (pid === undefined) throw new Error('the server is not running');
      const key = generateSshKey(`root@${this.spec.name}`);
      const path = `/proc/${pid}/root/etc/ssh/ssh_host_ed25519_key`;
      await writeFile(`${path}.new`, key.privateKey, { mode: 0o600 });
      await writeFile(`${path}.pub`, `${key.publicLine}\n`);
      await rename(`${path}.new`, path);
    });
  }

  setAddresses(addresses: readonly string[]): Promise<void> {
    return this.#next(async () => {
      if (this.#ended) return;
      const before = this.#addresses;
      this.#addresses = [...addresses];
      if (this.#refusing) return;
      for (const address of before) if (!addresses.includes(address)) await this.sandbox.unlisten(address);
      for (const address of addresses) if (!before.includes(address)) await this.sandbox.listen(address);
    });
  }

  console(): Promise<string> {
    return readFile(join(this.folder, 'console.log'), 'utf8');
  }

  /** Not queued behind other orders: an end comes now. */
  end(): Promise<void> {
    this.#ended ??= this.sandbox.end().then(() => rm(this.folder, { recursive: true, force: true }));
    return this.#ended;
  }
}

/** Machines as sandboxes on this host. */
export function sandboxMachines(settings: SandboxSettings): Machines {
  let count = 0;
  return {
    async create(spec: MachineSpec): Promise<Machine> {
      // A rebuilt server's new machine exists before the old one's folder is gone.
      const folder = join(settings.servers, `${spec.id}-${++count}`);
      const seed = join(folder, 'seed');
      await mkdir(seed, { recursive: true, mode: 0o700 });
      const hostKey = generateSshKey(`root@${hostName(spec.name)}`);
      await writeSeed(seed, spec, hostKey);
      const consoleLog = join(folder, 'console.log');
      await appendFile(consoleLog, consoleBanner(spec, hostKey), { mode: 0o600 });
      try {
        const sandbox = await Sandbox.create({
          program: settings.program,
          baseLayer: settings.baseLayer,
          directory: folder,
          seed,
          consoleLog,
          addresses: spec.addresses,
          port: settings.sshPort,
          diskBytes: settings.diskBytes,
          onDown: () => undefined,
        });
        await rm(seed, { recursive: true, force: true });
        return new SandboxMachine(spec, folder, sandbox);
      } catch (error) {
        const log = await readFile(consoleLog, 'utf8').catch(() => '');
        await rm(folder, { recursive: true, force: true });
        throw new Error(`the sandbox of ${spec.name} did not start: ${log.split('\n').at(-2) ?? ''}`, {
          cause: error,
        });
      }
    },
  };
}
