import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { locateEngine } from '../../scripts/engine/locate.mjs';
import { createCloud, type OpenStackCloud } from '../../src/cloud/openstack.js';
import { startEmbeddedCloud, type EmbeddedCloud } from '../../src/embedded/cloud.js';
import type { EmbeddedOptions } from '../../src/embedded/options.js';
import type { FaultOrder } from '../../src/embedded/faults.js';
import { createEngine } from '../../src/engine/client.js';
import { enginePlainEnv, markOf, stackConfigPath } from '../../src/engine/environment.js';
import { cellStackName, engineOptionsSchema, type EngineOptions } from '../../src/engine/options.js';
import type { CallLimits } from '../../src/engine/limits.js';
import { markedProcesses } from '../../src/engine/orphans.js';
import type { CellMember, CellWish, Engine, EngineEvent } from '../../src/engine/port.js';
import type { CellName, InstallationId, MemberName, MemberSpec, ServerId } from '../../src/pool/model.js';
import { generationOf } from '../../stacks/shape.js';
import { PlainApi } from './plain-api.js';

const repoRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Result of a plain `pulumi` command. */
export interface PlainResult {
  readonly code: number;
  readonly output: string;
}

export interface EngineBench {
  readonly engine: Engine;
  readonly options: EngineOptions;
  readonly embedded: EmbeddedCloud;
  readonly cloud: OpenStackCloud;
  readonly directory: string;
  /** A spec that the embedded cloud can build. */
  spec(changes?: Partial<MemberSpec>): MemberSpec;
  member(name: string, changes?: Partial<MemberSpec>): CellMember;
  wish(cell: string, members: readonly CellMember[], retire?: readonly string[]): CellWish;
  /** Opens one more engine on the same state, as a restarted service would. */
  reopen(limits?: Partial<CallLimits>): Promise<Engine>;
  /** The plain command line from the repository's root, with what `enginePlainEnv` says. */
  plain(stack: string, args: readonly string[], configFile?: string): Promise<PlainResult>;
  /** `pulumi stack init`, away from the repository's root: it writes a config file where it runs. */
  initStack(stack: string): Promise<PlainResult>;
  configPath(stack: string): string;
  fault(order: FaultOrder): Promise<void>;
  clearFaults(): Promise<void>;
  /** Servers of this installation by name. */
  servers(): Promise<ReadonlyMap<string, ServerId>>;
  /** Descriptions of the floating IPs that the cloud has. */
  floatingIps(): Promise<readonly string[]>;
  /** Names of Nova's actions on each server of this installation, its create left out. */
  actions(): Promise<Readonly<Record<string, readonly string[]>>>;
  /** Pids of this engine's own processes by program name. */
  processes(program: string): readonly number[];
  close(): Promise<void>;
}

export interface BenchOptions {
  readonly cloud?: Partial<EmbeddedOptions>;
  readonly engine?: Partial<Pick<EngineOptions, 'createTimeoutMs' | 'maxParallel' | 'orphanGraceMs'>>;
}

/** Engines on one state, in a directory of their own. */
export interface Engines {
  readonly options: EngineOptions;
  open(limits?: Partial<CallLimits>): Promise<Engine>;
  close(): Promise<void>;
}

/**
 * Engines with everything real (CLI, plugins, engine process) on a cloud that is there: `cloudEnv` are its OS_* variables.
 * `close` closes them, then calls `stopCloud` and removes the directory; it rejects if a process of theirs is left.
 */
export const openEnginesOn = (
  directory: string,
  cloudEnv: Readonly<Record<string, string>>,
  stopCloud: () => Promise<void>,
  changes: BenchOptions['engine'] = {},
): Engines => {
  const installed = locateEngine();
  writeFileSync(join(directory, 'Pulumi.yaml'), 'name: vmpool\nruntime: nodejs\n');
  const passphraseFile = join(directory, 'passphrase');
  writeFileSync(passphraseFile, 'correct horse\n', { mode: 0o600 });
  const options = engineOptionsSchema.parse({
    repoRoot,
    stateDir: join(directory, 'state'),
    pool: 'p',
    installation: randomUUID(),
    pulumi: { bin: installed.pulumi, home: installed.pulumiHome },
    backendUrl: `file://${directory}`,
    passphraseFile,
    cloudEnv: { ...cloudEnv },
    maxParallel: 4,
    createTimeoutMs: 120_000,
    ...changes,
  });
  const engines: Engine[] = [];
  return {
    options,
    open: async (limits = {}) => {
      const engine = await createEngine({ ...options, limits });
      engines.push(engine);
      return engine;
    },
    close: async () => {
      await Promise.all(engines.map((each) => each.close()));
      await stopCloud();
      const left = markedProcesses(markOf(options));
      rmSync(directory, { recursive: true, force: true });
      if (left.length > 0) {
        throw new Error(`left running: ${JSON.stringify(left)}`);
      }
    },
  };
};

/**
 * An engine with everything real (CLI, plugins, engine process) on an embedded cloud without machines, in a
 * directory of its own. Close it: then nothing is left.
 */
export const startEngineBench = async (given: BenchOptions = {}): Promise<EngineBench> => {
  requireFreshBuild();
  const directory = mkdtempSync(join(tmpdir(), 'vmpool-engine-'));
  const embedded = await startEmbeddedCloud({
    timing: { buildMs: 300, sshMs: 0, deleteMs: 300, latencyMs: 0 },
    ...given.cloud,
    state: join(directory, 'cloud'),
    sandbox: 'none',
    password: `cloud-password-${randomUUID()}`,
  });
  const engines = openEnginesOn(
    directory,
    embedded.env,
    async () => {
      cloud.close();
      await embedded.stop();
    },
    given.engine,
  );
  const { options } = engines;
  const engine = await engines.open();
  const cloud = createCloud({
    env: embedded.env,
    installation: options.installation as InstallationId,
  });
  const control = async (method: string, path: string, body?: unknown): Promise<void> => {
    const answer = await fetch(`${embedded.controlUrl}${path}`, {
      method,
      headers: { 'x-control-token': embedded.controlToken, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) {
      throw new Error(`${method} ${path}: ${String(answer.status)} ${await answer.text()}`);
    }
  };
  const never = new AbortController().signal;
  const spec = (changes: Partial<MemberSpec> = {}): MemberSpec => ({
    flavor: 'small',
    image: 'debian-vm',
    networks: ['net0'],
    sshNetwork: 'net0',
    siteNetwork: 'net0',
    securityGroups: ['default'],
    availabilityZones: [],
    userData: '#!/bin/sh\ntrue\n',
    metadata: { site: 'test' },
    configDrive: false,
    bootVolumeGiB: null,
    floatingIpPool: null,
    serverGroupPolicy: null,
    ...changes,
  });
  const servers = async (): Promise<ReadonlyMap<string, ServerId>> => {
    const { servers: found } = await cloud.listOurs(never);
    return new Map(found.map(({ name, id }) => [name, id]));
  };
  const runPlain = (stack: string, args: readonly string[], place?: string): Promise<PlainResult> => {
    const plain = enginePlainEnv(options, stack);
    return run(
      options.pulumi.bin,
      [...args, '--non-interactive', '--color', 'never'],
      place ?? plain.directory,
      {
        HOME: directory,
        ...embedded.env,
        ...plain.environment,
        PATH: `${plain.environment['PATH'] ?? ''}:${process.env['PATH'] ?? ''}`,
      },
    );
  };
  return {
    engine,
    options,
    embedded,
    cloud,
    directory,
    spec,
    member: (name, changes) => ({
      name: name as MemberName,
      generation: generationOf(spec(changes)),
      spec: spec(changes),
      made: false,
    }),
    wish: (cell, members, retire = []) => ({
      cell: cell as CellName,
      members,
      retire: retire as readonly MemberName[],
    }),
    reopen: (limits) => engines.open(limits),
    plain: (stack, args, configFile) =>
      runPlain(stack, [
        ...args,
        '--stack',
        stack,
        '--config-file',
        configFile ?? stackConfigPath(options.stateDir, stack),
      ]),
    initStack: (stack) => runPlain(stack, ['stack', 'init', stack], directory),
    configPath: (stack) => stackConfigPath(options.stateDir, stack),
    fault: (order) => control('POST', '/faults', order),
    clearFaults: () => control('DELETE', '/faults'),
    servers,
    floatingIps: () => floatingIpsOf(embedded),
    actions: async () => {
      const found = await Promise.all(
        [...(await servers())].map(async ([name, id]) => {
          const actions = await cloud.actions(id, never);
          return [name, actions.map(({ action }) => action)] as const;
        }),
      );
      return Object.fromEntries(found);
    },
    processes: (program) =>
      markedProcesses(markOf(options))
        .filter((found) => found.program === program)
        .map(({ pid }) => pid),
    close: () => engines.close(),
  };
};

/** Writes a pool stack's config file with what the embedded cloud can build, and returns its path. */
export const writePoolConfig = (
  bench: EngineBench,
  changes: Readonly<Record<string, unknown>> = {},
): string => {
  const path = join(bench.directory, `Pulumi.${bench.options.pool}.yaml`);
  const values = {
    min: 1,
    max: 6,
    flavor: 'small',
    image: 'debian-vm',
    networks: ['net0'],
    adminKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeyOfThePool pool',
    ...changes,
  };
  const config = Object.fromEntries(Object.entries(values).map(([key, value]) => [`vmpool:${key}`, value]));
  writeFileSync(path, stringify({ config }));
  return path;
};

export const stackOf = (bench: EngineBench, cell: string): string => cellStackName(bench.options.pool, cell);

type MemberEvent = Exclude<EngineEvent, { readonly type: 'statePutBack' }>;

/**
 * Collects the events of members with the moment of their coming, in milliseconds since the collection began, and apart
 * from them what was said of a state that was put back.
 */
export const collectEvents = (): {
  readonly events: (MemberEvent & { readonly afterMs: number })[];
  readonly putBack: string[];
  readonly take: (event: EngineEvent) => void;
} => {
  const began = performance.now();
  const events: (MemberEvent & { readonly afterMs: number })[] = [];
  const putBack: string[] = [];
  return {
    events,
    putBack,
    take: (event) => {
      if (event.type === 'statePutBack') putBack.push(event.message);
      else events.push({ ...event, afterMs: Math.round(performance.now() - began) });
    },
  };
};

/** Waits until the condition holds; fails with `what` after the limit. */
export const until = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 60_000,
): Promise<void> => {
  const pollMs = 50;
  for (let waited = 0; waited < limitMs; waited += pollMs) {
    if (await condition()) {
      return;
    }
    await sleep(pollMs);
  }
  throw new Error(`waited ${String(limitMs)} ms in vain: ${what}`);
};

const floatingIpsOf = async ({ env }: EmbeddedCloud): Promise<readonly string[]> => {
  const api = await PlainApi.signIn(env);
  const { floatingips } = (await api.call('network', 'GET', '/floatingips')) as {
    floatingips: { description: string }[];
  };
  return floatingips.map(({ description }) => description);
};

const run = (
  bin: string,
  args: readonly string[],
  cwd: string,
  environment: Readonly<Record<string, string>>,
): Promise<PlainResult> =>
  new Promise((resolve) => {
    execFile(bin, [...args], { cwd, env: { ...environment }, timeout: 180_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, output: `${stdout}\n${stderr}` });
    });
  });

/** The engine process and the command line run `dist/`: results of an older build would mean nothing. */
export const requireFreshBuild = (): void => {
  for (const folder of ['stacks', join('src', 'engine')]) {
    for (const name of readdirSync(join(repoRoot, folder))) {
      if (!name.endsWith('.ts') || name === 'port.ts') {
        continue;
      }
      const source = join(repoRoot, folder, name);
      const built = join(repoRoot, 'dist', folder, name.replace(/\.ts$/, '.js'));
      if (statSync(source).mtimeMs > (statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0)) {
        throw new Error(`${built} is older than its source: run \`npm run build\` first`);
      }
    }
  }
};
