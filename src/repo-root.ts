import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Where the product is installed: the directory of `Pulumi.yaml`, found upwards from this file, which lies in
 * `src/` when the sources are run and in `dist/src/` when the build is.
 */
export const repoRoot: string = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(from: string): string {
  if (existsSync(join(from, 'Pulumi.yaml'))) return from;
  const up = dirname(from);
  if (up === from)
    throw new Error('the installation is not whole: Pulumi.yaml is in no directory above this program');
  return findRoot(up);
}
