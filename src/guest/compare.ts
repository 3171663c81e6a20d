import { ruleFor, systemdPrivateTmp } from './noise.js';
import { parseEntry, shownPath, type Entry, type Process, type Survey } from './survey.js';

export interface CompareLimits {
  /** From this uid on, ids belong to people and jobs: no noise is theirs. */
  readonly uidMin: number;
  /** So much less free space than at the baseline is a finding, in KiB. */
  readonly spaceMarginKiB: number;
}

/** One thing that differs from the baseline, in words; `passing` ones may be a service that was just starting. */
export interface Finding {
  readonly text: string;
  readonly passing: boolean;
}

/** What of a baseline survey a later one is compared with. Plain data: it is stored as JSON. */
export interface Reference {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  readonly sockets: readonly string[];
  readonly ipc: readonly string[];
  /** What was directly below the places that the scrub empties. */
  readonly tmp: readonly string[];
  readonly firewall: string;
  readonly contents: Readonly<Record<string, string>>;
  readonly free: Readonly<Record<string, number>>;
  readonly treeHash: string;
  readonly loose: Readonly<Record<string, Entry>>;
  readonly bootId: string;
}

const temporaryName = /\t(\/(?:tmp|var\/tmp|dev\/shm)\/[^/]+)\/\//;

export function referenceOf(survey: Survey): Reference {
  return {
    processes: [...new Set(foreignProcesses(survey).map(processIdentity))].sort(),
    mounts: survey.mounts,
    sockets: survey.sockets,
    ipc: survey.ipc,
    tmp: survey.tree.flatMap((record) => temporaryName.exec(record)?.[1] ?? []),
    firewall: survey.firewall,
    contents: Object.fromEntries(survey.contents),
    free: Object.fromEntries(survey.free),
    treeHash: survey.treeHash,
    loose: Object.fromEntries(survey.loose),
    bootId: survey.bootId,
  };
}

/**
 * All that differs from the baseline and is no noise. `readTree` gives the baseline's file records; it is called only
 * when the tree's hash differs.
 */
export function compareSurvey(
  reference: Reference,
  now: Survey,
  readTree: () => readonly string[],
  limits: CompareLimits,
): Finding[] {
  const findings: Finding[] = [];
  const found = (text: string, passing = false): void => void findings.push({ text, passing });

  const known = new Set(reference.processes);
  for (const process of foreignProcesses(now)) {
    if (known.has(processIdentity(process)) || isSystemdHelper(process)) continue;
    const what = shownPath(process.command || process.exe || '?').slice(0, 120);
    found(
      `process: ${process.pid} of uid ${process.uids[0] ?? '?'}: ${what}`,
      (process.uids[0] ?? 0) < limits.uidMin,
    );
  }
  for (const mount of added(reference.mounts, now.mounts)) found(`mount: ${shownPath(mount)} is new`);
  for (const mount of added(now.mounts, reference.mounts)) found(`mount: ${shownPath(mount)} is gone`);
  for (const socket of added(reference.sockets, now.sockets))
    found(`socket: ${shownPath(socket)} is new`, true);
  for (const object of added(reference.ipc, now.ipc)) found(`ipc: ${shownPath(object)} is new`);
  if (reference.firewall !== now.firewall) found('firewall: the rules are not those of the baseline');

  compareContents(reference, now, found);
  for (const [point, free] of Object.entries(reference.free)) {
    const left = now.free.get(point);
    if (left !== undefined && free - left > limits.spaceMarginKiB) {
      found(
        `space: ${Math.round((free - left) / 1024)} MiB less free on ${shownPath(point)} than at the baseline`,
      );
    }
  }
  if (now.treeHash !== reference.treeHash) {
    const before = now.tree.length === 0 ? [] : readTree();
    const differences = compareTrees(before, now.tree);
    if (differences.length === 0) found('file: the tree of files is not that of the baseline');
    for (const difference of differences) {
      if (!isPrivateTmp(difference.path, difference.entry))
        found(`file: ${shownPath(difference.path)} ${difference.what}`);
    }
  }
  compareLoose(reference.loose, now.loose, limits, found);
  return findings;
}

/** Everything but the kernel's own threads, pid 1, zombies, and the connection that carries the survey. */
export function foreignProcesses(survey: Survey): Process[] {
  const byPid = new Map(survey.processes.map((process) => [process.pid, process]));
  const above = (pid: number): Process[] => {
    const chain: Process[] = [];
    let process = byPid.get(pid);
    while (process && chain.length < 64) {
      chain.push(process);
      process = byPid.get(process.parent);
    }
    return chain;
  };
  // The listener carries every connection: only what is below the connection's own sshd is the survey's.
  const connection = above(survey.self)
    .filter(({ command }) => /^sshd(?:-session)?: /.test(command) && !command.includes('[listener]'))
    .at(-1);
  const top = connection?.pid ?? survey.self;
  return survey.processes.filter((process) => {
    if (process.pid <= 2 || process.parent === 2 || process.ended) return false;
    return !above(process.pid).some(({ pid }) => pid === top);
  });
}

/** These change their titles, and what they run is judged by its own entry. */
const titled = /\/(?:sshd|sshd-session|systemd|systemd-udevd|udevadm|agetty)$/;

/** How a process is known again after a restart: user, program, command. As in scrub.sh. */
export function processIdentity(process: Process): string {
  const uid = process.uids[0] ?? -1;
  return titled.test(process.exe) ? `${uid} ${process.exe}` : `${uid} ${process.exe} ${process.command}`;
}

function isSystemdHelper(process: Process): boolean {
  return (
    process.uids[0] === 0 &&
    process.parent === 1 &&
    /^\/usr\/lib\/systemd\/systemd-[a-z-]+$/.test(process.exe)
  );
}

function added(before: readonly string[], now: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const item of before) left.set(item, (left.get(item) ?? 0) + 1);
  return now.filter((item) => {
    const count = left.get(item) ?? 0;
    if (count > 0) left.set(item, count - 1);
    return count === 0;
  });
}

function compareContents(reference: Reference, now: Survey, found: (text: string) => void): void {
  for (const [path, hash] of Object.entries(reference.contents)) {
    if (now.contents.get(path) !== hash) found(`file: ${shownPath(path)} has another content`);
  }
  for (const path of now.contents.keys()) {
    // A baseline of the time before settings of the kernel were looked at does not know them.
    if (!(path in reference.contents) && !path.startsWith('/proc/')) found(`file: ${shownPath(path)} is new`);
  }
}

interface Difference {
  readonly path: string;
  readonly what: string;
  readonly entry: Entry;
}

/** Differences between two sorted lists of records. */
export function compareTrees(before: readonly string[], now: readonly string[]): Difference[] {
  const old = new Set(before);
  const fresh = now.filter((record) => !old.has(record));
  const current = new Set(now);
  const gone = before.filter((record) => !current.has(record));
  const was = new Map<string, Entry>();
  for (const record of gone) {
    const parsed = parseEntry(record);
    if (parsed) was.set(parsed.path, parsed.entry);
  }
  const differences: Difference[] = [];
  for (const record of fresh) {
    const parsed = parseEntry(record);
    if (!parsed) {
      differences.push({ path: record.slice(0, 200), what: 'cannot be read', entry: unreadable });
      continue;
    }
    const { path, entry } = parsed;
    const earlier = was.get(path);
    was.delete(path);
    differences.push({
      path,
      entry,
      what: earlier ? `changed: ${changes(earlier, entry)}` : `is new: ${described(entry)}`,
    });
  }
  for (const [path, entry] of was) differences.push({ path, entry, what: 'is missing' });
  return differences;
}

const unreadable: Entry = { type: '?', mode: '', uid: -1, gid: -1, stamp: '', target: '' };

function described(entry: Entry): string {
  const kinds: Record<string, string> = {
    f: 'file',
    d: 'directory',
    l: 'link',
    c: 'device',
    b: 'device',
    p: 'pipe',
    s: 'socket',
  };
  const setId = entry.type === 'f' && (parseInt(entry.mode, 8) & 0o6000) !== 0 ? 'set-id ' : '';
  return `${setId}${kinds[entry.type] ?? 'entry'}, mode ${entry.mode}, owner ${entry.uid}:${entry.gid}`;
}

function changes(before: Entry, now: Entry): string {
  const parts = [
    before.type === now.type ? '' : `type ${before.type} to ${now.type}`,
    before.mode === now.mode ? '' : `mode ${before.mode} to ${now.mode}`,
    before.uid === now.uid && before.gid === now.gid
      ? ''
      : `owner ${before.uid}:${before.gid} to ${now.uid}:${now.gid}`,
    before.target === now.target ? '' : `target to ${shownPath(now.target)}`,
    before.stamp === now.stamp ? '' : 'content, attributes or times',
  ];
  return parts.filter((part) => part !== '').join(', ') || 'recorded twice';
}

function isPrivateTmp(path: string, entry: Entry): boolean {
  return systemdPrivateTmp.test(path) && entry.type === 'd' && entry.uid === 0;
}

function compareLoose(
  before: Readonly<Record<string, Entry>>,
  now: ReadonlyMap<string, Entry>,
  limits: CompareLimits,
  found: (text: string) => void,
): void {
  for (const [path, entry] of now) {
    const earlier = Object.hasOwn(before, path) ? before[path] : undefined;
    if (earlier && JSON.stringify(earlier) === JSON.stringify(entry)) continue;
    if (isExcused(path, earlier, entry, limits)) continue;
    found(
      `file: ${shownPath(path)} ${earlier ? `changed: ${changes(earlier, entry)}` : `is new: ${described(entry)}`}`,
    );
  }
  for (const [path] of Object.entries(before)) {
    if (!now.has(path) && ruleFor(path) === undefined) found(`file: ${shownPath(path)} is missing`);
  }
}

/** Is this change of a noisy path within what its rule allows? */
export function isExcused(
  path: string,
  before: Entry | undefined,
  now: Entry,
  limits: CompareLimits,
): boolean {
  const rule = ruleFor(path);
  if (!rule || now.uid >= limits.uidMin || now.gid >= limits.uidMin) return false;
  const sameKind =
    before &&
    before.type === now.type &&
    before.mode === now.mode &&
    before.uid === now.uid &&
    before.gid === now.gid;
  if (sameKind && now.type !== 'l') return true;
  if (rule.may === 'content') return !before && now.type === 'f' && isHarmlessFile(now);
  if (now.type === 'd') return true;
  if (now.type === 'f') return isHarmlessFile(now);
  return rule.may === 'runtime' && (now.type === 's' || now.type === 'p' || now.type === 'l');
}

function isHarmlessFile(entry: Entry): boolean {
  return (parseInt(entry.mode, 8) & 0o6111) === 0;
}
