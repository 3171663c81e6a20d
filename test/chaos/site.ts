import { execFile } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { plainPulumi, type PlainPulumi } from '../../src/cli/plain-pulumi.js';
import { formatConfigErrors, loadConfig, type Config } from '../../src/config/load.js';
import type { OwnedProcess } from '../../src/demo/owned-process.js';
import { ownEnvironment, startCloud } from '../../src/demo/parts.js';
import { freeSubnet, makePlace, poolName, type Place } from '../../src/demo/place.js';
import { DemoWorker } from '../../src/demo/worker.js';
import type { CloudControl } from '../../src/embedded/control.js';
import { createClient, type Client } from '../../src/http/client.js';
import { repoRoot } from '../../src/repo-root.js';
import { WallClock } from './faults/clock.js';
import { KeptService } from './service.js';

const run = promisify(execFile);

/** Size of the file system that holds the service's state: small enough to be filled in a moment. */
const stateMiB = 48;

const workerNames = ['worker1', 'worker2'] as const;
/** Together more than the pool has VMs, so that requests wait. */
const processorsOfWorker = 4;

export interface ChaosWorker {
  readonly name: string;
  readonly worker: DemoWorker;
}

/** Cloud, service and workers of one run of chaos. Opened in order; closed in the other. */
export interface ChaosSite {
  readonly place: Place;
  readonly config: Config;
  readonly control: CloudControl;
  readonly cloud: OwnedProcess;
  readonly service: KeptService;
  readonly clock: WallClock;
  readonly client: Client;
  readonly pulumi: PlainPulumi;
  readonly workers: readonly ChaosWorker[];
}

/** A directory for the run, with the state on a small file system of its own. */
export const preparePlace = async (): Promise<Place> => {
  const place = makePlace(freeSubnet(process.pid));
  const state = join(place.directory, 'state');
  await run('mount', ['-t', 'tmpfs', '-o', `size=${String(stateMiB)}m,mode=700`, 'vmpool-chaos', state]);
  mkdirSync(join(state, 'pulumi'), { mode: 0o700 });
  const port = await freePort();
  const settings = z.looseObject({}).parse(parse(readFileSync(place.configFile, 'utf8')));
  writeFileSync(join(place.directory, 'worker2.token'), `${place.workerToken}2\n`, { mode: 0o600 });
  const changed = {
    ...settings,
    listen: { port },
    auth: {
      tokens: [
        ...workerNames.map((name, at) => ({
          ...{ name, role: 'worker', worker: name },
          tokenFile: at === 0 ? 'worker.token' : 'worker2.token',
        })),
        { name: 'operator', role: 'operator', tokenFile: 'operator.token' },
      ],
    },
    policy: { ...z.looseObject({}).parse(settings['policy']), ...policy },
  };
  writeFileSync(place.configFile, stringify(changed));
  return place;
};

/** Failed creates are the rule here, and held VMs must be explained before they may go. */
const policy = { backoffBase: '1s', backoffMax: '5s', heldLimit: '60s', bootLimit: '90s', scrubLimit: '60s' };

/** `closers` gets what ends each part as soon as there is something to end. */
export const openSite = async (
  place: Place,
  closers: (() => Promise<void>)[],
  signal: AbortSignal,
): Promise<ChaosSite> => {
  const { control, process: cloud } = await startCloud(place);
  closers.push(async () => void (await cloud.stop()));
  const loaded = loadConfig(place.configFile, process.env);
  if (!loaded.ok) throw new Error(formatConfigErrors(place.configFile, loaded.errors));
  const { config } = loaded;
  const pulumi = await plainPulumi(config, ownEnvironment());
  for (const args of [
    ['--cwd', place.project, 'stack', 'init', poolName],
    ['up', '--yes', '--skip-preview', '--stack', poolName, '--config-file', place.poolConfig],
  ]) {
    const result = await pulumi.run(args, signal);
    if (result.code !== 0) throw new Error(`pulumi ${args.join(' ')}:\n${result.stdout}${result.stderr}`);
  }
  const clock = await WallClock.prepare(join(place.directory, 'clock'), join(repoRoot, '.cache/chaos'));
  const service = new KeptService(place, clock.environment);
  closers.push(async () => void (await service.stop()));
  const url = `http://127.0.0.1:${String(config.listen.port)}`;
  if (!(await service.ready(60_000)))
    throw new Error(`the service does not start: ${service.refusals.at(-1) ?? 'no word of it'}`);
  const workers: ChaosWorker[] = [];
  for (const [at, name] of workerNames.entries()) {
    const token = at === 0 ? place.workerToken : `${place.workerToken}2`;
    const worker = await DemoWorker.start(place, url, {
      name,
      token,
      np: processorsOfWorker,
      firstJob: 1000 * (at + 1),
    });
    closers.push(() => worker.stop());
    workers.push({ name, worker });
  }
  const token = readFileSync(place.operatorTokenFile, 'utf8').trim();
  const client = createClient({ url, token });
  closers.push(() => {
    client.close();
    return Promise.resolve();
  });
  return { place, config, control, cloud, service, clock, client, pulumi, workers };
};

/** Chaos' own account of what it did, beside the logs. */
export const noteIn = (place: Place, text: string): void =>
  appendFileSync(join(place.directory, 'chaos.log'), `${new Date().toISOString()} ${text}\n`);

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
