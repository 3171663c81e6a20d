import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { InstallationId } from '../pool/model.js';
import { listFloatingIps, readFloatingIp, releaseFloatingIp } from './addresses.js';
import { CallCounter } from './calls.js';
import type { CallCount } from './calls.js';
import { systemClock } from './clock.js';
import type { CloudClock } from './clock.js';
import type { CredentialFiles } from './clouds-yaml.js';
import { resolveCredentials } from './credentials.js';
import type { Auth, Env } from './credentials.js';
import { redactor } from './failure.js';
import { flavors, images, lookUp, networks } from './lookups.js';
import { CloudError, identityKeys } from './port.js';
import type { Cloud, Listing, ServerView } from './port.js';
import { readQuota } from './quota.js';
import { defaultRetryPolicy } from './retry.js';
import type { RetryPolicy } from './retry.js';
import { ServerLists } from './changes.js';
import { deleteServer, listServers, readActions, readConsole, readServer, rebuildServer } from './servers.js';
import { Session } from './session.js';
import type { CloudLog } from './session.js';
import { createTransport } from './transport.js';
import type { Transport } from './transport.js';

export interface CloudOptions {
  /** Where OS_* is read from; the engine's process must get the same. */
  readonly env: Env;
  readonly installation: InstallationId;
  readonly clock?: CloudClock;
  readonly log?: CloudLog;
  readonly retry?: RetryPolicy;
  /** Where clouds.yaml and PEM files are read; the machine's own by default. */
  readonly files?: CredentialFiles;
  /** For tests; Node's HTTP client by default. Closed with the cloud. */
  readonly transport?: Transport;
}

/** Which cloud it is, for `vmpool check` and the log. No secret in it. */
export interface CloudIdentity {
  readonly authUrl: string;
  readonly source: string;
  readonly region: string;
  readonly interface: string;
  readonly user: string | null;
  readonly project: { readonly id: string; readonly name: string | null } | null;
  readonly endpoints: Readonly<Record<'compute' | 'network' | 'image', string>>;
  /** Null: Nova's base version. */
  readonly microversion: string | null;
}

export interface OpenStackCloud extends Cloud {
  /** HTTP exchanges since the start, retries included. */
  calls(): readonly CallCount[];
  /** Signs in if need be. Throws `CloudError`. */
  identity(signal: AbortSignal): Promise<CloudIdentity>;
  /**
   * Every server that carries the pool's name, whichever installation made it: for who looks for the installation that
   * a lost state directory was.
   */
  listPool(pool: string, signal: AbortSignal): Promise<Listing>;
  /** What in the credentials works, but not as one may think. */
  readonly warnings: readonly string[];
  /** Ends what is under way and closes all connections. */
  close(): void;
}

const silent: CloudLog = { debug: () => {}, warn: () => {} };

/** The files of this machine, as the provider would look for them. */
export function machineFiles(): CredentialFiles {
  return {
    cwd: process.cwd(),
    home: os.userInfo().homedir,
    read(file) {
      try {
        return readFileSync(file, 'utf8');
      } catch {
        return null;
      }
    },
  };
}

function openTransport(tls: Auth['tls']): Transport {
  try {
    return createTransport(tls);
  } catch {
    // OpenSSL's own words could show parts of a key.
    throw new CloudError(
      'unauthorised',
      'the OpenStack credentials cannot be used: OS_CACERT, OS_CERT or OS_KEY (cacert, cert, key) is not a valid PEM, or certificate and key do not belong together',
    );
  }
}

/**
 * Opens the cloud that the environment names. Reads the files now and signs in with the first call. Throws
 * `CloudError` of kind `unauthorised` with every fault of the credentials named.
 */
export function createCloud(options: CloudOptions): OpenStackCloud {
  const resolution = resolveCredentials(options.env, options.files ?? machineFiles());
  if (!resolution.ok) {
    throw new CloudError(
      'unauthorised',
      `the OpenStack credentials cannot be used: ${resolution.errors.join('; ')}`,
    );
  }
  const { auth } = resolution;
  const clock = options.clock ?? systemClock;
  const log = options.log ?? silent;
  const counter = new CallCounter();
  const session: Session = new Session({
    auth,
    transport: options.transport ?? openTransport(auth.tls),
    clock,
    log,
    counter,
    retry: options.retry ?? defaultRetryPolicy,
    redact: redactor(() => [...auth.secrets, ...session.liveSecrets()]),
    userAgent: 'vmpool',
  });

  const lists = new ServerLists(session, options.installation, log);
  return {
    warnings: auth.warnings,
    calls: () => counter.all(),
    close: () => session.close(),
    async identity(signal) {
      const token = await session.token(signal);
      return {
        authUrl: auth.authUrl,
        source: auth.source,
        region: auth.region,
        interface: auth.interface,
        user: token.userName,
        project: token.projectId === null ? null : { id: token.projectId, name: token.projectName },
        endpoints: {
          compute: await session.endpoint('compute', signal),
          network: await session.endpoint('network', signal),
          image: await session.endpoint('image', signal),
        },
        microversion: await session.microversion(signal),
      };
    },
    async listPool(pool, signal) {
      const ofPool = (server: ServerView): ServerView | null =>
        server.metadata[identityKeys.pool] === pool ? server : null;
      const { servers, complete, why } = await listServers(session, ofPool, log, signal);
      return { servers, complete, ...(why === undefined ? {} : { why }) };
    },
    listOurs: (signal) => lists.all(signal),
    listChanged: (signal) => lists.changed(signal),
    server: (id, signal) => readServer(session, id, signal),
    deleteServer: (id, signal) => deleteServer(session, id, clock, signal),
    async rebuildServer(id, imageNameOrId, signal) {
      const image = await lookUp(session, images, imageNameOrId, signal);
      if (!image.found) {
        throw new CloudError('not-found', `could not rebuild the server ${id}: ${image.why}`);
      }
      await rebuildServer(session, id, image.value.id, signal);
    },
    consoleLog: (id, lines, signal) => readConsole(session, id, lines, signal),
    quota: (signal) => readQuota(session, signal),
    floatingIps: (signal) => listFloatingIps(session, options.installation, signal),
    floatingIp: (id, signal) => readFloatingIp(session, options.installation, id, signal),
    releaseFloatingIp: (id, signal) => releaseFloatingIp(session, id, signal),
    actions: (id, signal) => readActions(session, id, signal),
    tagsAtCreate: (signal) => session.speaks('2.52', signal),
    flavor: (nameOrId, signal) => lookUp(session, flavors, nameOrId, signal),
    image: (nameOrId, signal) => lookUp(session, images, nameOrId, signal),
    network: (nameOrId, signal) => lookUp(session, networks, nameOrId, signal),
  };
}
