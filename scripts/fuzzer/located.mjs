/** Where the fuzzer of the HTTP API is, or is to be put: one directory for each list of versions. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const constraints = join(dirname(fileURLToPath(import.meta.url)), 'constraints.txt');

export function fuzzer() {
  const cache =
    process.env.VMPOOL_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'vmpool');
  const versions = createHash('sha256').update(readFileSync(constraints)).digest('hex').slice(0, 12);
  const dir = join(cache, 'fuzzer', versions);
  return { dir, program: join(dir, 'bin', 'schemathesis') };
}
