import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const withFiles = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"';

/**
 * Words that give the command after them one account more, in a mount namespace of its own: nothing of it on this
 * machine. Its files are written to `directory`.
 */
export function withAccount(directory: string, name: string, id: number): readonly string[] {
  const file = (kind: 'passwd' | 'group', line: string): string => {
    writeFileSync(join(directory, kind), `${readFileSync(`/etc/${kind}`, 'utf8')}${line}\n`);
    return join(directory, kind);
  };
  const files = [
    file('passwd', `${name}:x:${String(id)}:${String(id)}::/home/${name}:/bin/bash`),
    file('group', `${name}:x:${String(id)}:`),
  ];
  return ['unshare', '-m', '--propagation', 'private', 'sh', '-c', withFiles, 'sh', ...files];
}
