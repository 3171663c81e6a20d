/** The official downloads, where they can be reached: probed at once, verified by the published SHA-256 sums. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** A site without a way to the download site must not wait: all of the probe has to fit into this. */
const probeTimeoutMs = 3_000;
const checksumsTimeoutMs = 30_000;
const archiveTimeoutMs = 10 * 60_000;

/** Where the archives and their sums are; a mirror of both can be named by VMPOOL_ENGINE_MIRROR. */
export function downloadSites(env = process.env) {
  const mirror = env.VMPOOL_ENGINE_MIRROR?.replace(/\/+$/, '');
  return mirror ? { archives: mirror, sums: mirror } : { archives: 'https://get.pulumi.com', sums: 'https://github.com/pulumi' };
}

/** This machine in the words of the archives' names; undefined where there are none. */
export function downloadPlatform(platform = process.platform, architecture = process.arch) {
  const arch = { x64: 'amd64', arm64: 'arm64' }[architecture];
  const os = { linux: 'linux', darwin: 'darwin' }[platform];
  return arch && os ? { os, arch, cliArch: architecture } : undefined;
}

/** Whether the site answers for this very file, and its sums are there too; never takes longer than 3 s. */
export async function canDownload(part, { sites, platform, timeoutMs = probeTimeoutMs }) {
  const signal = AbortSignal.timeout(timeoutMs);
  const answers = await Promise.all(
    [`${sites.archives}/${part.archive(platform)}`, `${sites.sums}/${part.checksums}`].map(async (url) => {
      try {
        return (await fetch(url, { method: 'HEAD', signal })).ok;
      } catch {
        return false;
      }
    }),
  );
  return answers.every(Boolean);
}

/** Downloads and unpacks a part's archive into `dir`; gives the path of its binary there. */
export async function download(part, { sites, platform, dir }) {
  const name = part.archive(platform).split('/').at(-1);
  const expected = await publishedSum(`${sites.sums}/${part.checksums}`, name);
  const file = join(dir, name);
  mkdirSync(dir, { recursive: true });
  if (!existsSync(file) || (await sumOf(file)) !== expected) {
    const response = await fetch(`${sites.archives}/${part.archive(platform)}`, {
      signal: AbortSignal.timeout(archiveTimeoutMs),
    });
    if (!response.ok || response.body === null) throw new Error(`${response.url} answered ${response.status}`);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(`${file}.partial`));
    const got = await sumOf(`${file}.partial`);
    if (got !== expected) throw new Error(`${name} has the SHA-256 sum ${got}, published is ${expected}: not used`);
    renameSync(`${file}.partial`, file);
  }
  const unpacked = join(dir, part.name);
  mkdirSync(unpacked, { recursive: true });
  const tar = spawnSync('tar', ['-xzf', file, '-C', unpacked], { encoding: 'utf8' });
  if (tar.status !== 0) throw new Error(`unpacking ${name} failed: ${tar.stderr || tar.error?.message}`);
  // The CLI's archive has a folder named like its binary.
  const binary = readdirSync(unpacked, { recursive: true, withFileTypes: true }).find(
    (entry) => entry.isFile() && entry.name === part.binary,
  );
  if (binary === undefined) throw new Error(`${name} holds no ${part.binary}`);
  return join(binary.parentPath ?? binary.path, binary.name);
}

async function publishedSum(url, name) {
  const response = await fetch(url, { signal: AbortSignal.timeout(checksumsTimeoutMs) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  for (const line of (await response.text()).split('\n')) {
    const [sum, file] = line.trim().split(/\s+\*?/);
    if (file === name && /^[0-9a-f]{64}$/i.test(sum)) return sum.toLowerCase();
  }
  throw new Error(`${url} has no SHA-256 sum of ${name}`);
}

async function sumOf(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
