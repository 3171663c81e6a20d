#!/usr/bin/env node
/**
 * Brings a fresh machine to where everything runs: system packages, npm packages, the Pulumi engine, the build.
 * Needs Node, Go, gcc and the package registries. Idempotent; what is in place costs milliseconds.
 *
 *   node scripts/setup.mjs          for running
 *   node scripts/setup.mjs --test   and the second Node version that the tests run under
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const forTests = process.argv.includes('--test');
const started = Date.now();

const elapsed = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;
const say = (text) => console.log(`[setup ${elapsed(started).padStart(7)}] ${text}`);

function fail(text) {
  console.error(`\nsetup stopped: ${text}`);
  process.exit(1);
}

/** Runs a command, its output to the terminal; ends the set-up with advice when it fails. */
function run(what, command, args, advice, options = {}) {
  const since = Date.now();
  say(`${what} ...`);
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.status !== 0) {
    const why = result.error?.message ?? `exit code ${result.status ?? result.signal}`;
    fail(`${what} failed (${command} ${args.join(' ')}: ${why}).\n${advice}`);
  }
  say(`${what}: done in ${elapsed(since)}`);
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Node ${process.versions.node} is too old: Node 20.19 or newer is needed.`);
}

// ---------------------------------------------------------------- system packages

/** What the embedded cloud, the hooks and their tests use, by the file that shows it is there. */
const systemNeeds = [
  { file: '/usr/sbin/sshd', pkg: 'openssh-server' },
  { file: '/usr/bin/ssh', pkg: 'openssh-client' },
  { file: '/usr/bin/gcc', pkg: 'gcc' },
  { file: '/usr/bin/unshare', pkg: 'util-linux' },
  { file: '/usr/bin/ps', pkg: 'procps' },
  { file: '/usr/sbin/useradd', pkg: 'passwd' },
  { file: '/usr/sbin/ip', pkg: 'iproute2' },
  { file: '/usr/bin/openssl', pkg: 'openssl' },
];

function systemPackages() {
  const missing = systemNeeds.filter(({ file }) => !existsSync(file)).map(({ pkg }) => pkg);
  if (missing.length === 0) return;
  const byHand = `Install them by hand: ${missing.join(' ')}`;
  if (process.getuid?.() !== 0) fail(`system packages are missing and this is not root.\n${byHand}`);
  if (!existsSync('/usr/bin/apt-get'))
    fail(`system packages are missing and there is no apt-get here.\n${byHand}`);
  // No daemon is to start because its package is installed.
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (args) => ['-qq', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0', ...args];
  try {
    run('package lists', 'apt-get', apt(['update']), 'Is the package mirror reachable?', { env });
    const install = apt(['install', '-y', '--no-install-recommends', ...missing]);
    run(`system packages (${missing.join(' ')})`, 'apt-get', install, byHand, {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  } finally {
    if (ours) rmSync(policy, { force: true });
  }
}

// ---------------------------------------------------------------- npm packages

const hashOf = (...texts) => createHash('sha256').update(texts.join('\0')).digest('hex');

function stampMatches(file, value) {
  return existsSync(file) && readFileSync(file, 'utf8') === value;
}

function npmPackages() {
  const stamp = join(root, 'node_modules', '.vmpool-setup');
  const wanted = hashOf(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  if (stampMatches(stamp, wanted)) return;
  // No install scripts: what they would download or compile is either not needed or set up below.
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  run('npm packages', 'npm', args, 'Is the npm registry reachable?');
  writeFileSync(stamp, wanted);
}

// ---------------------------------------------------------------- build

function newestChange(dir) {
  let newest = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? newestChange(path) : statSync(path).mtimeMs);
  }
  return newest;
}

function build() {
  const stamp = join(root, 'dist', '.vmpool-build');
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const files = ['tsconfig.json', 'tsconfig.build.json', 'scripts/bundle-hooks.mjs', 'package.json'];
  const newest = Math.max(
    ...['src', 'stacks', 'hooks', 'test/mom'].map((d) => newestChange(join(root, d))),
    ...files.map((f) => statSync(join(root, f)).mtimeMs),
  );
  const wanted = hashOf(lock, String(newest));
  if (stampMatches(stamp, wanted)) return;
  run('build', 'npm', ['run', '--silent', 'build'], 'The compiler says above what is wrong.');
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, wanted);
}

// ---------------------------------------------------------------- the other Node version

/** The tests run under both; the one that runs this script is there already. */
export const testedNodes = { 20: '20.20.2', 22: '22.23.3' };

function otherNode() {
  const other = major === 22 ? 20 : 22;
  const version = testedNodes[other];
  const cache =
    process.env.VMPOOL_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'vmpool');
  const target = join(cache, 'node', `v${version}`);
  if (existsSync(join(target, 'bin', 'node'))) return;
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  const temp = join(tmpdir(), `vmpool-node-${process.pid}`);
  mkdirSync(temp, { recursive: true });
  try {
    const args = [
      'install',
      '--prefix',
      temp,
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      `node-linux-${arch}@${version}`,
    ];
    run(`Node ${version} for the tests`, 'npm', args, 'Is the npm registry reachable?', { cwd: temp });
    mkdirSync(dirname(target), { recursive: true });
    const result = spawnSync('cp', [
      '-a',
      join(temp, 'node_modules', `node-linux-${arch}`),
      `${target}.${process.pid}`,
    ]);
    if (result.status !== 0) fail(`Node ${version} could not be copied to ${target}`);
    renameSync(`${target}.${process.pid}`, target);
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

systemPackages();
npmPackages();
const engine = spawnSync(process.execPath, ['scripts/engine/install.mjs'], { cwd: root, stdio: 'inherit' });
if (engine.status !== 0) fail('the Pulumi engine could not be set up; the lines above say why.');
build();
if (forTests) otherNode();
say(`ready (${elapsed(started)})`);
