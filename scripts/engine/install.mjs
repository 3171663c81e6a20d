#!/usr/bin/env node
/**
 * Puts the Pulumi engine in place: CLI, Node language host, openstack and command plugins.
 *
 *     node scripts/engine/install.mjs [--system] [--print-env] [--prune] [--json]
 *
 * Each part is taken from the machine if its version fits, else from the cache, else from the official download where
 * that can be reached, else built from Go modules (engine/). Needs nothing but Node; running it again is quick.
 * Settings: VMPOOL_CACHE, VMPOOL_ENGINE_SOURCE=auto|download|build, VMPOOL_ENGINE_MIRROR, VMPOOL_KEEP_GOCACHE=1.
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { build, fetchModules, requireGo } from './build.mjs';
import { canDownload, download, downloadPlatform, downloadSites } from './download.mjs';
import { findInstalled } from './installed.mjs';
import { locateEngine, pointerFile } from './locate.mjs';
import { takeLock } from './lock.mjs';
import { engineCache, partId, parts, systemCache } from './parts.mjs';

const lockWaitMs = 45 * 60_000;
/** More than two compilers side by side need more memory than small machines have. */
const buildsAtOnce = 2;

const say = (line) => process.stderr.write(`engine: ${line}\n`);

/** A part that need not be fetched: the user's (with `path`), or a finished one of the cache. */
function finished(part, installed, cache, wanted) {
  const own = installed.get(part.name);
  if (own !== undefined) {
    const { size, mtimeMs } = statSync(own.path);
    return { part, source: 'path', version: own.version, path: own.path, id: `${own.path}:${size}:${mtimeMs}` };
  }
  for (const source of wanted === 'auto' ? ['build', 'download'] : [wanted]) {
    const id = `${partId(part)}-${source}`;
    const path = join(cache, 'parts', id, part.binary);
    if (existsSync(path)) return { part, source: 'cache', version: versionOf(part, source), path, id };
  }
  return undefined;
}

/** A downloaded language host is the CLI's. */
function versionOf(part, source) {
  return part.name === 'language-nodejs' && source === 'download' ? parts[0].version : part.version;
}

/** Moves a finished binary into the cache's parts, at once and whole. */
function keep(part, id, source, binary, cache) {
  const dir = join(cache, 'parts', `${id}-${source}`);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dirname(dir), { recursive: true });
  const staging = `${dir}.${process.pid}`;
  mkdirSync(staging, { recursive: true });
  renameSync(binary, join(staging, part.binary));
  renameSync(staging, dir);
  return { part, source, version: versionOf(part, source), path: join(dir, part.binary), id: `${id}-${source}` };
}

async function fetchParts(missing, { cache, wanted }) {
  const fetched = [];
  let toBuild = missing;
  const platform = downloadPlatform();
  const sites = downloadSites();
  if (wanted !== 'build' && platform !== undefined) {
    const reachable = await Promise.all(missing.map((part) => canDownload(part, { sites, platform })));
    toBuild = missing.filter((_, i) => !reachable[i]);
    if (toBuild.length > 0 && wanted === 'auto') {
      say(`${sites.archives} does not offer ${toBuild.map(({ label }) => label).join(', ')} to this machine: building from Go modules`);
    }
    const dir = join(cache, 'downloads');
    for (const part of missing.filter((_, i) => reachable[i])) {
      try {
        say(`downloading the ${part.label} ${part.version}`);
        fetched.push(keep(part, partId(part), 'download', await download(part, { sites, platform, dir }), cache));
      } catch (error) {
        say(`the download of the ${part.label} failed: ${error.message}`);
        toBuild.push(part);
      }
    }
    rmSync(dir, { recursive: true, force: true });
  }
  if (toBuild.length === 0) return fetched;
  if (wanted === 'download') {
    throw new Error(`Not to be had from ${sites.archives}: ${toBuild.map(({ label }) => label).join(', ')}. Unset VMPOOL_ENGINE_SOURCE to build them.`);
  }
  requireGo();
  return [...fetched, ...(await buildParts(toBuild, cache))];
}

/**
 * Builds with at most two at once, in the order of the table: the longest first. Before them, by itself, the part that
 * consists of little else than what the others need as well: two that start together would both compile that.
 */
async function buildParts(toBuild, cache) {
  const goDir = join(cache, 'go');
  const first = toBuild.filter(({ common }) => common === true);
  const queue = parts.filter((part) => toBuild.includes(part) && !first.includes(part));
  const built = [];
  const placesOf = ({ name }) => ({ goDir, outDir: join(cache, 'work', name) });
  // The first to be compiled downloads its own; the others' come meanwhile.
  const fetched = queue.map((part) =>
    fetchModules(part, { ...placesOf(part), logFile: join(cache, 'logs', `${part.name}-modules.log`) }),
  );
  const worker = async (queue) => {
    for (let part = queue.shift(); part !== undefined; part = queue.shift()) {
      const logFile = join(cache, 'logs', `${part.name}.log`);
      // Named by the sources as they are before the build: what is edited meanwhile must be built again.
      const id = partId(part);
      const binary = await build(part, { ...placesOf(part), logFile, say });
      built.push(keep(part, id, 'build', binary, cache));
    }
  };
  const outcomes = await Promise.allSettled([worker(first)]);
  outcomes.push(...(await Promise.allSettled(Array.from({ length: buildsAtOnce }, () => worker(queue)))));
  await Promise.allSettled(fetched);
  const failed = outcomes.find(({ status }) => status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  rmSync(join(cache, 'work'), { recursive: true, force: true });
  if (process.env.VMPOOL_KEEP_GOCACHE !== '1') rmSync(goDir, { recursive: true, force: true });
  return built;
}

/** Lays the parts out as the engine expects them, under a name derived from what they are. */
function assemble(chosen, cache) {
  const ids = chosen.map(({ id }) => id).sort();
  const key = createHash('sha256').update(ids.join('\n')).digest('hex').slice(0, 16);
  const dir = join(cache, key);
  if (!existsSync(dir)) {
    const staging = join(cache, `.staging-${process.pid}`);
    rmSync(staging, { recursive: true, force: true });
    for (const { part, path, id } of chosen) {
      const to = join(staging, part.place, part.binary);
      mkdirSync(dirname(to), { recursive: true });
      if (id.startsWith(path)) symlinkSync(path, to);
      else link(path, to);
    }
    renameSync(staging, dir);
  }
  return dir;
}

function link(from, to) {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

function writePointer(dir, chosen) {
  const rank = ['path', 'cache', 'download', 'build'];
  const source = chosen.map((one) => one.source).sort((a, b) => rank.indexOf(b) - rank.indexOf(a))[0];
  const pointer = {
    pulumi: join(dir, 'bin', 'pulumi'),
    binDir: join(dir, 'bin'),
    pulumiHome: join(dir, 'pulumi-home'),
    source,
    versions: Object.fromEntries(chosen.map(({ part, version }) => [part.name, version])),
  };
  const file = pointerFile();
  writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(pointer, null, 2)}\n`);
  renameSync(`${file}.${process.pid}`, file);
}

/** Deletes engines and parts that the pointer does not name. */
function prune(cache, dir, chosen) {
  const used = new Set([dir, ...chosen.map(({ path }) => dirname(path))]);
  const engines = readdirSync(cache, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(cache, entry.name, 'bin', 'pulumi')))
    .map(({ name }) => join(cache, name));
  const keptParts = existsSync(join(cache, 'parts')) ? readdirSync(join(cache, 'parts')) : [];
  for (const path of [...engines, ...keptParts.map((name) => join(cache, 'parts', name))]) {
    if (!used.has(path)) rmSync(path, { recursive: true, force: true });
  }
}

async function install(args) {
  if (args.includes('--system')) process.env.VMPOOL_CACHE = systemCache;
  const cache = engineCache();
  const wanted = process.env.VMPOOL_ENGINE_SOURCE || 'auto';
  if (!['auto', 'download', 'build'].includes(wanted)) {
    throw new Error(`VMPOOL_ENGINE_SOURCE is "${wanted}"; it must be auto, download or build.`);
  }
  const started = performance.now();
  const choose = () => {
    const installed = wanted === 'auto' ? findInstalled(parts, { cache }) : new Map();
    return parts.map((part) => finished(part, installed, cache, wanted));
  };
  let chosen = choose();
  let fetched = [];
  if (chosen.includes(undefined)) {
    mkdirSync(cache, { recursive: true });
    const release = await takeLock(join(cache, 'lock'), { waitMs: lockWaitMs, say });
    try {
      // Whoever held the lock before may have built what was missing.
      chosen = choose();
      const missing = parts.filter((_, i) => chosen[i] === undefined);
      if (missing.length > 0) fetched = await fetchParts(missing, { cache, wanted });
    } finally {
      release();
    }
    chosen = parts.map((part, i) => chosen[i] ?? fetched.find((one) => one.part === part));
  }
  const dir = assemble(chosen, cache);
  writePointer(dir, chosen);
  if (args.includes('--prune')) prune(cache, dir, chosen);

  const engine = locateEngine();
  const versions = Object.entries(engine.versions).map(([name, version]) => `${name} ${version}`);
  say(`${versions.join(', ')} (${engine.source}, ${((performance.now() - started) / 1000).toFixed(1)} s): ${dir}`);
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify(engine, null, 2)}\n`);
  if (args.includes('--print-env')) {
    process.stdout.write(
      `export PATH=${quote(engine.binDir)}:"$PATH"\n` +
        `export PULUMI_HOME=${quote(engine.pulumiHome)}\n` +
        `export PULUMI_SKIP_UPDATE_CHECK=true\n`,
    );
  }
}

function quote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));
try {
  await install(process.argv.slice(2));
} catch (error) {
  say(error.message);
  process.exitCode = 1;
}
