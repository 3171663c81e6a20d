import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { repoRoot } from '../repo-root.js';

type Locate = typeof import('../../scripts/engine/locate.mjs');

/** The installed Pulumi engine. Throws an Error that says to run `make setup` when there is none. */
export async function locatedEngine(): Promise<ReturnType<Locate['locateEngine']>> {
  // Set-up finds the engine before anything is compiled, so its module is plain JavaScript outside the build.
  const url = pathToFileURL(join(repoRoot, 'scripts', 'engine', 'locate.mjs')).href;
  const { locateEngine } = (await import(url)) as Locate;
  return locateEngine();
}
