import { basename, dirname } from 'node:path';
import { quote } from './quote.js';

/** A file to be made on the VM. */
export interface Part {
  readonly path: string;
  readonly mode: number;
  readonly data: Buffer;
}

/** What goes to an ssh's standard input, in this order: a script for `bootstrap`, and what it reads. */
export interface Shipment {
  readonly script: Buffer;
  readonly data: Buffer;
}

/**
 * Scripts and files travel on ssh's standard input, never on a command line, which anybody on either machine can
 * list. The remote command only reads the script that comes first; it is plain enough for every login shell, csh
 * included. `head -c` takes exactly its bytes from a pipe, so that what follows is left for who comes next: the
 * files, and then the job.
 */
export function bootstrap(script: Buffer): string {
  return `exec /bin/bash -c 'eval "$(head -c ${script.length})"'`;
}

/**
 * Behind the files: a connection that broke looks like the end of the input, and files that were cut like whole ones. A
 * job must not begin with half of them.
 */
const trailer = Buffer.from('whole\n');
const untilTrailer =
  'read -r last && [ "$last" = whole ] || { echo "vmpool: on the VM: the connection broke before all files had come" >&2; exit 73; }';

const prelude = 'umask 077; fail() { echo "vmpool: on the VM: cannot write $1" >&2; exit 73; }';

/**
 * A command that prints the data and starts no program, or null. Short text, and lists of it that NUL ends, are part of
 * the script: each program that is started on the VM costs a job a millisecond or two.
 */
function printing({ data }: Part): string | null {
  const text = data.toString('latin1');
  if (data.length > 16_384 || /[^\0\t\n -~]/.test(text)) return null;
  if (!text.includes('\0')) return `printf %s ${quote(text)}`;
  return text.endsWith('\0') ? `printf '%s\\0' ${text.slice(0, -1).split('\0').map(quote).join(' ')}` : null;
}

/** Shell text that writes the part to `path`. */
function written(part: Part, path: string): string {
  return `${printing(part) ?? `head -c ${part.data.length}`} > ${quote(path)} || fail ${quote(part.path)}`;
}

const dataOf = (parts: readonly Part[]): Buffer =>
  Buffer.concat([...parts.filter((part) => printing(part) === null).map(({ data }) => data), trailer]);

/** Modes but the one that the umask leaves, one program for each. */
function modes(files: readonly { readonly mode: number; readonly path: string }[]): string[] {
  const others = [...new Set(files.map(({ mode }) => mode))].filter((mode) => mode !== 0o600);
  return others.map((mode) => {
    const paths = files.filter((file) => file.mode === mode).map(({ path }) => quote(path));
    return `chmod ${mode.toString(8)} ${paths.join(' ')} || fail ${paths[0] ?? ''}`;
  });
}

/**
 * Each part appears under its name whole or not at all, wherever that is. A missing directory is made: the part may
 * belong below a working directory that the VM does not have yet. `sender` is nobody else's: tasks come side by side.
 */
function placed(parts: readonly Part[], sender: string): string[] {
  if (parts.length === 0) return [];
  const folders = [...new Set(parts.map(({ path }) => dirname(path)))].map(quote);
  const beside = parts.map((part) => ({ part, path: `${part.path}.vmpool-${sender}`, mode: part.mode }));
  return [
    ...folders.map((folder) => `[ -d ${folder} ] || mkdir -p ${folder} || fail ${folder}`),
    `rm -f ${beside.map(({ path }) => quote(path)).join(' ')}`,
    ...beside.map(({ part, path }) => written(part, path)),
    untilTrailer,
    ...modes(beside),
    ...beside.map(({ part, path }) => `mv -f ${quote(path)} ${quote(part.path)} || fail ${quote(part.path)}`),
  ];
}

const script = (lines: readonly string[]): Buffer => Buffer.from([prelude, ...lines, ''].join('\n'));

/** The parts alone, beside a task that runs. */
export function ship(parts: readonly Part[]): Shipment {
  return { script: script([...placed(parts, 'renewed'), 'exit 0']), data: dataOf(parts) };
}

/**
 * Makes (or finds) the lease's private directory on the VM and in it the task's, puts the parts in place, and then goes
 * on with `next`. Those of the task's own directory are read by nobody before that; those of the lease's are shared with
 * tasks that run, the job itself where an older connection ends late: they appear whole.
 */
export function stage(
  where: { readonly directory: string; readonly taskDirectory: string },
  parts: readonly Part[],
  next: string,
): Shipment {
  const { directory, taskDirectory } = where;
  const put = `${taskDirectory}/put`;
  const own = parts.filter(({ path }) => dirname(path) === taskDirectory);
  const shared = parts.filter(({ path }) => dirname(path) === directory);
  const elsewhere = parts.filter((part) => !own.includes(part) && !shared.includes(part));
  const waiting = shared.map((part) => ({ part, path: `${put}/${basename(part.path)}`, mode: part.mode }));
  const d = quote(directory);
  return {
    script: script([
      // In a directory that all may write, somebody else's of that name must not be taken for ours.
      `mkdir ${d} ${quote(taskDirectory)} ${quote(put)} 2>/dev/null; [ -d ${d} ] && [ ! -L ${d} ] && [ -O ${d} ] && [ -d ${quote(put)} ] || fail ${d}`,
      ...own.map((part) => written(part, part.path)),
      ...waiting.map(({ part, path }) => written(part, path)),
      ...(elsewhere.length > 0 ? placed(elsewhere, basename(taskDirectory)) : [untilTrailer]),
      ...modes([...own, ...waiting]),
      ...(waiting.length > 0
        ? [`mv -f -t ${d} ${waiting.map(({ path }) => quote(path)).join(' ')} || fail ${d}`]
        : []),
      next,
    ]),
    data: dataOf([...own, ...shared, ...elsewhere]),
  };
}
