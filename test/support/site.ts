import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { Config } from '../../src/config/load.js';
import { parseConfig } from '../../src/config/load.js';
import type { EmbeddedCloud } from '../../src/embedded/cloud.js';
import { startEmbeddedCloud } from '../../src/embedded/cloud.js';
import { CloudControl } from '../../src/embedded/control.js';
import type { EmbeddedOptions } from '../../src/embedded/options.js';
import { enginePlainEnv, stackConfigPath } from '../../src/engine/environment.js';
import { engineOptionsSchema } from '../../src/engine/options.js';
import { parsePoolOutputs } from '../../src/engine/pool-outputs.js';
import type { Guest } from '../../src/guest/port.js';
import type { LeaseView, MemberView } from '../../src/http/api.js';
import { createHttpServer } from '../../src/http/server.js';
import type { InstallationId } from '../../src/pool/model.js';
import { poolClock } from '../../src/service/clock.js';
import { installationOf } from '../../src/service/installation.js';
import type { Log } from '../../src/service/log.js';
import { engineOptions, openParts, settingsOf } from '../../src/service/parts.js';
import { startPool } from '../../src/service/pool.js';
import type { PoolService } from '../../src/service/port.js';
import { runBySsh } from './ssh.js';

/** A whole site in a directory of its own, on whatever cloud the environment names: Pulumi, service; no worker. */
export interface Site {
  readonly directory: string;
  readonly config: Config;
  readonly env: Readonly<Record<string, string>>;
  readonly tokens: { readonly worker: string; readonly operator: string };
  /** Configuration file for `vmpool serve`. */
  readonly configFile: string;
  readonly adminPublicKey: string;
  /** Writes the pool stack's config and brings it up with the plain command line. */
  shape(changes: Readonly<Record<string, unknown>>): Promise<void>;
  plain(
    stack: string,
    args: readonly string[],
    configFile?: string,
  ): Promise<{ code: number; output: string }>;
  /** `guest` plays the service's SSH side, where the VMs have none. */
  start(instead?: { readonly guest: Guest }): Promise<RunningService>;
  close(): Promise<void>;
}

/** A site that brings its own embedded cloud. */
export interface EmbeddedSite extends Site {
  readonly cloud: EmbeddedCloud;
  readonly control: CloudControl;
}

export interface RunningService {
  readonly service: PoolService;
  readonly url: string;
  readonly logged: readonly string[];
  stop(): Promise<void>;
}

export interface SiteOptions {
  readonly policy?: Readonly<Record<string, unknown>>;
  readonly engine?: Readonly<Record<string, unknown>>;
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly guest?: Readonly<Record<string, unknown>>;
}

export interface EmbeddedSiteOptions extends SiteOptions {
  /** Third and second byte of the servers' network: sites side by side need different ones. */
  readonly subnet: string;
  readonly cloud?: Partial<EmbeddedOptions>;
}

const never = new AbortController().signal;

export async function openSite(options: EmbeddedSiteOptions): Promise<EmbeddedSite> {
  const directory = mkdtempSync('/var/tmp/vmpool-site-');
  const cloud = await startEmbeddedCloud({
    state: join(directory, 'cloud'),
    subnet: options.subnet,
    timing: { buildMs: 500, sshMs: 100, deleteMs: 200 },
    ...options.cloud,
  });
  const control = new CloudControl(cloud.controlUrl, cloud.controlToken);
  const site = openSiteOn(directory, cloud.env, () => cloud.stop(), options);
  return { ...site, cloud, control };
}

/**
 * A site on a cloud that is there: `cloudEnv` are its OS_* variables. `close` of the site stops the service, then
 * calls `stopCloud` and removes the directory.
 */
export function openSiteOn(
  directory: string,
  cloudEnv: Readonly<Record<string, string>>,
  stopCloud: () => Promise<void>,
  options: SiteOptions,
): Site {
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const tokens = { worker: 'w'.repeat(40), operator: 'o'.repeat(40) };
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'admin', '-f', join(directory, 'admin')]);
  const adminPublicKey = readFileSync(join(directory, 'admin.pub'), 'utf8').trim();
  const text = stringify({
    pool: 'site',
    stateDir: join(directory, 'state'),
    listen: { port: 0 },
    auth: {
      tokens: [
        { name: 'w1', role: 'worker', worker: 'w1', tokenFile: file('worker.token', tokens.worker) },
        { name: 'op', role: 'operator', tokenFile: file('operator.token', tokens.operator) },
      ],
    },
    engine: {
      passphraseFile: file('passphrase', 'correct horse battery staple'),
      adoptEvery: '2s',
      ...options.engine,
    },
    guest: { privateKeyFile: join(directory, 'admin'), ...options.guest },
    policy: {
      idleBeforeShrink: '3s',
      recheckEvery: '2s',
      probeEvery: '3s',
      errorLimit: '2s',
      ...options.policy,
    },
  });
  const configFile = file('vmpool.yaml', text);
  const loaded = parseConfig(text, directory, {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
  const { config } = loaded;
  const env: Record<string, string> = { PATH: process.env['PATH'] ?? '', HOME: directory, ...cloudEnv };

  const emptyProject = join(directory, 'project');
  mkdirSync(emptyProject);
  file('project/Pulumi.yaml', 'name: vmpool\nruntime: nodejs\n');

  const plain = async (
    stack: string,
    args: readonly string[],
    config_?: string,
  ): Promise<{ code: number; output: string }> => {
    mkdirSync(config.stateDir, { recursive: true });
    mkdirSync(join(config.stateDir, 'pulumi'), { recursive: true });
    const installation: InstallationId = await installationOf(config.stateDir);
    const engine = engineOptionsSchema.parse(
      await engineOptions(config, installation, env, (installed) => installed),
    );
    const how = enginePlainEnv(engine, stack);
    const configArgs =
      args[0] === 'stack' ? [] : ['--config-file', config_ ?? stackConfigPath(config.stateDir, stack)];
    const { execFile } = await import('node:child_process');
    return new Promise((resolve) => {
      execFile(
        engine.pulumi.bin,
        [...args, '--stack', stack, ...configArgs, '--non-interactive', '--color', 'never'],
        {
          // `stack init` writes a config file into its directory: not into the checkout.
          cwd: args[0] === 'stack' ? emptyProject : how.directory,
          env: { ...env, ...how.environment, PATH: `${how.environment['PATH'] ?? ''}:${env['PATH'] ?? ''}` },
          timeout: 300_000,
        },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
          resolve({ code, output: stdout + stderr });
        },
      );
    });
  };

  let shaped: Readonly<Record<string, unknown>> = {
    min: 1,
    max: 3,
    spare: 0,
    flavor: 'small',
    image: 'debian-vm',
    networks: ['net0'],
    adminKey: adminPublicKey,
    ...options.shape,
  };
  let initialised = false;
  const poolFile = join(directory, 'Pulumi.site.yaml');
  const shape = async (changes: Readonly<Record<string, unknown>>): Promise<void> => {
    shaped = { ...shaped, ...changes };
    const entries = Object.entries(shaped).map(([key, value]) => [`vmpool:${key}`, value]);
    writeFileSync(poolFile, stringify({ config: Object.fromEntries(entries) as object }));
    if (!initialised) {
      const init = await plain('site', ['stack', 'init']);
      if (init.code !== 0) throw new Error(init.output);
      initialised = true;
    }
    const up = await plain('site', ['up', '--yes', '--skip-preview'], poolFile);
    if (up.code !== 0) throw new Error(up.output);
  };

  const running = new Set<RunningService>();
  const start = async (instead?: { readonly guest: Guest }): Promise<RunningService> => {
    const logged: string[] = [];
    const write = (level: string) => (fields: object, message: string) => {
      logged.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
    const log: Log = {
      debug: () => undefined,
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    };
    const parts = await openParts(config, env, log);
    const pool = startPool({
      ...parts,
      ...instead,
      hostKeyPolicy: config.guest.hostKeys,
      parseOutputs: parsePoolOutputs,
      clock: poolClock(parts.book.at),
      log,
      version: 'test',
      capabilitySecret: Buffer.from('test'),
      settings: { ...settingsOf(config), watch: { busyMs: 500, quietMs: 2_000 } },
    });
    const http = createHttpServer({ config, service: pool.service, clock: { now: () => Date.now() }, log });
    const { url } = await http.listen();
    const service: RunningService = {
      service: pool.service,
      url,
      logged,
      stop: async () => {
        running.delete(service);
        await http.close(1_000);
        await pool.stop();
        parts.cloud.close();
      },
    };
    running.add(service);
    return service;
  };

  return {
    directory,
    config,
    env,
    tokens,
    configFile,
    adminPublicKey,
    shape,
    plain,
    start,
    close: async () => {
      for (const service of [...running]) await service.stop();
      await stopCloud();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** What a command says that root runs on a VM of the site. @throws Error when it fails */
export async function onVm(
  { directory }: Pick<EmbeddedSite, 'directory'>,
  host: string,
  command: string,
): Promise<string> {
  const ask = { user: 'root', keyFile: join(directory, 'admin'), command };
  const { code, out } = await runBySsh({ endpoint: { host, port: 22 } }, ask);
  if (code !== 0) throw new Error(`${command}: ${String(code)}: ${out}`);
  return out;
}

/** Waits until `found` gives something else than undefined or false, and fails with `what` after `ms`. */
export async function eventually<T>(
  what: string,
  ms: number,
  found: () => T | Promise<T>,
  everyMs = 100,
): Promise<Exclude<T, undefined | false>> {
  const end = Date.now() + ms;
  for (;;) {
    const value = await found();
    if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(everyMs);
  }
}

/** A job of a user, as the prologue would ask for it. */
export function jobRequest(n: number, start = 1): Parameters<PoolService['request']>[1] {
  return {
    job: `${n}.site`,
    attempt: { start, boot: 'boot-1', pid: 1000 + n, ticks: 5 },
    user: {
      name: 'alice',
      uid: 2001,
      gid: 2001,
      groups: [{ name: 'alice', gid: 2001 }],
      home: '/home/alice',
      shell: '/bin/bash',
    },
    publicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl',
    processors: 1,
    queue: 'batch',
    jobName: 'test',
  };
}

/** Asks for a VM and waits until it is ready. */
export async function leaseReady(service: PoolService, n: number, ms: number, start = 1): Promise<LeaseView> {
  const asked = await service.request('w1', jobRequest(n, start));
  if (asked.kind !== 'done') throw new Error(`${asked.code}: ${asked.detail}`);
  const view = await service.waitFor(asked.value.id, 'ready', ms, never, true);
  if (view?.ready !== true)
    throw new Error(
      `not ready within ${ms} ms: ${JSON.stringify(view)} ${JSON.stringify(service.status().problems)}`,
    );
  return view;
}

export async function releaseJob(service: PoolService, n: number, start = 1): Promise<void> {
  const body = { job: `${n}.site`, attempt: jobRequest(n, start).attempt, reason: 'job ended' };
  const answer = await service.release('w1', body);
  if (answer.kind !== 'done') throw new Error(answer.detail);
}

export function membersIn(service: PoolService, state: MemberView['state']): MemberView[] {
  return service.status().members.filter((m) => m.state === state);
}
