import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudControl } from '../../embedded/control.js';
import type { StatusView } from '../../http/api.js';

const lookEveryMs = 500;
const startLimitMs = 30_000;

export interface VmGmondOptions {
  readonly control: CloudControl;
  readonly status: () => Promise<StatusView>;
  /** Where the collector listens. */
  readonly collector: { readonly address: string; readonly port: number };
}

/**
 * What an image with Ganglia has: a gmond in each VM that sends to the collector. A server of the embedded cloud has no
 * network but the sockets that it was given, so the program is started in the VM from outside, with the machine's
 * network and the VM's own address. It ends with the VM.
 */
export class VmGmond {
  readonly #stopped = new AbortController();
  /** By the server's id, the machine in which it was started. */
  readonly #started = new Map<string, number>();
  readonly #problems = new Set<string>();
  readonly #running: Promise<void>;

  constructor(private readonly options: VmGmondOptions) {
    this.#running = this.#run();
  }

  /** What went wrong with VMs that are still there. */
  get problems(): readonly string[] {
    return [...this.#problems];
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await this.#round();
      } catch {
        // Cloud or service do not answer for a moment; the next look follows.
      }
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #round(): Promise<void> {
    const [servers, { members }] = await Promise.all([this.options.control.servers(), this.options.status()]);
    for (const { id, name, initPid } of servers) {
      const address = members.find((member) => member.name === name)?.address;
      if (initPid === null || address == null || this.#started.get(id) === initPid) continue;
      this.#started.set(id, initPid);
      try {
        await startIn(initPid, gmondConfig(name, address, this.options.collector));
      } catch (error) {
        const there = (await this.options.control.servers()).some((server) => server.initPid === initPid);
        if (there)
          this.#problems.add(`gmond in ${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
}

const gmondConfig = (
  name: string,
  address: string,
  collector: VmGmondOptions['collector'],
): string => `globals { setuid = no deaf = yes send_metadata_interval = 2 override_hostname = "${name}" override_ip = "${address}" }
udp_send_channel { host = ${collector.address} port = ${String(collector.port)} bind = "${address}" }
modules { module { name = "core_metrics" } module { name = "load_module" path = "modload.so" } }
collection_group { collect_every = 1 time_threshold = 2 metric { name = "heartbeat" } metric { name = "load_one" title = "One Minute Load Average" } }
`;

/** gmond goes to the background by itself and is then the VM's. */
const startIn = (pid: number, config: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const namespaces = ['--mount', '--pid', '--ipc', '--uts'];
    const command = 'umask 022; cat >/run/gmond.conf && exec /usr/sbin/gmond -c /run/gmond.conf';
    const child = execFile(
      'nsenter',
      ['-t', String(pid), ...namespaces, 'sh', '-c', command],
      { timeout: startLimitMs, cwd: '/' },
      (error, stdout, stderr) => {
        if (error === null) resolve();
        else reject(new Error(`${stdout}${stderr}${error.message}`));
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(config);
  });
