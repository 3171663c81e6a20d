import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusView } from '../http/api.js';
import type { ServerSummary } from '../embedded/control.js';
import type { DemoWorker } from './worker.js';

/** What is left of the jobs while service, cloud and worker still run; a sentence each. */
export const leftOfJobs = (
  status: StatusView,
  servers: readonly ServerSummary[],
  worker: DemoWorker,
  uids: readonly number[],
): readonly string[] => {
  const found: string[] = [];
  for (const lease of [...status.leases, ...status.requests])
    found.push(`lease or request of job ${lease.job}`);
  const members = new Set(status.members.map(({ name }) => name));
  for (const server of servers) {
    if (!members.has(server.name))
      found.push(`server ${server.name} (${server.status}) that the pool does not know`);
    if (server.initPid !== null)
      found.push(...leftOnVm(server.name, `/proc/${String(server.initPid)}/root`, worker));
  }
  for (const pid of processesOf(uids)) found.push(`process ${pid} of a user of the demo`);
  found.push(...leftInSpool(worker));
  return found;
};

const leftOnVm = (name: string, root: string, worker: DemoWorker): readonly string[] => {
  const found: string[] = [];
  const accounts = readFileSync(join(root, 'etc/passwd'), 'utf8').split('\n');
  for (const user of Object.values(worker.users)) {
    if (accounts.some((line) => line.startsWith(`${user.name}:`)))
      found.push(`account ${user.name} on VM ${name}`);
    if (existsSync(join(root, user.home))) found.push(`${user.home} on VM ${name}`);
  }
  for (const directory of ['tmp', 'var/tmp', 'dev/shm']) {
    for (const entry of list(join(root, directory))) found.push(`/${directory}/${entry} on VM ${name}`);
  }
  if (existsSync(join(root, 'etc/vmpool/lease.json'))) found.push(`a lease's marker on VM ${name}`);
  return found;
};

const list = (directory: string): readonly string[] => (existsSync(directory) ? readdirSync(directory) : []);

/** The hooks keep a small record of every start for a day; keys, capabilities and job files must be gone. */
const leftInSpool = (worker: DemoWorker): readonly string[] =>
  spoolFiles(worker.sandbox.path('/var/spool/vmpool/jobs'), '')
    .filter((path) => !/(^|\/)(latest|attempt\.json)$/.test(path))
    .map((path) => `${path} in the worker's spool`);

const spoolFiles = (directory: string, prefix: string): readonly string[] =>
  existsSync(directory)
    ? readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory()
          ? spoolFiles(join(directory, entry.name), `${prefix}${entry.name}/`)
          : [`${prefix}${entry.name}`],
      )
    : [];

const pids = (): readonly string[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name));

/** Pids, as this machine sees them, of processes that run as one of those users, on VMs and worker alike. */
const processesOf = (uids: readonly number[]): readonly string[] =>
  pids().filter((pid) => {
    const uid = /^Uid:\t(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1];
    return uid !== undefined && uids.includes(Number(uid));
  });

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const link = (path: string): string => {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
};

const settleMs = 5_000;

/** What the machine looked like before the demo. */
export interface MachineBefore {
  readonly accounts: string;
  readonly mounts: string;
}

export const lookAtMachine = (): MachineBefore => ({
  accounts: read('/etc/passwd') + read('/etc/group'),
  mounts: read('/proc/self/mounts'),
});

/**
 * What is left on this machine after everything has stopped; a sentence each. `own`: pids that may name the directory. What
 * ends by itself, as an ssh whose VM has gone, has some seconds for that.
 */
export const leftOnMachine = async (...where: Parameters<typeof leftNow>): Promise<readonly string[]> => {
  const until = performance.now() + settleMs;
  let left = leftNow(...where);
  while (left.length > 0 && performance.now() < until) {
    await sleep(100);
    left = leftNow(...where);
  }
  return left;
};

const leftNow = (
  directory: string,
  before: MachineBefore,
  uids: readonly number[],
  own: readonly number[],
): readonly string[] => {
  const found: string[] = [];
  const now = lookAtMachine();
  if (now.accounts !== before.accounts) found.push('accounts of this machine have changed');
  const mountsBefore = new Set(before.mounts.split('\n'));
  for (const mount of now.mounts.split('\n')) {
    if (!mountsBefore.has(mount) && mount.includes(directory)) found.push(`mount ${mount}`);
  }
  for (const pid of pids()) {
    if (own.includes(Number(pid))) continue;
    const traces = [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`].map(read);
    if ([...traces, link(`/proc/${pid}/cwd`)].some((text) => text.includes(directory))) {
      found.push(`process ${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()}`);
    }
  }
  for (const pid of processesOf(uids)) found.push(`process ${pid} of a user of the demo`);
  return found;
};
