import { printable } from './answers.js';

/** One file, directory or special file. Times and size only where they say something (see survey.sh). */
export interface Entry {
  /** As find prints it: f d l c b p s. */
  readonly type: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  /** size, mtime, ctime as one text to compare. */
  readonly stamp: string;
  readonly target: string;
}

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** A zombie. One whose first thread has ended looks like one, but for its other threads. */
  readonly ended: boolean;
  /** Real, effective, saved and file system uid. */
  readonly uids: readonly number[];
  readonly loginUid: string;
  readonly exe: string;
  readonly command: string;
}

/** What survey.sh saw. Paths and commands are latin1 text: every byte one character, whatever the encoding. */
export interface Survey {
  readonly bootId: string;
  readonly self: number;
  readonly processes: readonly Process[];
  /** `TYPE POINT`, escaped as in mountinfo. */
  readonly mounts: readonly string[];
  /** Sockets that listen, `PROTOCOL ADDRESS uid N`. */
  readonly sockets: readonly string[];
  readonly ipc: readonly string[];
  readonly firewall: string;
  /** Hashes of files whose content counts but whose times do not. */
  readonly contents: ReadonlyMap<string, string>;
  /** KiB free by mount point. */
  readonly free: ReadonlyMap<string, number>;
  readonly treeHash: string;
  /** Entries below the paths that may change within rules. */
  readonly loose: ReadonlyMap<string, Entry>;
  /** The records of all other entries, in order; empty when the hash was the expected one. */
  readonly tree: readonly string[];
}

const maxRecords = 4_000_000;

/** Reads the unpacked records of survey.sh. Null when they are cut, too many or in another form. */
export function parseSurvey(data: Buffer): Survey | null {
  if (data.length === 0 || data[data.length - 1] !== 0) return null;
  const records = data.toString('latin1').split('\0');
  records.pop();
  if (records.pop() !== 'end' || records.length > maxRecords) return null;

  const exes = new Map<string, string>();
  const processes: Process[] = [];
  const mounts: string[] = [];
  const sockets: string[] = [];
  const ipc: string[] = [];
  const contents = new Map<string, string>();
  const free = new Map<string, number>();
  const loose = new Map<string, Entry>();
  const tree: string[] = [];
  const one = new Map<string, string>();

  for (const record of records) {
    const tab = record.indexOf('\t');
    const kind = record.slice(0, tab);
    const rest = record.slice(tab + 1);
    switch (kind) {
      case 'strict':
        tree.push(rest);
        break;
      case 'loose': {
        const entry = parseEntry(rest);
        if (!entry) return null;
        loose.set(entry.path, entry.entry);
        break;
      }
      case 'boot':
      case 'self':
      case 'tree':
      case 'firewall':
        one.set(kind, rest);
        break;
      case 'exe': {
        const [path = '', exe = ''] = cut(rest, 2);
        exes.set(path.slice('/proc/'.length), exe.replace(/ \(deleted\)$/, ''));
        break;
      }
      case 'proc': {
        const process = parseProcess(rest, exes);
        if (process) processes.push(process);
        break;
      }
      case 'mount':
        mounts.push(rest.replace('\t', ' '));
        break;
      case 'socket': {
        const socket = listening(rest);
        if (socket) sockets.push(socket);
        break;
      }
      case 'ipc':
      case 'mqueue': {
        const object = kind === 'mqueue' ? `mqueue ${rest.replace('\t', ' ')}` : sysvObject(rest);
        if (object) ipc.push(object);
        break;
      }
      case 'content': {
        const [hash = '', path = ''] = cut(rest, 2);
        contents.set(path, hash);
        break;
      }
      case 'free': {
        const [kib = '', point = ''] = cut(rest, 2);
        free.set(point, Number(kib));
        break;
      }
      default:
        return null;
    }
  }
  const bootId = one.get('boot');
  const self = Number(one.get('self'));
  const treeHash = one.get('tree');
  if (
    bootId === undefined ||
    !Number.isInteger(self) ||
    treeHash === undefined ||
    !/^[0-9a-f]{64}$/.test(treeHash)
  )
    return null;
  const firewall = one.get('firewall') ?? '';
  return { bootId, self, processes, mounts, sockets, ipc, firewall, contents, free, treeHash, loose, tree };
}

function cut(text: string, parts: number): string[] {
  const fields: string[] = [];
  let rest = text;
  while (fields.length < parts - 1) {
    const tab = rest.indexOf('\t');
    if (tab < 0) break;
    fields.push(rest.slice(0, tab));
    rest = rest.slice(tab + 1);
  }
  return [...fields, rest];
}

/** One entry of find's. The path ends at the first `//`, which no path of find's holds. */
export function parseEntry(record: string): { readonly path: string; readonly entry: Entry } | null {
  const [type = '', mode = '', uid = '', gid = '', size = '', mtime = '', ctime = '', names] = cut(record, 8);
  const end = names?.indexOf('//') ?? -1;
  if (names === undefined || end < 0 || !/^[fdlcbpsD]$/.test(type)) return null;
  const stamp = type === 'f' ? `${size} ${mtime} ${ctime}` : '';
  return {
    path: names.slice(0, end),
    entry: { type, mode, uid: Number(uid), gid: Number(gid), stamp, target: names.slice(end + 2) },
  };
}

function parseProcess(rest: string, exes: ReadonlyMap<string, string>): Process | null {
  const [pid = '', uids = '', loginUid = '', stat = '', command = ''] = cut(rest, 5);
  const fields = stat.split(' ');
  const [state = '', parent = ''] = fields;
  if (!/^\d+$/.test(pid) || !/^\d+$/.test(parent)) return null;
  return {
    pid: Number(pid),
    parent: Number(parent),
    ended: state === 'Z' && !(Number(fields[17]) > 1),
    uids: uids.split(',').map(Number),
    loginUid,
    exe: exes.get(pid) ?? '',
    command,
  };
}

/** From the first port of Linux's default range of ephemeral ports on, a UDP socket is some program's own query. */
const firstEphemeralPort = 32768;

function listening(rest: string): string | null {
  const [protocol = '', address = '', remote = '', state = '', uid = ''] = rest.split('\t');
  const port = parseInt(address.split(':')[1] ?? '', 16);
  if (protocol.startsWith('tcp'))
    return state === '0A' ? `${protocol} port ${port} (${address}) of uid ${uid}` : null;
  const connected = !/^0+:0000$/.test(remote);
  return connected || !(port < firstEphemeralPort)
    ? null
    : `${protocol} port ${port} (${address}) of uid ${uid}`;
}

/** Key, mode, owner and creator of a System V object, by the columns' order in /proc/sysvipc. Heads give null. */
function sysvObject(rest: string): string | null {
  const [kind = '', line = ''] = cut(rest, 2);
  const columns = line.trim().split(/\s+/);
  const [key, , perms] = columns;
  if (key === 'key' || key === undefined) return null;
  const at = { shm: [7, 8], sem: [4, 5], msg: [7, 8] }[kind];
  const [uid, gid] = (at ?? []).map((index) => columns[index]);
  return `${kind} key ${key} mode ${perms ?? '?'} of ${uid ?? '?'}:${gid ?? '?'}`;
}

/** A path from a survey as shown to people: UTF-8 where it is, anything unprintable escaped. */
export function shownPath(latin1: string): string {
  return printable(Buffer.from(latin1, 'latin1').toString('utf8'), 400);
}
