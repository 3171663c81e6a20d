import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { makeKeyPair } from '../../hooks/src/ssh-key.js';
import { repoRoot } from '../repo-root.js';

/** The demo's directory: everything that it makes on this machine is below it. */
export interface Place {
  readonly directory: string;
  /** The loopback network of the cloud's servers, as `127.130.0.0/16`. */
  readonly subnet: string;
  readonly configFile: string;
  readonly operatorTokenFile: string;
  readonly workerToken: string;
  readonly cloudState: string;
  readonly cloudOptions: string;
  readonly cloudLog: string;
  readonly serviceLog: string;
  readonly jobsDirectory: string;
  /** Pulumi project folder whose `Pulumi.demo.yaml` is the pool stack's config. */
  readonly project: string;
  readonly poolConfig: string;
  /** Read by what cleans up after a demo that was killed: the places of the workers' files, one a line. */
  readonly workerSandboxes: string;
}

export const poolName = 'demo';
export const workerName = 'worker1';
export const poolMin = 1;
export const poolMax = 6;

const secret = (): string => randomBytes(32).toString('hex');

/** Makes the directory with keys, tokens, the service's configuration and the pool stack's. */
export const makePlace = (subnet: string): Place => {
  const directory = mkdtempSync(`/var/tmp/vmpool-demo-${String(process.pid)}-`);
  const at = (name: string): string => join(directory, name);
  const write = (name: string, text: string): string => {
    writeFileSync(at(name), text, { mode: 0o600 });
    return at(name);
  };
  for (const name of ['state', 'state/pulumi', 'project', 'jobs']) {
    mkdirSync(at(name), { recursive: true, mode: 0o700 });
  }
  const admin = makeKeyPair('vmpool-demo-admin');
  const workerToken = secret();
  write('admin-key', admin.privateKey);
  write('passphrase', `${secret()}\n`);
  write('worker.token', `${workerToken}\n`);
  const operatorTokenFile = write('operator.token', `${secret()}\n`);
  const cloudOptions = write(
    'cloud.json',
    JSON.stringify({
      subnet,
      password: secret(),
      timing: { buildMs: { min: 1200, max: 2500 }, sshMs: { min: 300, max: 800 }, deleteMs: 300 },
      masked: [directory],
    }),
  );
  const configFile = write('vmpool.yaml', stringify(serviceConfig));
  cpSync(join(repoRoot, 'Pulumi.yaml'), at('project/Pulumi.yaml'));
  const poolConfig = write(
    `project/Pulumi.${poolName}.yaml`,
    stringify({ config: poolShape(admin.publicKey) }),
  );
  return {
    directory,
    subnet,
    configFile,
    operatorTokenFile,
    workerToken,
    cloudState: at('cloud'),
    cloudOptions,
    cloudLog: at('cloud.log'),
    serviceLog: at('service.log'),
    jobsDirectory: at('jobs'),
    project: at('project'),
    poolConfig,
    workerSandboxes: at('worker-sandboxes'),
  };
};

/** As in config/vmpool.example.yaml, with times for an audience that waits. */
const serviceConfig = {
  pool: poolName,
  stateDir: 'state',
  listen: { port: 0 },
  auth: {
    tokens: [
      { name: workerName, role: 'worker', worker: workerName, tokenFile: 'worker.token' },
      { name: 'operator', role: 'operator', tokenFile: 'operator.token' },
    ],
  },
  cloud: { envFile: 'openrc' },
  engine: { passphraseFile: 'passphrase', adoptEvery: '10s', createTimeout: '2m' },
  guest: { privateKeyFile: 'admin-key' },
  policy: {
    idleBeforeShrink: '5s',
    bootLimit: '90s',
    errorLimit: '3s',
    unreachableLimit: '10s',
    // Files of a job on a VM that died cannot be copied back: the VM is held, and here nobody comes to look at it.
    heldLimit: '5s',
    recheckEvery: '2s',
    probeEvery: '10s',
  },
};

const poolShape = (adminKey: string): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries({
      min: poolMin,
      max: poolMax,
      spare: 0,
      flavor: 'small',
      image: 'debian-vm',
      networks: ['net0'],
      adminKey,
    }).map(([key, value]) => [`vmpool:${key}`, value]),
  );

/** As an operator or CI would: writes settings into the pool stack's config. */
export const writeShape = (place: Place, changes: Readonly<Record<string, unknown>>): void => {
  const { config } = z
    .object({ config: z.record(z.string(), z.unknown()) })
    .parse(parse(readFileSync(place.poolConfig, 'utf8')));
  const named = Object.entries(changes).map(([key, value]): [string, unknown] => [`vmpool:${key}`, value]);
  writeFileSync(place.poolConfig, stringify({ config: { ...config, ...Object.fromEntries(named) } }));
};

/** A cloud's address and credentials, as an operator would put them into an openrc. */
export const openrcOf = (env: Readonly<Record<string, string>>): string =>
  Object.entries(env)
    .map(([name, value]) => `export ${name}="${value}"\n`)
    .join('');

export const writeOpenrc = (place: Place, env: Readonly<Record<string, string>>): void =>
  writeFileSync(join(place.directory, 'openrc'), openrcOf(env), { mode: 0o600 });

/**
 * A loopback network for the cloud's servers on which nobody listens. `seed` spreads demos that start at the same
 * time over different ones.
 */
export const freeSubnet = (seed: number): string => {
  const sockets = readFileSync('/proc/net/tcp', 'utf8');
  for (let tried = 0; tried < 90; tried += 1) {
    const second = 130 + ((seed + tried) % 90);
    // Addresses stand there as hexadecimal numbers of this machine's byte order: 127.x.y.z ends in xx7F.
    const ending = `${second.toString(16).toUpperCase().padStart(2, '0')}7F`;
    if (!new RegExp(`\\s[0-9A-F]{4}${ending}:`).test(sockets)) return `127.${String(second)}.0.0/16`;
  }
  throw new Error('every loopback network from 127.130.0.0/16 to 127.219.0.0/16 is in use on this machine');
};
