import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { changesOf, previewAll, previewStack } from '../../src/cli/preview.js';
import { leftOfJobs } from '../../src/demo/leftovers.js';
import { poolMin, poolName } from '../../src/demo/place.js';
import { demoUids, type DemoWorker } from '../../src/demo/worker.js';
import { bookFormat } from '../../src/pool/book-schema.js';
import { bookPath } from '../../src/service/open-book.js';
import { nodeFiles } from '../../src/store/files.js';
import { readDocument } from '../../src/store/store.js';
import type { EndEvidence, JobEvidence } from './evidence.js';
import { isWhole } from './faults/backend.js';
import type { ChaosJob } from './jobs.js';
import type { ChaosSite } from './site.js';

/** What became of a job, by Torque's own account and its files. */
export const jobEvidence = (
  job: ChaosJob,
  worker: DemoWorker,
  startersKilled: ReadonlySet<string>,
): JobEvidence => {
  const { mom, sandbox } = worker;
  const starts = mom.starts(job.id);
  return {
    key: job.key,
    state: mom.state(job.id),
    exitStatus: mom.exitStatus(job.id),
    stdout: mom.stdout(job.id).toString(),
    stderr: mom.stderr(job.id),
    messages: messagesIn(sandbox.path(job.directory)),
    result: worker.file(`${job.directory}/result.txt`)?.trim() ?? null,
    starts: starts.map(({ exitStatus, result, count }) => ({
      exitStatus,
      prologue: result,
      starterKilled: startersKilled.has(`${job.key}#${String(count)}`),
    })),
  };
};

const messagesIn = (directory: string): string =>
  readdirSync(directory)
    .filter((name) => name.includes('.vmpool.'))
    .map((name) => readFileSync(join(directory, name), 'utf8'))
    .join('\n');

/** Has the site come to rest? A sentence each for what it still waits for. */
export const unrest = async (site: ChaosSite): Promise<readonly string[]> => {
  const status = await site.client.status().catch(() => null);
  if (status === null) return ['the service does not answer'];
  const servers = await site.control.servers();
  return [
    ...status.leases.map(({ worker, job }) => `lease of ${worker}/${job}`),
    ...status.requests.map(({ worker, job }) => `request of ${worker}/${job}`),
    ...status.members.flatMap(({ name, state, reason }) =>
      state === 'Free' ? [] : [`${name} is ${state} (${reason ?? ''})`],
    ),
    ...(status.members.length === poolMin ? [] : [`${String(status.members.length)} members`]),
    ...(servers.length === poolMin ? [] : [`${String(servers.length)} servers`]),
    ...status.cells.filter(({ running }) => running).map(({ stack }) => `${stack} changes`),
    // What a store that was lost has forgotten is looked at anew.
    ...site.pulumi
      .cells()
      .filter((stack) => !status.cells.some((cell) => cell.stack === stack))
      .map((stack) => `${stack} is not known yet`),
    ...site.pulumi
      .cells()
      .filter((stack) => !isWhole(join(site.config.stateDir, 'pulumi'), stack))
      .map((stack) => `the state of ${stack} cannot be read`),
    ...status.problems,
    ...tracesOn(site, status, servers),
  ];
};

type Status = Awaited<ReturnType<ChaosSite['client']['status']>>;
type Servers = Awaited<ReturnType<ChaosSite['control']['servers']>>;

const tracesOn = (site: ChaosSite, status: Status, servers: Servers): readonly string[] => [
  ...new Set(
    site.workers.flatMap(({ name, worker }) =>
      leftOfJobs({ ...status, leases: [], requests: [] }, servers, worker, demoUids).map((trace) =>
        trace.includes('spool') ? `${name}: ${trace}` : trace,
      ),
    ),
  ),
];

/** What there is to see at the end. Stops the service, so that its store is looked at as it lies there. */
export const endEvidence = async (
  site: ChaosSite,
  signal: AbortSignal,
): Promise<Omit<EndEvidence, 'leftOnMachine'>> => {
  const status = await site.client.status(signal);
  const servers = await site.control.servers();
  const traces = tracesOn(site, status, servers);
  const serviceEnd = await site.service.stop();
  const [pool, cells] = await Promise.all([
    previewStack(site.pulumi, poolName, signal, ['--config-file', site.place.poolConfig]),
    previewAll(site.pulumi, site.pulumi.cells(), 2, signal),
  ]);
  return {
    members: status.members.map(({ name, state, reason }) => ({ name, state, reason })),
    min: poolMin,
    leases: status.leases.map(({ worker, job }) => `${worker}/${job}`),
    requests: status.requests.map(({ worker, job }) => `${worker}/${job}`),
    problems: status.problems,
    servers: servers.map(({ name }) => name),
    traces,
    storeDamage: await storeDamage(site),
    serviceEnd,
    previews: [pool, ...cells].map((preview) => ({
      stack: preview.stack,
      known: preview.stack === poolName || status.cells.some(({ stack }) => stack === preview.stack),
      changes: preview.changes === null ? null : changesOf(preview),
      instances: preview.instances,
      lines: preview.lines,
    })),
  };
};

const storeDamage = async (site: ChaosSite): Promise<string | null> => {
  const path = bookPath(site.config.stateDir);
  const read = await readDocument(nodeFiles, path, bookFormat);
  return read.kind === 'damaged' ? `${path}: ${read.why}` : null;
};
