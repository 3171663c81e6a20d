/** What the engine consists of, at which versions, and how each part can be had. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** The folder with the Go modules that the engine can be built from. */
export const sourcesDir = join(here, '..', '..', 'engine');

const sdk = 'github.com/pulumi/pulumi/sdk/v3/go/common/version.Version';

/**
 * The four binaries. `version` is the part's own; `stamp` is what the linker writes into it;
 * `common`: nearly all that it is compiled from is in others, too.
 * `archive` names the official download that holds it (the CLI's archive holds the language host too);
 * `checksums` is the file of SHA-256 sums published beside it.
 */
export const parts = [
  {
    name: 'cli',
    label: 'Pulumi CLI',
    version: '3.259.0',
    binary: 'pulumi',
    place: 'bin',
    tool: true,
    stamp: `${sdk}=v3.259.0`,
    archive: ({ os, cliArch }) => `releases/sdk/pulumi-v3.259.0-${os}-${cliArch}.tar.gz`,
    checksums: 'pulumi/releases/download/v3.259.0/pulumi-3.259.0-checksums.txt',
  },
  {
    name: 'openstack',
    label: 'OpenStack plugin',
    version: '3.15.2',
    binary: 'pulumi-resource-openstack',
    place: 'pulumi-home/plugins/resource-openstack-v3.15.2',
    tool: false,
    archive: ({ os, arch }) => `releases/plugins/pulumi-resource-openstack-v3.15.2-${os}-${arch}.tar.gz`,
    checksums: 'pulumi-openstack/releases/download/v3.15.2/pulumi-openstack_3.15.2_checksums.txt',
  },
  {
    name: 'command',
    label: 'command plugin',
    version: '1.2.1',
    binary: 'pulumi-resource-command',
    place: 'pulumi-home/plugins/resource-command-v1.2.1',
    tool: false,
    common: true,
    archive: ({ os, arch }) => `releases/plugins/pulumi-resource-command-v1.2.1-${os}-${arch}.tar.gz`,
    checksums: 'pulumi-command/releases/download/v1.2.1/pulumi-command_1.2.1_checksums.txt',
  },
  {
    name: 'language-nodejs',
    label: 'Node language host',
    version: '3.68.0',
    binary: 'pulumi-language-nodejs',
    place: 'bin',
    tool: true,
    stamp: `${sdk}=v3.68.0`,
    // Downloads bring the CLI's own host, in the CLI's archive.
    archive: ({ os, cliArch }) => `releases/sdk/pulumi-v3.259.0-${os}-${cliArch}.tar.gz`,
    checksums: 'pulumi/releases/download/v3.259.0/pulumi-3.259.0-checksums.txt',
  },
];

/** The oldest CLI on PATH that is taken instead of our own: the one that everything here was tried with. */
export const oldestCli = [3, 259, 0];

/** VMPOOL_CACHE of an engine for every account of the machine (`install.mjs --system`). */
export const systemCache = '/usr/lib/vmpool';

/** The folder that holds everything of the engine: `${VMPOOL_CACHE:-${XDG_CACHE_HOME:-~/.cache}/vmpool}/engine`. */
export function engineCache(env = process.env) {
  const base = env.VMPOOL_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'vmpool');
  return join(base, 'engine');
}

/**
 * Where an engine is looked for, the first that has one wins: the folder named by VMPOOL_CACHE alone, or else the
 * account's own and then the one that `vmpool engine install --system` made for every account of the machine.
 */
export function engineCaches(env = process.env) {
  return env.VMPOOL_CACHE ? [engineCache(env)] : [engineCache(env), join(systemCache, 'engine')];
}

/** Names a part by its version and by what it would be built from, so that changed sources rebuild just that part. */
export function partId(part) {
  const hash = createHash('sha256').update(`${part.stamp ?? ''}\0${process.platform}\0${process.arch}\0`);
  const dir = join(sourcesDir, part.name);
  for (const file of sourceFiles(dir)) {
    hash.update(`${file}\0`).update(readFileSync(join(dir, file))).update('\0');
  }
  return `${part.name}-${part.version}-${hash.digest('hex').slice(0, 12)}`;
}

function sourceFiles(dir) {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /(\.go|go\.mod|go\.sum)$/.test(entry.name) && !entry.name.endsWith('_test.go'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(dir.length + 1))
    .sort();
}

/** The newest Go release that one of the modules asks for, such as "1.25.11". */
export function neededGo() {
  const versions = parts.map((part) => {
    const found = /^go (\d+(?:\.\d+)*)$/m.exec(readFileSync(join(sourcesDir, part.name, 'go.mod'), 'utf8'));
    return found?.[1] ?? '1.25.0';
  });
  return versions.sort(compareVersions).at(-1);
}

/** Compares two dotted versions number by number: negative, 0 or positive. */
export function compareVersions(a, b) {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
