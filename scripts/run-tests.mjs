#!/usr/bin/env node
/**
 * Runs the suites one after the other and sums up. Each suite is one Jest project (or a tool that says yes or
 * no); a suite that cannot run has failed. The last line is `N passed, N failed`.
 *
 *   node scripts/run-tests.mjs [SUITE ...]
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const scratch = mkdtempSync(join(tmpdir(), 'vmpool-tests-'));
/** In the environment of everything the tests start: what still has it at the end was left over. */
const runId = `vmpool-test-${randomUUID()}`;
const env = { ...process.env, VMPOOL_TEST_RUN: runId, NODE_NO_WARNINGS: '1' };
delete env.NODE_OPTIONS;

const major = Number(process.versions.node.split('.')[0]);
const cache =
  process.env.VMPOOL_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'vmpool');

function otherNode() {
  const wanted = major === 22 ? 20 : 22;
  const dir = join(cache, 'node');
  const found = existsSync(dir) ? readdirSync(dir).find((name) => name.startsWith(`v${wanted}.`)) : undefined;
  return found === undefined ? null : join(dir, found, 'bin', 'node');
}

const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
const minutes = (n) => n * 60_000;

function jestSuite(name, project, limitMs, node = process.execPath, extra = []) {
  return {
    name,
    run: () => {
      const out = join(scratch, `${name.replaceAll(' ', '-')}.json`);
      if (node === null)
        return { passed: 0, failed: 1, note: 'that Node version is missing: run make setup, or make test' };
      const args = [
        '--experimental-vm-modules',
        jest,
        '--selectProjects',
        project,
        '--json',
        '--outputFile',
        out,
        ...extra,
      ];
      const path = `${dirname(node)}:${env.PATH}`;
      const result = spawnSync(node, args, {
        cwd: root,
        env: { ...env, PATH: path },
        stdio: ['ignore', 'ignore', 'inherit'],
        timeout: limitMs,
        killSignal: 'SIGKILL',
      });
      if (!existsSync(out)) {
        const why = result.error?.message ?? `exit code ${result.status ?? result.signal}`;
        return { passed: 0, failed: 1, note: `could not run: ${why}` };
      }
      const json = JSON.parse(readFileSync(out, 'utf8'));
      const broken = json.testResults.filter(
        (t) => t.status === 'failed' && t.assertionResults.length === 0,
      ).length;
      const skipped = json.numPendingTests + json.numTodoTests;
      let failed = json.numFailedTests + broken + skipped;
      if (json.numTotalTests === 0 || (result.status !== 0 && failed === 0)) failed += 1;
      return {
        passed: json.numPassedTests,
        failed,
        note: skipped > 0 ? `${skipped} skipped tests count as failed` : '',
      };
    },
  };
}

function toolSuite(name, command, args) {
  return {
    name,
    run: () => {
      const result = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] });
      return result.status === 0 ? { passed: 1, failed: 0, note: '' } : { passed: 0, failed: 1, note: '' };
    },
  };
}

const bin = (name) => join(root, 'node_modules', '.bin', name);
const serial = ['--runInBand'];

const suites = [
  toolSuite('lint', bin('eslint'), ['.']),
  toolSuite('format', bin('prettier'), ['--check', '--log-level', 'warn', '.']),
  toolSuite('types', bin('tsc'), ['-p', 'tsconfig.json']),
  jestSuite('fast', 'fast', minutes(5)),
  jestSuite('fast other-node', 'fast', minutes(5), otherNode()),
  jestSuite('embedded', 'embedded', minutes(8), process.execPath, serial),
  jestSuite('guest', 'guest', minutes(8), process.execPath, serial),
  jestSuite('engine', 'engine', minutes(12), process.execPath, serial),
  jestSuite('hooks', 'hooks', minutes(10), process.execPath, serial),
  jestSuite('e2e', 'e2e', minutes(12), process.execPath, serial),
  jestSuite('e2e other-node', 'e2e', minutes(6), otherNode(), [...serial, '--testPathPatterns', 'smoke']),
];

// ---------------------------------------------------------------- what was left over

function accounts() {
  return readFileSync('/etc/passwd', 'utf8');
}

function mounts() {
  return readFileSync('/proc/self/mounts', 'utf8').split('\n').sort().join('\n');
}

function namespaces() {
  return existsSync('/run/netns') ? readdirSync('/run/netns').sort().join(' ') : '';
}

function leftProcesses() {
  const left = [];
  for (const pid of readdirSync('/proc').filter((n) => /^\d+$/.test(n) && Number(n) !== process.pid)) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').includes(runId)) continue;
      left.push(
        `${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() || readlinkSync(`/proc/${pid}/exe`)}`,
      );
    } catch {
      // Gone while it was looked at, or not ours to read.
    }
  }
  return left;
}

const before = { accounts: accounts(), mounts: mounts(), namespaces: namespaces() };

function leftovers() {
  const found = leftProcesses().map((p) => `process ${p}`);
  if (accounts() !== before.accounts) found.push('accounts in /etc/passwd changed');
  if (mounts() !== before.mounts) found.push('mounts changed');
  if (namespaces() !== before.namespaces) found.push('network namespaces changed');
  return found;
}

// ---------------------------------------------------------------- run

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !suites.some((s) => s.name === name));
if (unknown.length > 0) {
  console.error(`no such suite: ${unknown.join(', ')}; there are: ${suites.map((s) => s.name).join(', ')}`);
  process.exit(2);
}

const rows = [];
for (const suite of suites) {
  if (wanted.length > 0 && !wanted.includes(suite.name)) continue;
  console.log(`\n=== ${suite.name}`);
  const since = Date.now();
  const result = suite.run();
  rows.push({ name: suite.name, ...result, seconds: (Date.now() - since) / 1000 });
  console.log(
    `=== ${suite.name}: ${result.passed} passed, ${result.failed} failed in ${((Date.now() - since) / 1000).toFixed(1)} s ${result.note}`,
  );
}

await new Promise((resolve) => setTimeout(resolve, 1000));
const left = leftovers();
for (const line of left) console.log(`left over: ${line}`);
rows.push({
  name: 'nothing left over',
  passed: left.length === 0 ? 1 : 0,
  failed: left.length === 0 ? 0 : 1,
  seconds: 0,
  note: '',
});
rmSync(scratch, { recursive: true, force: true });

console.log('\nsuite                 passed  failed  seconds');
for (const row of rows) {
  console.log(
    `${row.name.padEnd(20)} ${String(row.passed).padStart(7)} ${String(row.failed).padStart(7)} ${row.seconds.toFixed(1).padStart(8)}  ${row.note}`,
  );
}
const passed = rows.reduce((n, r) => n + r.passed, 0);
const failed = rows.reduce((n, r) => n + r.failed, 0);
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
