import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Locate from '../../scripts/engine/locate.mjs';
import { repoRoot } from '../repo-root.js';

/** The installed Pulumi engine. Throws an Error that says to run `make setup` when there is none. */
export async function locatedEngine(): Promise<Locate.LocatedEngine> {
  // Set-up finds the engine before anything is compiled, so its module is plain JavaScript outside the build.
  const url = pathToFileURL(join(repoRoot, 'scripts', 'engine', 'locate.mjs')).href;
  const { locateEngine } = (await import(url)) as typeof Locate;
  return locateEngine();
}
