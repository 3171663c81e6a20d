#!/usr/bin/env node
/**
 * Brings a fresh machine to where everything runs: system packages, npm packages, the Pulumi engine, the build.
 * Needs Node, Go, gcc and the package registries. Idempotent; what is in place costs milliseconds.
 *
 *   node scripts/setup.mjs          for running
 *   node scripts/setup.mjs --demo   the same, but stops at once where the demo could not run
 *   node scripts/setup.mjs --demo --services   and with the daemons that follow the pool there
 *   node scripts/setup.mjs --test   and what the tests want: a second Node version, a browser, daemons of services, the
 *                                   fuzzer, the OpenStack lab, a VM's image. With --suites='A B' what only other
 *                                   suites want is left out
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { forgetLostOutput, removeOrphans, sourcesStamp } from './build-state.mjs';
import { keepDaemonsDown, runChild } from './child.mjs';
import { whyNoOpenStackLab } from './openstack-lab.mjs';
import { cacheDirectory, otherNode } from './tested-nodes.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const forTests = process.argv.includes('--test');
/** Of `make test SUITES=...`; none: those of every run. */
const namedSuites = (process.argv.find((arg) => arg.startsWith('--suites='))?.slice('--suites='.length) ?? '')
  .split(' ')
  .filter((name) => name !== '');
const everySuite = namedSuites.length === 0;
const runs = (suite) => everySuite || namedSuites.includes(suite);
/** Suites that bring all that they look at in their own OpenStack. */
const onlyOpenStack = !everySuite && namedSuites.every((name) => name.startsWith('openstack'));
const forServices = process.argv.includes('--services');
const started = Date.now();

const elapsed = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;
const say = (text) => console.log(`[setup ${elapsed(started).padStart(7)}] ${text}`);

function fail(text) {
  console.error(`\nsetup stopped: ${text}`);
  process.exit(1);
}

/** Runs a command, its output to the terminal; throws with advice when it fails. */
async function run(what, command, args, advice, options = {}) {
  const since = Date.now();
  say(`${what} ...`);
  const { why } = await runChild(command, args, { cwd: root, ...options });
  if (why !== null) throw new Error(`${what} failed (${command} ${args.join(' ')}: ${why}).\n${advice}`);
  say(`${what}: done in ${elapsed(since)}`);
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Node ${process.versions.node} is too old: Node 20.19 or newer is needed.`);
}
if (process.argv.includes('--demo') && process.getuid?.() !== 0) {
  fail(
    'the demo needs root, because the servers of its embedded cloud are isolated machines of their own ' +
      '(namespaces, mounts, accounts). Run it as root, in a container or a virtual machine if you like. Nothing was set up.',
  );
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

/** What watches the nodes in the demo with services. */
const demoServicesNeeds = [
  { file: '/usr/sbin/nagios4', pkg: 'nagios4-core' },
  { file: '/usr/lib/nagios/plugins/check_ssh', pkg: 'monitoring-plugins-basic' },
  { file: '/usr/sbin/gmetad', pkg: 'gmetad' },
  { file: '/usr/sbin/gmond', pkg: 'ganglia-monitor' },
  { file: '/usr/bin/faketime', pkg: 'faketime' },
];
/** A real browser for the dashboard, and the daemons of the services that follow the nodes. */
const testNeeds = [
  ...demoServicesNeeds,
  { file: '/usr/bin/chromium', pkg: 'chromium' },
  { file: '/usr/bin/systemd-analyze', pkg: 'systemd' },
  { file: '/usr/sbin/logrotate', pkg: 'logrotate' },
  { file: '/usr/bin/ganesha.nfsd', pkg: 'nfs-ganesha' },
  {
    file: `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/ganesha/libfsalvfs.so`,
    pkg: 'nfs-ganesha-vfs',
  },
  { file: '/usr/include/nfsc/libnfs.h', pkg: 'libnfs-dev' },
  { file: '/usr/bin/dbus-send', pkg: 'dbus' },
  { file: '/usr/bin/ruby', pkg: 'ruby' },
  { file: '/usr/bin/curl', pkg: 'curl' },
  { file: '/usr/bin/jq', pkg: 'jq' },
  // For the completion of the command line; bash is there.
  { file: '/usr/bin/zsh', pkg: 'zsh' },
  { file: '/usr/bin/fish', pkg: 'fish' },
];

/** What the suite with the real certificate authority wants, and no other. */
const puppetServerNeeds = [
  { file: '/usr/bin/puppetserver', pkg: 'puppetserver' },
  { file: '/usr/bin/puppet', pkg: 'puppet-agent' },
];

/** What builds and runs a machine with a kernel of its own, for the suite that is about that. */
const vmNeeds = [
  { file: '/usr/bin/qemu-system-x86_64', pkg: 'qemu-system-x86' },
  { file: '/usr/bin/qemu-img', pkg: 'qemu-utils' },
  { file: '/usr/sbin/debootstrap', pkg: 'debootstrap' },
  { file: '/bin/busybox', pkg: 'busybox-static' },
  { file: '/usr/bin/cpio', pkg: 'cpio' },
  { file: '/sbin/modprobe', pkg: 'kmod' },
  { file: '/sbin/mke2fs', pkg: 'e2fsprogs' },
];

async function systemPackages() {
  const needs = [
    ...systemNeeds,
    ...(forTests && !onlyOpenStack ? testNeeds : []),
    ...(forServices ? demoServicesNeeds : []),
    ...(forTests && ['puppet-server', 'puppet-vm'].some(runs) ? puppetServerNeeds : []),
    ...(forTests && namedSuites.includes('vm') ? vmNeeds : []),
  ];
  const missing = needs.filter(({ file }) => !existsSync(file)).map(({ pkg }) => pkg);
  if (missing.length === 0) return;
  const byHand = `Install them by hand: ${missing.join(' ')}`;
  if (process.getuid?.() !== 0)
    throw new Error(`system packages are missing and this is not root.\n${byHand}`);
  if (!existsSync('/usr/bin/apt-get'))
    throw new Error(`system packages are missing and there is no apt-get here.\n${byHand}`);
  const undo = keepDaemonsDown();
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (args) => ['-qq', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0', ...args];
  await run('package lists', 'apt-get', apt(['update']), 'Is the package mirror reachable?', { env });
  const install = apt(['install', '-y', '--no-install-recommends', ...missing]);
  await run(`system packages (${missing.join(' ')})`, 'apt-get', install, byHand, {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  undo();
}

// ---------------------------------------------------------------- npm packages

const hashOf = (...texts) => createHash('sha256').update(texts.join('\0')).digest('hex');

function stampMatches(file, value) {
  return existsSync(file) && readFileSync(file, 'utf8') === value;
}

async function npmPackages() {
  const stamp = join(root, 'node_modules', '.vmpool-setup');
  const wanted = hashOf(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  if (stampMatches(stamp, wanted)) return;
  // No install scripts: what they would download or compile is either not needed or set up below.
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm packages', 'npm', args, 'Is the npm registry reachable?');
  writeFileSync(stamp, wanted);
}

// ---------------------------------------------------------------- build

async function build() {
  const stamp = join(root, 'dist', '.vmpool-build');
  const wanted = sourcesStamp(root);
  if (stampMatches(stamp, wanted)) return;
  // A build that breaks off must not pass for a finished one.
  rmSync(stamp, { force: true });
  const gone = removeOrphans(root);
  if (gone.length > 0) say(`removed ${gone.length} compiled files whose source is gone`);
  forgetLostOutput(root);
  await run('build', 'npm', ['run', '--silent', 'build'], 'The compiler says above what is wrong.');
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, wanted);
}

// ---------------------------------------------------------------- the other Node version

async function secondNode() {
  if (!everySuite && !namedSuites.some((name) => name.endsWith('other-node'))) return;
  const { version, dir: target, program } = otherNode();
  if (existsSync(program)) return;
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
    await run(`Node ${version} for the tests`, 'npm', args, 'Is the npm registry reachable?', { cwd: temp });
    mkdirSync(dirname(target), { recursive: true });
    cpSync(join(temp, 'node_modules', `node-linux-${arch}`), `${target}.${process.pid}`, {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
    });
    renameSync(`${target}.${process.pid}`, target);
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

/** The packages of a real OpenStack and the image of its VMs, for the suites that run against it. */
async function openstackLab() {
  const isNamed = namedSuites.some((name) => name.startsWith('openstack'));
  if (!isNamed && !runs('openstack')) return;
  const why = whyNoOpenStackLab();
  if (why !== null && isNamed) throw new Error(`there can be no OpenStack lab here: ${why}.`);
  if (why !== null) return say(`the tests will leave the real OpenStack out: ${why}`);
  const script = join(root, 'test', 'openstack', 'lab', 'prepare.sh');
  const log = 'Its log is openstack/prepare.log in the cache directory.';
  if (isNamed) return run('OpenStack lab', script, [], log);
  const { why: trouble } = await runChild(script, [], { cwd: root });
  if (trouble !== null)
    say(`the OpenStack lab is not there (${trouble}): its suite will try again and fail. ${log}`);
}

/** The system of the machines of the suite `vm`. Debian's own, which it fetches with this machine's apt. */
async function vmImage() {
  if (!namedSuites.includes('vm')) return;
  const script = join(root, 'test', 'openstack', 'lab', 'guest-image.sh');
  const args = ['--mount', '--propagation', 'private', script, join(cacheDirectory, 'vm'), 'systemd'];
  await run('image of a VM', 'unshare', args, 'It needs Debian and its mirror. Are they there?');
}

/** The fuzzer of the HTTP API. Where it cannot be had, its suite tries again and says why; the others run. */
async function apiFuzzer() {
  if (!runs('hostile')) return;
  const { why } = await runChild(process.execPath, ['scripts/fuzzer/install.mjs'], { cwd: root });
  if (why !== null) say('the fuzzer of the HTTP API is not there: the suite hostile will fail');
}

async function pulumiEngine() {
  const { why } = await runChild(process.execPath, ['scripts/engine/install.mjs'], { cwd: root });
  if (why !== null)
    throw new Error('the Pulumi engine could not be set up; lines above that begin with "engine:" say why.');
}

/** One after the other: apt has one lock, and what keeps daemons down has one file. */
async function packages() {
  await systemPackages();
  if (!forTests) return;
  await Promise.all([openstackLab(), vmImage()]);
  await apiFuzzer();
}

// The engine's build wants the processor for minutes, everything else the mirrors and the disk: side by side. Where one
// of them fails the others come to their end first: apt must not be cut off in the middle.
const outcomes = await Promise.allSettled([
  pulumiEngine(),
  npmPackages().then(build),
  packages(),
  forTests ? secondNode() : undefined,
]);
const failed = outcomes.find(({ status }) => status === 'rejected');
if (failed !== undefined) fail(failed.reason.message);
say(`ready (${elapsed(started)})`);
