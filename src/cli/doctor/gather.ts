import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { createCloud } from '../../cloud/openstack.js';
import type { ServerView } from '../../cloud/port.js';
import type { Config } from '../../config/load.js';
import { readSecretFile } from '../../config/secret-file.js';
import type { Facts, MarkerFacts, StackFacts } from '../../doctor/facts.js';
import { readStateFile, stackFactsOf, type StackPlace } from '../../doctor/stacks.js';
import { directoryOfBackend } from '../../engine/backend.js';
import { parseExport, type ParsedState } from '../../engine/deployment.js';
import { createGuest } from '../../guest/guest.js';
import type { Book, Member } from '../../pool/book.js';
import { isDeleting, isUnusable } from '../../pool/book.js';
import type { InstallationId } from '../../pool/model.js';
import { cloudEnvironment } from '../../service/environment.js';
import { bookPath } from '../../service/open-book.js';
import { settingsOf } from '../../service/parts.js';
import { errorText, nodeFiles } from '../../store/files.js';
import { goodCopies } from '../../store/generations.js';
import { ownerOf, readBook } from '../check/book-file.js';
import { plainPulumi } from '../plain-pulumi.js';
import type { World } from '../world.js';

const cloudLimitMs = 120_000;
const exportLimitMs = 60_000;
const markersLimitMs = 60_000;
const markersAtOnce = 16;

export const stackPlaceOf = (config: Config): StackPlace => ({
  pool: config.pool,
  stateDir: config.stateDir,
  backend: directoryOfBackend(config.engine.backend),
});

/** Looks at store, stacks, cloud and guests, each apart from the others. Changes nothing. */
export const gather = async (config: Config, env: World['env'], guests: boolean): Promise<Facts> => {
  const found = await readBook(config.stateDir);
  const running = ownerOf(config.stateDir) !== null;
  const book = found.kind === 'read' ? found.book : null;
  const installation = installationAt(config.stateDir);
  const [cloud, stacks, markers] = await Promise.all([
    cloudFacts(config, env, book?.installation ?? installation, book),
    stackFacts(config, env),
    guests && book !== null ? markerFacts(config, book) : Promise.resolve({}),
  ]);
  return {
    pool: config.pool,
    now: Date.now(),
    stateDir: config.stateDir,
    installation,
    book:
      found.kind === 'read'
        ? { kind: 'read', book: found.book, running }
        : found.kind === 'none' && (await copiesOf(config.stateDir)).length === 0
          ? { kind: 'none' }
          : {
              kind: 'unusable',
              why: found.kind === 'unusable' ? found.why : 'it is gone, while earlier copies of it are there',
              copies: await copiesOf(config.stateDir),
              running,
            },
    openFiles: openFiles(config),
    cloud,
    stacks,
    workers: settingsOf(config).workers,
    markers,
  };
};

const copiesOf = async (stateDir: string): Promise<readonly string[]> =>
  (await goodCopies(nodeFiles, bookPath(stateDir))).map(({ path, savedAt }) => `${path} of ${savedAt}`);

const installationAt = (stateDir: string): string | null => {
  try {
    return z.uuid().parse(readFileSync(join(stateDir, 'installation'), 'utf8').trim());
  } catch {
    return null;
  }
};

const openFiles = ({ stateDir, capabilitySecretFile }: Config): Facts['openFiles'] => {
  const wanted: readonly (readonly [string, number, number])[] = [
    [stateDir, 0o077, 0o700],
    [bookPath(stateDir), 0o077, 0o600],
    [capabilitySecretFile, 0o007, 0o600],
  ];
  return wanted.flatMap(([path, others, mode]) => {
    if (!existsSync(path)) return [];
    const present = statSync(path).mode & 0o7777;
    return (present & others) === 0 ? [] : [{ path, mode: present, wanted: mode }];
  });
};

const cloudFacts = async (
  config: Config,
  env: World['env'],
  installation: string | null,
  book: Book | null,
): Promise<Facts['cloud']> => {
  const signal = AbortSignal.timeout(cloudLimitMs);
  try {
    const cloud = createCloud({
      env: cloudEnvironment(config, env),
      installation: (installation ?? 'none') as InstallationId,
    });
    try {
      const { servers, complete } = await cloud.listPool(config.pool, signal);
      const listed = new Set<string>(servers.map(({ id }) => id));
      const looked: Record<string, ServerView | null> = {};
      for (const { name, server } of book?.members.values() ?? []) {
        if (server !== null && !listed.has(server.id)) looked[name] = await cloud.server(server.id, signal);
      }
      return { kind: 'listed', servers, complete, looked };
    } finally {
      cloud.close();
    }
  } catch (error) {
    return { kind: 'unknown', why: errorText(error) };
  }
};

const stackFacts = async (config: Config, env: World['env']): Promise<readonly StackFacts[]> => {
  const place = stackPlaceOf(config);
  const pulumi = await plainPulumi(config, env);
  const facts: StackFacts[] = [];
  for (const stack of pulumi.cells()) {
    const state =
      place.backend === null
        ? exported(
            await pulumi.run(['stack', 'export', '--stack', stack], AbortSignal.timeout(exportLimitMs)),
          )
        : readStateFile(place.backend, stack);
    facts.push(stackFactsOf(place, stack, state));
  }
  return facts;
};

const exported = (result: {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}): ParsedState | null => {
  if (result.code === 0) return parseExport(result.stdout);
  return /no stack named/.test(result.stderr) ? null : { ok: false, why: result.stderr.trim(), torn: false };
};

/** Reads the markers of VMs whose host keys are known; one that is being made, cleaned or ended has nothing to say. */
const markerFacts = async (config: Config, book: Book): Promise<Facts['markers']> => {
  const secret = readSecretFile(config.capabilitySecretFile);
  const guest = createGuest({
    adminUser: config.guest.user,
    privateKeyFile: config.guest.privateKeyFile,
    hostKeyPolicy: config.guest.hostKeys,
    stateDir: config.stateDir,
    markerSecret: secret.ok ? Buffer.from(secret.secret) : randomBytes(32),
    clock: { now: () => Date.now() },
    log: () => undefined,
  });
  const signal = AbortSignal.timeout(markersLimitMs);
  const markers: Record<string, MarkerFacts> = {};
  const read = async (member: Member): Promise<void> => {
    if (member.endpoint === null) return;
    const target = { member: member.name, endpoint: member.endpoint, hostKeys: member.hostKeys };
    const result = await guest.probe(target, signal);
    markers[member.name] = result.ok
      ? {
          kind: 'read',
          lease: result.marker?.lease ?? null,
          job: result.marker?.key.job ?? null,
          worker: result.marker?.key.worker ?? null,
          authentic: result.marker?.authentic ?? false,
        }
      : { kind: 'silent', why: result.why };
  };
  const queue = book.members
    .values()
    .filter(
      (m) =>
        m.hostKeys.length > 0 && !isDeleting(m) && !isUnusable(m, 'building') && !isUnusable(m, 'scrubbing'),
    );
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await read(next);
  };
  try {
    await Promise.all(Array.from({ length: markersAtOnce }, worker));
    return markers;
  } finally {
    await guest.close();
  }
};
