import { randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createApp } from './app.js';
import { systemClock, type Clock } from './clock.js';
import { Compute } from './compute/compute.js';
import { controlRoutes } from './control-routes.js';
import { Faults } from './faults.js';
import { Identity } from './identity/identity.js';
import { Images } from './image/images.js';
import { Journal } from './journal.js';
import { noMachines, type Machines } from './machines.js';
import { NetworkState } from './network/network.js';
import {
  parseOptions,
  type CloudSettings,
  type EmbeddedOptions,
  type Quotas,
  type Timing,
} from './options.js';
import { canHoldLayers, writeBaseLayer } from './sandbox/base-layer.js';
import { checkoutFolder, sandboxProgram } from './sandbox/program.js';
import { sandboxMachines } from './sandbox/sandbox-machines.js';
import { Volumes } from './volume/volumes.js';
import { takeStateDirectory, type StateDirectory } from './state-directory.js';

export type { EmbeddedOptions } from './options.js';

type Listener = http.Server | https.Server;

export interface EmbeddedCloud {
  /** What OS_AUTH_URL must be. */
  readonly authUrl: string;
  readonly controlUrl: string;
  readonly controlToken: string;
  /** OS_* variables of an ordinary user of project demo. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends and wipes all servers, and stops listening. Idempotent. */
  stop(): Promise<void>;
}

/** What tests put in the place of time and chance. */
export interface EmbeddedSurroundings {
  readonly clock?: Clock;
  readonly random?: () => number;
}

async function prepareSandboxes(
  settings: CloudSettings,
  state: StateDirectory,
  undo: (() => Promise<void>)[],
): Promise<Machines> {
  if (process.getuid?.() !== 0)
    throw new Error(
      'the embedded cloud must be started as root: its servers are sandboxes in namespaces and mounts of their own',
    );
  await access('/usr/sbin/sshd').catch(() => {
    throw new Error(
      'the embedded cloud needs /usr/sbin/sshd for its servers: install openssh-server (it need not run on this machine)',
    );
  });
  const program = await sandboxProgram();
  let base = state.base;
  if (!(await canHoldLayers(state.path))) {
    const folder = await mkdtemp('/dev/shm/vm-base-');
    undo.push(() => rm(folder, { recursive: true, force: true }));
    base = join(folder, 'base');
  }
  await writeBaseLayer(program, base, [
    state.path,
    await checkoutFolder(),
    dirname(program),
    ...settings.masked,
  ]);
  return sandboxMachines({
    program,
    baseLayer: base,
    servers: state.servers,
    sshPort: settings.sshPort,
    diskBytes: settings.diskMiB * 1024 * 1024,
  });
}

function listen(server: Listener, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });
}

function closeServer(server: Listener): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

class ListenerControl {
  #downUntil = 0;
  #cancel: (() => void) | undefined;
  #closing: Promise<void> = Promise.resolve();

  constructor(
    readonly clock: Clock,
    readonly server: Listener,
  ) {}

  isDown(): boolean {
    return this.clock.now() < this.#downUntil;
  }

  takeDown(mode: 'reset' | 'refuse', ms: number): void {
    if (mode === 'reset') {
      this.#downUntil = this.clock.now() + ms;
      return;
    }
    const address = this.server.address();
    if (typeof address !== 'object' || !address) return;
    this.#closing = closeServer(this.server);
    this.#cancel = this.clock.after(ms, () => {
      void this.#closing
        .then(() => listen(this.server, address.address, address.port))
        .catch(() => undefined);
    });
  }

  async stop(): Promise<void> {
    this.#cancel?.();
    await this.#closing;
    await closeServer(this.server);
  }
}

/**
 * Starts an OpenStack in this process: Keystone, Nova, Neutron, Glance and Cinder behind one loopback listener, whose servers
 * are sandboxes with SSH. Everything it holds ends with stop() or with the process.
 * Rejects if it is not root (unless `sandbox: 'none'`), if the state directory is in use, or if it cannot listen.
 */
export async function startEmbeddedCloud(
  options: EmbeddedOptions,
  surroundings: EmbeddedSurroundings = {},
): Promise<EmbeddedCloud> {
  const settings = parseOptions(options);
  const clock = surroundings.clock ?? systemClock;
  const random = surroundings.random ?? Math.random;
  if (settings.sandbox === 'overlay' && process.getuid?.() !== 0)
    throw new Error(
      'the embedded cloud must be started as root: its servers are sandboxes in namespaces and mounts of their own',
    );
  const state = await takeStateDirectory(settings.state);
  const undo: (() => Promise<void>)[] = [() => state.release()];
  try {
    const machines = settings.sandbox === 'none' ? noMachines : await prepareSandboxes(settings, state, undo);
    return await open(settings, clock, random, machines, undo);
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

async function open(
  settings: CloudSettings,
  clock: Clock,
  random: () => number,
  machines: Machines,
  undo: (() => Promise<void>)[],
): Promise<EmbeddedCloud> {
  let timing: Timing = settings.timing;
  let quotas: Quotas = settings.quotas;
  const projectQuotas = new Map<string, Quotas>();
  const quotasOf = (project: string): Quotas => projectQuotas.get(project) ?? quotas;

  const identity = new Identity(clock, settings.password, settings.tokenLifetimeS);
  const images = new Images(settings.images, clock.now());
  const network = new NetworkState(clock, quotasOf, settings.subnet, identity.project('admin').id);
  const volumes = new Volumes(clock, quotasOf);
  const faults = new Faults();
  const journal = new Journal();
  const compute = new Compute({
    clock,
    random,
    timing: () => timing,
    quotasOf,
    faults,
    images,
    network,
    volumes,
    zones: settings.availabilityZones,
    machines,
    flavors: settings.flavors,
  });
  const controlToken = settings.controlToken ?? randomBytes(18).toString('base64url');

  const server = settings.tls === undefined ? http.createServer() : https.createServer(settings.tls);
  const listener = new ListenerControl(clock, server);
  const [host = '127.0.0.1', port = '0'] = settings.listen.split(':');
  let origin = '';
  const control = controlRoutes({
    token: controlToken,
    compute,
    identity,
    images,
    faults,
    journal,
    timing: { get: () => timing, set: (changed) => (timing = changed) },
    quotas: {
      get: quotasOf,
      set(project, changed) {
        if (project === undefined) quotas = { ...quotas, ...changed };
        else projectQuotas.set(project, { ...quotasOf(project), ...changed });
      },
    },
    takeDown: (mode, ms) => listener.takeDown(mode, ms),
  });
  server.on(
    'request',
    createApp({
      clock,
      random,
      timing: () => timing,
      identity,
      compute,
      network,
      images,
      volumes,
      microversions: settings.microversions,
      regions: settings.regions,
      doors: settings.doors,
      basePath: settings.basePath,
      faults,
      journal,
      control,
      isDown: () => listener.isDown(),
      origin: () => origin,
    }),
  );
  const scheme = settings.tls === undefined ? 'http' : 'https';
  origin = `${scheme}://${host}:${await listen(server, host, Number(port))}${settings.basePath}`;

  const stop = async (): Promise<void> => {
    await listener.stop();
    await compute.close();
    for (const step of undo.reverse()) await step();
  };
  let stopped: Promise<void> | undefined;
  return {
    authUrl: `${origin}/identity/v3`,
    controlUrl: `${origin}/_control`,
    controlToken,
    env: {
      OS_AUTH_URL: `${origin}/identity/v3`,
      OS_IDENTITY_API_VERSION: '3',
      OS_USERNAME: 'demo',
      OS_PASSWORD: settings.password,
      OS_PROJECT_NAME: 'demo',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
      OS_REGION_NAME: settings.regions[0] ?? '',
    },
    stop: () => (stopped ??= stop()),
  };
}
