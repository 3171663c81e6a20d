/** Parts that the machine already has: on PATH, or among the plugins of the user's PULUMI_HOME. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, sep } from 'node:path';

import { compareVersions, oldestCli } from './parts.mjs';

const versionTimeoutMs = 10_000;

/**
 * Finds what fits, as a map from part name to { path, version }.
 * A CLI fits from the version on that everything was tried with, below the next major one; with it comes the language
 * host beside it. Plugins fit exactly: the npm packages ask for their own version.
 */
export function findInstalled(parts, { cache, env = process.env }) {
  const found = new Map();
  const cli = findCli({ cache, env });
  if (cli !== undefined) {
    found.set('cli', cli);
    const host = join(dirname(realpathSync(cli.path)), 'pulumi-language-nodejs');
    if (isExecutable(host)) found.set('language-nodejs', { path: host, version: cli.version });
  }
  const home = env.PULUMI_HOME || join(homedir(), '.pulumi');
  for (const part of parts.filter(({ place }) => place.includes('/plugins/'))) {
    const path = join(home, 'plugins', part.place.split('/').at(-1), part.binary);
    if (isExecutable(path) && !isOurs(path, cache)) found.set(part.name, { path, version: part.version });
  }
  return found;
}

function findCli({ cache, env }) {
  for (const dir of (env.PATH ?? '').split(delimiter)) {
    const path = join(dir, 'pulumi');
    if (dir === '' || !isExecutable(path) || isOurs(path, cache)) continue;
    const version = versionOf(path, env);
    if (version === undefined) continue;
    if (compareVersions(version, oldestCli.join('.')) >= 0 && Number(version.split('.')[0]) === oldestCli[0]) {
      return { path, version };
    }
  }
  return undefined;
}

function versionOf(path, env) {
  try {
    const text = execFileSync(path, ['version'], {
      encoding: 'utf8',
      timeout: versionTimeoutMs,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...env, PULUMI_SKIP_UPDATE_CHECK: 'true' },
    });
    return /^v?(\d+\.\d+\.\d+)\s*$/.exec(text)?.[1];
  } catch {
    return undefined;
  }
}

/** Our own folder may be on PATH or be the PULUMI_HOME (`--print-env`): that is the cache, not the user's engine. */
function isOurs(path, cache) {
  try {
    return realpathSync(path).startsWith(realpathSync(cache) + sep);
  } catch {
    return false;
  }
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
