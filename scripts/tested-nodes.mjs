/** The tests run under two versions of Node: the one that runs this, and the other one of this table. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where what is fetched or built once is kept. */
export const cacheDirectory =
  process.env.VMPOOL_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'vmpool');

const versions = { 20: '20.20.2', 22: '22.23.3' };

/** Where that other Node is, or is to be put by set-up. */
export function otherNode() {
  const version = process.versions.node.startsWith('22.') ? versions[20] : versions[22];
  const dir = join(cacheDirectory, 'node', `v${version}`);
  return { version, dir, program: join(dir, 'bin', 'node') };
}
