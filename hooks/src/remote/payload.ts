import { quote } from './quote.js';

/** A file to be made on the VM. */
export interface Part {
  readonly path: string;
  readonly mode: number;
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
 * Shell text that reads the parts, in order, from standard input. Each appears under its name whole or not at all.
 * A missing directory is made: the part may belong below a working directory that the VM does not have yet.
 */
export function unpack(parts: readonly Part[]): string {
  return parts
    .map(({ path, mode, data }) => {
      const target = quote(path);
      const beside = quote(`${path}.vmpool-new`);
      const folder = quote(path.slice(0, path.lastIndexOf('/')) || '/');
      return [
        `[ -d ${folder} ] || mkdir -p ${folder} || fail ${folder}`,
        `rm -f ${beside}; head -c ${data.length} > ${beside} && chmod ${mode.toString(8)} ${beside} && mv -f ${beside} ${target} || fail ${target}`,
      ].join('\n');
    })
    .join('\n');
}

const prelude = (what: string): string =>
  `umask 077; fail() { echo "vmpool: on the VM: cannot ${what} $1" >&2; exit 73; }`;

/** Makes (or finds) the private directory on the VM and puts the parts in place; then goes on with `next`. */
export function stageScript(directory: string, parts: readonly Part[], next: string): Buffer {
  const d = quote(directory);
  return Buffer.from(
    [
      prelude('write'),
      // In a directory that all may write, somebody else's of that name must not be taken for ours.
      `mkdir -m 700 ${d} 2>/dev/null; [ -d ${d} ] && [ ! -L ${d} ] && [ -O ${d} ] || fail ${d}`,
      unpack(parts),
      next,
      '',
    ].join('\n'),
  );
}

export function partsScript(parts: readonly Part[]): Buffer {
  return Buffer.from([prelude('write'), unpack(parts), 'exit 0', ''].join('\n'));
}
