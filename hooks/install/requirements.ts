import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { InstallFinding } from '../install.js';

/** `#!` lines take one argument, and kernels cut them at 127 characters (256 since 5.1). */
const longestFirstLine = 127;

export function nodeProblem(file: string, node: string): string | null {
  if (!node.startsWith('/'))
    return `the path of Node must be absolute, not ${node}: the mom's PATH is /bin:/usr/bin`;
  if (/\s/.test(node) || node.length > longestFirstLine - 3)
    return `${node} cannot stand in a #! line (blanks, or too long): give another path with --node`;
  return existsSync(file)
    ? null
    : `${node} is not there: install Node 20 or later on the worker, or give --node`;
}

export function firstLine(node: string, asUser: boolean, root: string): string {
  const plain = `#!${node}`;
  if (!asUser) return plain;
  const careful = `#!/usr/bin/env -S -u NODE_OPTIONS VMPOOL_JOB_NODE_OPTIONS=\${NODE_OPTIONS} ${node}`;
  const knows = root === '/' && spawnSync('/usr/bin/env', ['-S', 'true']).status === 0;
  return (root !== '/' || knows) && careful.length <= longestFirstLine ? careful : plain;
}

const everyWorkerHas = ['flock', 'setpriv', 'getent', 'id', 'tar', 'find', 'du'];

export function checkCommands(configured: readonly string[], at: (path: string) => string): InstallFinding[] {
  const missing = configured.filter((path) => !existsSync(at(path)));
  const lacking = everyWorkerHas.filter(
    (name) => !['/usr/bin', '/bin'].some((directory) => existsSync(at(`${directory}/${name}`))),
  );
  return [
    ...missing.map((path) => ({
      level: 'error' as const,
      text: `${path} is not there: install it, or set its path in /etc/vmpool/worker.json`,
    })),
    ...lacking.map((name) => ({
      level: 'error' as const,
      text: `${name} is in neither /usr/bin nor /bin: install it (util-linux, coreutils, tar, findutils)`,
    })),
  ];
}
