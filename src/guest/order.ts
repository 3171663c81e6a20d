import type { JobUser } from '../pool/model.js';
import { leaseIdPattern } from './marker.js';
import { limitsText } from './measured.js';
import { mountFields, type Mount } from './mounts.js';
import type { StageOrder } from './port.js';
import { shellWord } from './quote.js';

export interface IdLimits {
  /** Lowest uid that a job may have. */
  readonly uidMin: number;
  /** Lowest gid of any of a job's groups: a lower one could be `sudo`, `docker` or `disk` on the VM. */
  readonly gidMin: number;
}

export type CheckedOrder =
  | { readonly ok: true; readonly fields: readonly (string | number)[] }
  | { readonly ok: false; readonly why: string };

const namePattern = /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/;
const variablePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;
const publicKeyPattern = /^(ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( [^\n\r\0]*)?$/;
/** One path, absolute, that fits a line of /etc/passwd and of the journal on the VM. */
const pathPattern = /^(\/[^/:\p{Cc}]+)+$/u;
const maxId = 2 ** 32 - 2;

/** The job's own directory for temporary files; it goes with the lease. */
export function jobTmpDir(lease: string): string {
  return `/tmp/vmpool-${lease.slice(0, 24)}`;
}

/** The job's environment as a file to be read by a shell: one `export` for each variable, values quoted. */
export function environmentText(variables: Readonly<Record<string, string>>): string {
  return Object.keys(variables)
    .sort()
    .map((name) => `export ${name}=${shellWord(variables[name] ?? '')}`)
    .join('\n');
}

/** The fields of stage.sh's input, or why no VM could carry out the order. `marker` is the text to be left there. */
export function checkOrder(
  order: StageOrder,
  limits: IdLimits,
  adminUser: string,
  siteEnvironment: Readonly<Record<string, string>>,
  marker: string,
  mounts: readonly Mount[] = [],
): CheckedOrder {
  const { user } = order;
  if (!leaseIdPattern.test(order.lease)) throw new Error(`not a lease id: ${JSON.stringify(order.lease)}`);
  const tmpDir = jobTmpDir(order.lease);
  const environment = { TMPDIR: tmpDir, ...siteEnvironment, ...order.environment };
  const why =
    userProblem(user, limits, adminUser) ??
    (publicKeyPattern.test(order.publicKey) ? null : "the lease's public key is not an OpenSSH public key") ??
    environmentProblem(environment);
  if (why !== null) return { ok: false, why };
  const shared = mountFields(mounts, user.name);
  const fields = [
    order.lease,
    user.name,
    user.uid,
    user.gid,
    user.home,
    user.shell,
    tmpDir,
    limits.uidMin,
    limits.gidMin,
    order.publicKey,
    environmentText(environment),
    marker,
    limitsText(order.limits ?? {}),
    shared.length,
    ...shared,
    ...user.groups.flatMap(({ name, gid }) => [name, gid]),
  ];
  return { ok: true, fields };
}

function userProblem(user: JobUser, limits: IdLimits, adminUser: string): string | null {
  const shown = JSON.stringify(user.name);
  if (!namePattern.test(user.name)) return `the user name ${shown} cannot be an account on a VM`;
  if (user.name === 'root' || user.name === adminUser)
    return `the user name ${shown} is the pool's own on the VMs`;
  if (!isId(user.uid) || user.uid < limits.uidMin)
    return `uid ${user.uid} of ${shown} is below ${limits.uidMin}`;
  if (!user.groups.some(({ gid }) => gid === user.gid))
    return `the primary gid ${user.gid} of ${shown} has no name`;
  for (const { name, gid } of user.groups) {
    if (!namePattern.test(name)) return `the group name ${JSON.stringify(name)} cannot be a group on a VM`;
    if (!isId(gid) || gid < limits.gidMin) return `gid ${gid} of group ${name} is below ${limits.gidMin}`;
  }
  if (!isPlainPath(user.home))
    return `the home ${JSON.stringify(user.home)} of ${shown} is not a plain absolute path`;
  if (!isPlainPath(user.shell))
    return `the shell ${JSON.stringify(user.shell)} of ${shown} is not a plain absolute path`;
  return null;
}

function environmentProblem(environment: Readonly<Record<string, string>>): string | null {
  for (const [name, value] of Object.entries(environment)) {
    if (!variablePattern.test(name)) return `${JSON.stringify(name)} cannot be the name of a variable`;
    if (value.includes('\0')) return `the variable ${name} holds a NUL character`;
  }
  return null;
}

function isId(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id <= maxId;
}

function isPlainPath(path: string): boolean {
  return (
    path.length < 1024 &&
    pathPattern.test(path) &&
    !path.split('/').some((part) => part === '.' || part === '..')
  );
}
