import {
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeOwned, readPlain, removeDrafts, writeDurably, type FileOwner } from './files.js';
import { lock, type Held } from './lock.js';
import type { ProcessId } from '../processes.js';

/**
 * What root's hooks remember of one start of a job.
 *
 * `asking`: the prologue is at work (with `start` 0, no ids and no lease until Torque's server has told the start). `open`: it ended well, the job may run. `ending`: an epilogue (or a newer
 * start) has taken over; nothing may run any more. `ended`: released; kept for a day so that a second epilogue
 * knows that there is nothing to do.
 */
export type AttemptState = 'asking' | 'open' | 'ending' | 'ended';

export interface AttemptRecord {
  readonly version: 1;
  readonly job: string;
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly start: number;
  readonly boot: string;
  readonly starter: ProcessId;
  readonly prologue: ProcessId;
  /** Path of the job's file in mom_priv/jobs. */
  readonly script: string;
  readonly lease: string | null;
  readonly state: AttemptState;
  /** A newer start of the job took over: its files are no longer wanted. */
  readonly superseded: boolean;
}

const safe = /[A-Za-z0-9_.-]/;

/**
 * A job id as a file name: brackets and whatever else is written as =XX, a leading dot too, so that two ids never
 * share a name and none leaves its directory. (ssh would expand a percent sign in a path.)
 */
export function safeName(job: string): string {
  const bytes = [...Buffer.from(job, 'utf8')];
  return bytes
    .map((byte, index) => {
      const letter = String.fromCharCode(byte);
      return byte < 128 && safe.test(letter) && !(letter === '.' && index === 0)
        ? letter
        : `=${byte.toString(16).padStart(2, '0').toUpperCase()}`;
    })
    .join('');
}

/** The job id of a file name; null for a name that `safeName` makes of none. */
export function jobOfSafeName(name: string): string | null {
  try {
    const job = decodeURIComponent(name.replaceAll('=', '%'));
    return safeName(job) === name ? job : null;
  } catch {
    return null;
  }
}

export const attemptName = (starter: ProcessId): string => `${starter.pid}-${starter.ticks}`;

const isNumber = (value: unknown): value is number => Number.isSafeInteger(value);
const isProcess = (value: unknown): value is ProcessId =>
  typeof value === 'object' &&
  value !== null &&
  'pid' in value &&
  isNumber(value.pid) &&
  'ticks' in value &&
  isNumber(value.ticks);

const states: readonly unknown[] = ['asking', 'open', 'ending', 'ended'] satisfies AttemptState[];

/** Every field, because what is no record must be passed over, and not stop the sync for all the others. */
function isRecord(value: unknown): value is AttemptRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Partial<Record<keyof AttemptRecord, unknown>>;
  return (
    record.version === 1 &&
    [record.job, record.user, record.boot, record.script].every((text) => typeof text === 'string') &&
    [record.uid, record.gid, record.start].every(isNumber) &&
    Array.isArray(record.groups) &&
    record.groups.every(isNumber) &&
    isProcess(record.starter) &&
    isProcess(record.prologue) &&
    (record.lease === null || typeof record.lease === 'string') &&
    states.includes(record.state) &&
    typeof record.superseded === 'boolean'
  );
}

/** Directories: `jobs/<job>/<pid>-<ticks>/{attempt.json,lease/,run/}`, `locks/`, `held/`, `messages/`. */
export class Spool {
  constructor(readonly root: string) {}

  /** Root's directories are searchable by all and listable by root: users reach the paths that are told to them. */
  prepare(): void {
    for (const part of ['', 'jobs', 'locks', 'held', 'messages']) makeOwned(join(this.root, part), 0o711);
  }

  jobDirectory(job: string): string {
    return join(this.root, 'jobs', safeName(job));
  }
  attemptDirectory(job: string, starter: ProcessId): string {
    return join(this.jobDirectory(job), attemptName(starter));
  }

  /** Guards the records of a job; held for milliseconds. */
  async locked<T>(job: string, waitMs: number, work: () => T): Promise<T> {
    const held = await lock(join(this.root, 'locks', `${safeName(job)}.record`), waitMs);
    if (held === null) throw new Error(`the record of job ${job} stayed locked for ${waitMs} ms`);
    try {
      return work();
    } finally {
      held.release();
    }
  }
  /** Held by whoever ends the job's attempts: an epilogue, its second copy, or the sync. */
  lockEnding(job: string, waitMs: number): Promise<Held | null> {
    return lock(join(this.root, 'locks', `${safeName(job)}.ending`), waitMs);
  }
  lockSync(): Promise<Held | null> {
    return lock(join(this.root, 'locks', 'sync'), 0);
  }

  /** Takes the new attempt into the book and tells job starters of tasks which attempt is the latest. */
  begin(record: AttemptRecord): void {
    makeOwned(this.jobDirectory(record.job), 0o711);
    makeOwned(this.attemptDirectory(record.job, record.starter), 0o711);
    this.write(record);
    writeDurably(join(this.jobDirectory(record.job), 'latest'), attemptName(record.starter), 0o644);
  }

  /** The caller holds the job's record lock, so whoever left a draft there is dead. */
  write(record: AttemptRecord): void {
    const directory = this.attemptDirectory(record.job, record.starter);
    writeDurably(join(directory, 'attempt.json'), JSON.stringify(record), 0o600);
    removeDrafts(directory);
  }

  read(job: string, starter: ProcessId): AttemptRecord | null {
    return this.#readAt(join(this.attemptDirectory(job, starter), 'attempt.json'));
  }

  #readAt(path: string): AttemptRecord | null {
    const text = readPlain(path);
    if (text === null) return null;
    try {
      const value: unknown = JSON.parse(text);
      return isRecord(value) ? value : null;
    } catch {
      return null;
    }
  }

  attempts(job: string): AttemptRecord[] {
    const directory = this.jobDirectory(job);
    return this.#attemptNames(job)
      .map((name) => this.#readAt(join(directory, name, 'attempt.json')))
      .filter((record) => record !== null)
      .sort((a, b) => a.start - b.start || a.starter.ticks - b.starter.ticks);
  }

  /** The user's own directory within root's: the only thing here that they may write. */
  makeRunDirectory(path: string, owner: FileOwner): void {
    mkdirSync(path, { mode: 0o700 });
    lchownSync(path, owner.uid, owner.gid);
  }

  jobs(): string[] {
    return this.#named('jobs');
  }

  /** Removes a tombstone. The caller holds the job's record lock. */
  forget(record: AttemptRecord): void {
    const directory = this.attemptDirectory(record.job, record.starter);
    unlinkSync(join(directory, 'attempt.json'));
    removeDrafts(directory);
    rmdirSync(directory);
    this.#forgetJob(record.job);
  }

  /** Has a prologue been killed, longer ago than that, before it had written anything down? */
  isUntidy(job: string, olderThanMs: number): boolean {
    const directory = this.jobDirectory(job);
    const empty = this.#attemptNames(job).length === 0;
    return this.#unbegun(job, olderThanMs).length > 0 || (empty && isOld(directory, olderThanMs));
  }

  /** Removes what such prologues have left. The caller holds the job's record lock. */
  forgetUnbegun(job: string, olderThanMs: number): void {
    for (const path of this.#unbegun(job, olderThanMs)) {
      removeDrafts(path);
      rmdirSync(path);
    }
    if (this.#attemptNames(job).length === 0) this.#forgetJob(job);
  }

  #unbegun(job: string, olderThanMs: number): readonly string[] {
    return this.#attemptNames(job)
      .map((name) => join(this.jobDirectory(job), name))
      .filter((path) => !existsSync(join(path, 'attempt.json')) && isOld(path, olderThanMs));
  }

  #forgetJob(job: string): void {
    const directory = this.jobDirectory(job);
    removeDrafts(directory);
    const rest = list(directory).filter((name) => name !== 'latest');
    if (rest.length > 0) return;
    rmSync(join(directory, 'latest'), { force: true });
    rmdirSync(directory);
    for (const kind of ['record', 'ending'])
      rmSync(join(this.root, 'locks', `${safeName(job)}.${kind}`), { force: true });
  }

  #attemptNames(job: string): readonly string[] {
    return list(this.jobDirectory(job)).filter((name) => /^\d+-\d+$/.test(name));
  }

  /** A job that we hold because the service was out of reach; the sync lets it go again. */
  noteHeld(job: string): void {
    writeDurably(join(this.root, 'held', safeName(job)), '', 0o600);
  }
  held(): string[] {
    return this.#named('held');
  }
  /** Whatever else lies there (`lost+found`, an editor's copy) is no job's. */
  #named(directory: string): string[] {
    return list(join(this.root, directory))
      .map(jobOfSafeName)
      .filter((job) => job !== null);
  }
  forgetHeld(job: string): void {
    unlinkSync(join(this.root, 'held', safeName(job)));
  }

  /** A message for a user whose job's output will never be delivered. */
  leaveMessage(job: string, text: string, owner: FileOwner): string {
    const path = join(this.root, 'messages', `${safeName(job)}.txt`);
    writeDurably(path, text, 0o400, owner);
    return path;
  }
}

const isOld = (path: string, ms: number): boolean => {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > ms;
};

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
