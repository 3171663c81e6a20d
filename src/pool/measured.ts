import type { Millis } from './model.js';

/**
 * What Torque limits a job to, as far as the VM keeps it. Memory in bytes, processor time in seconds. `mem` and `vmem`
 * are of all processes of the job together, resident and virtual; `pmem` and `pvmem` of each one; so are `cput` and
 * `pcput`. Absent: no limit.
 */
export interface JobLimits {
  readonly mem?: number | undefined;
  readonly pmem?: number | undefined;
  readonly vmem?: number | undefined;
  readonly pvmem?: number | undefined;
  readonly cput?: number | undefined;
  readonly pcput?: number | undefined;
}
export const limitNames = ['mem', 'pmem', 'vmem', 'pvmem', 'cput', 'pcput'] as const;
export type LimitName = (typeof limitNames)[number];

/** What a lease has used on its VM, as measured there by root. */
export interface Measured {
  /** User and system time of all of the job's processes. */
  readonly cpuSeconds: number;
  /** The most that they had at once. */
  readonly memoryBytes: number;
  /** From the start of the job's program to its end, or to when it was last seen. */
  readonly wallSeconds: number;
  /** Did the job's program start? */
  readonly begun: boolean;
  /** Its exit code, 128 + n after signal n; null where nobody told. */
  readonly code: number | null;
  /** Did Torque send a signal that is to end it, before it ended? */
  readonly told: boolean;
  /** The limit for which it was ended. */
  readonly over: { readonly limit: LimitName; readonly value: number; readonly most: number } | null;
}

/** What is known of a lease that has ended, until its VM was asked what it used. */
export interface TenantEnd {
  readonly at: Millis;
  readonly user: string;
  readonly queue: string;
  readonly processors: number;
  readonly flavor: string;
  readonly grantedAt: Millis;
  /** Had the VM been made ready? */
  readonly ready: boolean;
  /** Was the VM gone, or silent, when the lease ended? */
  readonly lost: boolean;
  /** The exit status as Torque told it to the epilogue; null where no epilogue came. */
  readonly exit: number | null;
}

export const jobEnds = [
  'finished',
  'failed',
  'signalled',
  'over-memory',
  'over-cput',
  'cancelled',
  'vm-lost',
  'never-started',
  'unknown',
] as const;
/**
 * How a job ended.
 * - `finished`, `failed`: by itself, with 0 or another code
 * - `signalled`: by a signal that Torque did not send
 * - `over-memory`, `over-cput`: beyond a limit
 * - `cancelled`: by Torque, for its user, an operator or its walltime
 * - `vm-lost`: its VM went, or was out of reach
 * - `never-started`: the job's program did not begin
 */
export type JobEnd = (typeof jobEnds)[number];

/** Torque's exit status where its prologue or mom ended the job before it began. */
const neverStarted = new Set([-1, -2, -3, -14]);
const overWalltime = -11;
/** The job starter's words for a VM that is lost, or never came (docs/reference/hooks.md). */
const starterAgain = 99;
/** The first of the codes that it has for itself. */
const starterFilesLost = 97;

/** What VM, epilogue and book say together. The VM is believed first: Torque sees but the ssh beside the job. */
export function jobEndOf(end: Pick<TenantEnd, 'ready' | 'lost' | 'exit'>, measured: Measured | null): JobEnd {
  const { exit } = end;
  if (measured?.over != null)
    return measured.over.limit === 'cput' || measured.over.limit === 'pcput' ? 'over-cput' : 'over-memory';
  if (!end.ready) return 'never-started';
  // A code is of something that ran, whether its begin was heard or not; the job starter's own codes are not.
  const ran = exit !== null && exit >= 0 && exit < starterFilesLost;
  if (measured?.begun === false && measured.code === null && !ran) return 'never-started';
  if (measured === null && end.lost) return 'vm-lost';
  if (exit !== null && neverStarted.has(exit)) return 'never-started';
  const own = measured?.code ?? null;
  if (own === null && exit === starterAgain) return 'vm-lost';
  // 256 and a signal: sent by the mom.
  if (exit === overWalltime || (exit !== null && exit > 256)) return 'cancelled';
  const code = own ?? (exit !== null && exit >= 0 && exit <= 255 ? exit : null);
  if (code === null) return measured === null ? 'unknown' : 'cancelled';
  if (measured?.told === true) return 'cancelled';
  if (code === 0) return 'finished';
  return code > 128 && code <= 128 + 64 ? 'signalled' : 'failed';
}

/** The exit code for the account: the VM's own, else Torque's. */
export function exitCodeOf(end: Pick<TenantEnd, 'exit'>, measured: Measured | null): number | null {
  return measured?.code ?? end.exit;
}

export const mib = (bytes: number): string => `${Math.ceil(bytes / 1048576)} MiB`;

/** In words, for the history: `finished (exit code 0): 12.3 s of CPU time in 20.1 s, 130 MiB at most`. */
export function measuredText(end: JobEnd, code: number | null, measured: Measured | null): string {
  const how = `${end}${code === null ? '' : ` (exit code ${code})`}`;
  if (measured === null) return `${how}: what it used was not measured`;
  const { cpuSeconds, wallSeconds, memoryBytes, over } = measured;
  const isTime = over?.limit === 'cput' || over?.limit === 'pcput';
  const shown = (n: number): string => (isTime ? `${n.toFixed(0)} s` : mib(n));
  const beyond = over === null ? '' : `; ${over.limit} ${shown(over.value)} beyond ${shown(over.most)}`;
  return `${how}: ${cpuSeconds.toFixed(1)} s of CPU time in ${wallSeconds.toFixed(1)} s, ${mib(memoryBytes)} at most${beyond}`;
}
