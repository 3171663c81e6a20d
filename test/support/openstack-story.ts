import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, it } from '@jest/globals';
import { z } from 'zod';
import { repoRoot } from '../../src/repo-root.js';
import { labNames, OpenStackLab } from './openstack-lab.js';
import { PoolProcess } from './pool-process.js';
import { eventually, openSiteOn, type Site } from './site.js';

/** Guests are emulated in software, on machines with other work. Against hanging only. */
export const patienceMs = 600_000;

/** A look at all servers costs Nova a tenth of a second of a processor, which its VMs are emulated on. */
const lookEveryMs = 1_000;

export const policy = {
  bootLimit: '20m',
  // Long enough that a VM is still there for the next chapter.
  idleBeforeShrink: '15s',
  // A look into an emulated VM costs it half a second.
  probeEvery: '30s',
  recheckEvery: '5s',
  unreachableLimit: '45s',
  errorLimit: '10s',
  // Files of a job whose VM died cannot be copied back: nobody comes to look at it here.
  heldLimit: '5s',
  backoffBase: '2s',
  backoffMax: '6s',
};

const told = z.object({
  differences: z.array(z.object({ who: z.string(), about: z.string(), what: z.string() })),
});

/**
 * A site on the lab's OpenStack, from its first chapter to its last: each begins where the one before ended, because
 * every VM costs a boot. After one that fails, the rest is not tried.
 */
export class Story {
  #lab: OpenStackLab | null = null;
  #site: Site | null = null;
  #pool: PoolProcess | null = null;
  #broken = false;
  readonly #closers: (() => Promise<unknown>)[] = [];

  /** To be called where tests are described. `shape`: of the pool's stack. */
  constructor(shape: Readonly<Record<string, unknown>>) {
    beforeAll(async () => {
      this.#lab = new OpenStackLab();
      const { flavor, image, network } = labNames;
      const site = openSiteOn(mkdtempSync('/var/tmp/vmpool-site-'), this.lab.env(), () => Promise.resolve(), {
        shape: { flavor, image, networks: [network], ...shape },
        policy,
        // With each look at the pool's stack flavor, image and network are looked up.
        engine: { adoptEvery: '5s' },
      });
      this.#site = site;
      this.atTheEnd(() => site.close());
      await site.shape({});
      chmodSync(site.config.stateDir, 0o700);
      const pool = new PoolProcess(site, patienceMs, lookEveryMs);
      this.#pool = pool;
      this.atTheEnd(() => pool.stop());
      await pool.start();
    }, patienceMs);
    afterAll(async () => {
      for (const close of this.#closers.reverse()) await close();
      // The lab is the next file's too.
      await this.lab.deleteServers();
      await this.servers('no server', (all) => all.length === 0);
    }, 2 * patienceMs);
  }

  chapter(what: string, told: () => Promise<void>): void {
    it(
      what,
      async () => {
        if (this.#broken) throw new Error('not tried: an earlier chapter failed');
        this.#broken = true;
        await told();
        this.#broken = false;
      },
      3 * patienceMs,
    );
  }

  /** Closed before what was opened earlier. */
  atTheEnd(close: () => Promise<unknown>): void {
    this.#closers.push(close);
  }

  get lab(): OpenStackLab {
    if (this.#lab === null) throw new Error('there is no lab yet');
    return this.#lab;
  }
  get site(): Site {
    if (this.#site === null) throw new Error('there is no site yet');
    return this.#site;
  }
  get pool(): PoolProcess {
    if (this.#pool === null) throw new Error('there is no pool yet');
    return this.#pool;
  }

  /** Waits until the VM is no member any more, and then no server. */
  async gone(vm: string): Promise<void> {
    await this.pool.until(`${vm} to be no member`, ({ members }) => members.every(({ name }) => name !== vm));
    await this.noServer(vm);
  }

  async noServer(vm: string): Promise<void> {
    await this.pool.until(`${vm} to be no server`, async () =>
      (await this.lab.servers()).every(({ name }) => name !== vm),
    );
  }

  /** Waits until the cloud has such servers. */
  servers<T>(
    what: string,
    found: (servers: Awaited<ReturnType<OpenStackLab['servers']>>) => T,
  ): Promise<Exclude<T, undefined | false>> {
    return eventually(what, patienceMs, async () => found(await this.lab.servers()), lookEveryMs);
  }

  /** What `vmpool doctor` finds different between store, stacks, cloud, VMs and workers: a line each. */
  async differences(): Promise<readonly string[]> {
    const { env, configFile } = this.site;
    const words = [
      join(repoRoot, 'dist', 'src', 'cli', 'main.js'),
      'doctor',
      '--config',
      configFile,
      '--json',
    ];
    const child = spawn(process.execPath, words, {
      env: { ...process.env, ...env, HOME: process.env['HOME'] ?? '/root' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output = await text(child.stdout);
    const { differences } = told.parse(JSON.parse(output));
    return differences.map(({ who, about, what }) => `${who} ${about}: ${what}`);
  }

  /** What Nova's log tells was done to the VM. */
  async actions(vm: string): Promise<readonly string[]> {
    return this.lab.actions(await this.lab.serverId(vm));
  }

  /** The only member, once it is Free. */
  async freeVm(): Promise<string> {
    const [free] = await this.pool.calm(1, 0);
    if (free === undefined) throw new Error('no VM is Free');
    return free.name;
  }
}
