#!/usr/bin/env node
/**
 * Runs the suites, four side by side, and sums up. Each suite is one Jest project (or a tool that says yes or no); a
 * suite that cannot run, takes too long or leaves something behind has failed. The last line is `N passed, N failed`.
 *
 *   node scripts/run-tests.mjs [SUITE ...]      in this order; a name with a blank may be written with a dash
 *
 * VMPOOL_TEST_SLOTS=1: one after the other. A suite that another checkout runs on this machine is waited for.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { takeLock } from './engine/lock.mjs';
import { whyNoOpenStackLab } from './openstack-lab.mjs';
import { endProcessesOf, processesOf, runLimited } from './suite-processes.mjs';
import { namedLines, runScheduled } from './suite-schedule.mjs';
import { otherNode } from './tested-nodes.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const scratch = mkdtempSync(join(tmpdir(), 'vmpool-tests-'));
const runId = randomUUID();
/** What belongs to one suite, among those that run at the same time. */
const runIdOf = (name) => `${runId}-${name.replaceAll(' ', '-')}`;
const env = { ...process.env, NODE_NO_WARNINGS: '1' };
delete env.NODE_OPTIONS;

const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
const minutes = (n) => n * 60_000;
const secondsSince = (since) => (Date.now() - since) / 1000;

const interrupt = new globalThis.AbortController();
let interruptedBy = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interruptedBy ??= signal;
    interrupt.abort();
  });
}
/** Its output, line by line, with the suite's name before each, to the console, and to `onOutput` as it is. */
async function limited(name, command, args, { onOutput = () => undefined, ...options }) {
  const lines = namedLines(name, (text) => process.stderr.write(text));
  const both = (chunk) => {
    lines.chunk(chunk);
    onOutput(chunk);
  };
  const fixed = { cwd: root, env, runId: runIdOf(name), signal: interrupt.signal, onOutput: both };
  const result = await runLimited(command, args, { ...fixed, ...options });
  lines.end();
  return result;
}

// ---------------------------------------------------------------- suites

const isNamed = (suite, word) => suite.name === word || suite.name.replaceAll(' ', '-') === word;

/**
 * One Jest project. Its progress (a line for each file, and what failed) comes from Jest itself. `inside`: a program
 * that runs the command which follows it in surroundings of its own. `firstAlone`: the file that has all the suite's
 * places; from its end on the suite has one. `addresses`: a name for what it binds; another suite with the same waits.
 */
function jestSuite(
  name,
  project,
  limitMs,
  { node = process.execPath, extra = [], inside = [], slots = 1, firstAlone, addresses = name } = {},
) {
  const run = async (narrow) => {
    if (!existsSync(node)) {
      return { passed: 0, failed: 1, note: `could not run: there is no ${node}; make test sets it up` };
    }
    const out = join(scratch, `${name.replaceAll(' ', '-')}.json`);
    const args = ['--experimental-vm-modules', jest, `--selectProjects=${project}`, '--json'];
    const [command, ...words] = [...inside, node, ...args, `--outputFile=${out}`, ...extra];
    const { code, why } = await limited(name, command, words, {
      env: { ...env, PATH: `${dirname(node)}:${env.PATH}` },
      limitMs,
      // Jest writes its progress to stderr; on stdout it only repeats the JSON.
      quietStdout: true,
      ...(firstAlone === undefined ? {} : { onOutput: onceOver(firstAlone, () => narrow(1)) }),
    });
    if (!existsSync(out))
      return { passed: 0, failed: 1, note: `could not run: ${why ?? `exit code ${code}`}` };
    const json = JSON.parse(readFileSync(out, 'utf8'));
    const broken = json.testResults.filter(
      (t) => t.status === 'failed' && t.assertionResults.every((a) => a.status !== 'failed'),
    ).length;
    const skipped = json.numPendingTests + json.numTodoTests;
    const counted = json.numFailedTests + broken + skipped;
    const odd =
      json.numTotalTests === 0 ? 'there are no tests in it' : code !== 0 ? (why ?? `exit code ${code}`) : '';
    return {
      passed: json.numPassedTests,
      failed: counted === 0 && odd !== '' ? 1 : counted,
      failures: failuresOf(json),
      note: skipped > 0 ? `${skipped} skipped tests count as failed` : counted === 0 ? odd : '',
    };
  };
  return { name, slots, addresses, run };
}

/** Looks in Jest's progress for the line of a file that is over. */
function onceOver(file, then) {
  let seen = '';
  let isOver = false;
  return (chunk) => {
    if (isOver) return;
    seen += stripVTControlCharacters(chunk.toString());
    isOver = new RegExp(`^(PASS|FAIL) .*${file.replaceAll('.', '\\.')}`, 'm').test(seen);
    if (isOver) then();
    seen = seen.slice(seen.lastIndexOf('\n') + 1);
  };
}

/** What failed, each with the first lines of its reason: the end of a long output is what whoever reads it sees. */
function failuresOf({ testResults }) {
  const linesOf = (text) =>
    stripVTControlCharacters(text)
      .split('\n')
      .filter((line) => line.trim() !== '');
  return testResults.flatMap(({ name: file, message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    const where = relative(root, file);
    if (failed.length === 0) return message === '' ? [] : [[where, ...linesOf(message).slice(0, 8)]];
    return failed.map(({ fullName, failureMessages }) => [
      `${where}: ${fullName}`,
      ...failureMessages.flatMap((text) => linesOf(text).slice(0, 8)),
    ]);
  });
}

/** A tool that says yes or no. */
function toolSuite(name, command, args) {
  const run = async () => {
    const program = join(root, 'node_modules', '.bin', command);
    const { code, why } = await limited(name, program, args, { limitMs: minutes(12) });
    return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, note: why ?? '' };
  };
  return { name, slots: 1, run };
}

/** How many places there are. A suite that takes all of them has the machine alone. */
const places = Number(process.env.VMPOOL_TEST_SLOTS ?? 4);

/** A program that counts for itself: its last line is `NAME: N checks passed, N failed`. It has the machine alone. */
function countedSuite(name, command, args, limitMs) {
  const run = async () => {
    let tail = '';
    const { code, why } = await limited(name, command, args, {
      limitMs,
      onOutput: (chunk) => {
        tail = (tail + chunk).slice(-2000);
      },
    });
    const counts = /: (\d+) checks passed, (\d+) failed\s*$/.exec(tail);
    if (counts === null) {
      return { passed: 0, failed: 1, note: `did not come to its end: ${why ?? `exit code ${code}`}` };
    }
    const [passed, failed] = counts.slice(1).map(Number);
    const odd = passed === 0 ? 'there are no checks in it' : code !== 0 ? (why ?? `exit code ${code}`) : '';
    return { passed, failed: failed === 0 && odd !== '' ? 1 : failed, note: odd };
  };
  return { name, slots: places, run };
}

const serial = ['--runInBand'];
/** Files in the order of their names; Jest's own depends on how long they took last time. */
const byName = join(root, 'scripts', 'by-name.mjs');
const other = otherNode().program;
/** Brings OpenStack up, runs the command that follows in its namespaces, and takes all of it down. */
const openstackLab = join(root, 'test', 'openstack', 'lab', 'run.sh');

/** Files of that suite but for the pool in trouble, and for the cold VMs. */
const openstackCalm = 'contract|ways-in|cells|user-data|jobs';

/** A real OpenStack, started in namespaces of its own around the tests. Where it cannot be, that is told. */
function openstackSuite(name, files, options = {}) {
  const patterns = `--testPathPatterns=test/openstack/[0-9]-(${files})`;
  const extra = [...serial, `--testSequencer=${byName}`, patterns];
  const inside = [openstackLab];
  return whereOpenStackCanBe(jestSuite(name, 'openstack', minutes(40), { extra, inside, ...options }));
}

/** The same with Nova's fake driver, for many VMs. `before`: what runs it. */
function fakeOpenstackSuite(name, vms, before = []) {
  const inside = [...before, 'env', 'LAB_MODE=fake', `FAKE_VMS=${vms}`, openstackLab];
  return whereOpenStackCanBe(jestSuite(name, 'openstack-fake', minutes(40), { extra: serial, inside }));
}

function whereOpenStackCanBe(suite) {
  const why = whyNoOpenStackLab();
  if (why === null) return suite;
  // Whoever names it wants it.
  const failed = process.argv.slice(2).some((word) => isNamed(suite, word)) ? 1 : 0;
  return { ...suite, slots: 1, run: () => Promise.resolve({ passed: 0, failed, note: `not run: ${why}` }) };
}

/**
 * In this order, four side by side on two cores: most of them wait for Pulumi, boots and limits more than half of the
 * time (the engine's suite uses 0.4 of a core, that of a real OpenStack 0.7), and have networks and directories of their
 * own. The longer ones begin, so that no place is empty in the end; puppet-server and puppet-vm, which use the same
 * addresses, are far from each other, so that neither waits. Those with all places want the machine for themselves:
 * they have three workers and limits of seconds, kill at random moments, or measure.
 */
const suites = [
  jestSuite('engine', 'engine', minutes(30), { extra: serial }),
  openstackSuite('openstack', `cold-vms|${openstackCalm}`, {
    inside: ['env', 'COLD_VMS=3', openstackLab],
  }),
  openstackSuite('openstack-faults', 'faults'),
  jestSuite('puppet-server', 'puppet-server', minutes(30), {
    extra: [...serial, '--testPathPatterns=puppet-server.test'],
    addresses: 'puppet-server',
  }),
  jestSuite('fast', 'fast', minutes(15)),
  jestSuite('hooks', 'hooks', minutes(15), { extra: serial }),
  jestSuite('guest', 'guest', minutes(12), { extra: serial }),
  jestSuite('services', 'services', minutes(20), { extra: serial }),
  jestSuite('fast other-node', 'fast', minutes(15), { node: other }),
  jestSuite('puppet-vm', 'puppet-server', minutes(30), {
    extra: [...serial, '--testPathPatterns=vm.test'],
    addresses: 'puppet-server',
  }),
  // It waits for nobody's limits, so those beside it go first.
  fakeOpenstackSuite('openstack-twenty', 20, ['nice', '-n', '2']),
  jestSuite('browser', 'browser', minutes(10), { extra: serial }),
  jestSuite('package', 'package', minutes(12), { extra: serial }),
  jestSuite('hostile', 'hostile', minutes(15), { extra: serial }),
  toolSuite('lint', 'eslint', ['.']),
  jestSuite('sim', 'sim', minutes(15)),
  jestSuite('embedded', 'embedded', minutes(12), { extra: serial }),
  jestSuite('e2e other-node', 'e2e', minutes(10), {
    node: other,
    extra: [...serial, '--testPathPatterns=smoke'],
    addresses: 'e2e',
  }),
  toolSuite('format', 'prettier', ['--check', '--log-level', 'warn', '.']),
  toolSuite('types', 'tsc', ['-p', 'tsconfig.json']),
  toolSuite('types browser', 'tsc', ['-p', 'src/dashboard/browser/tsconfig.json']),
  jestSuite('doors', 'doors', minutes(10), { extra: serial }),
  jestSuite('puppet', 'puppet', minutes(15), { extra: serial }),
  jestSuite('e2e', 'e2e', minutes(30), { extra: ['--maxWorkers=3'], slots: places }),
  // A fixed seed: what is killed when is the same in every run, as far as it can be. Fresh ones: make chaos.
  countedSuite(
    'chaos',
    'unshare',
    [
      ...['--mount', '--propagation', 'private', process.execPath, 'dist/test/chaos/main.js'],
      ...['--kills', '40', '--seed', '2'],
    ],
    minutes(25),
  ),
  // Ratios to floors of the same run, so that a busy machine slows both; fails at twice what is wanted.
  countedSuite('bench', process.execPath, ['bench/main.mjs', '--smoke'], minutes(5)),
];

/** Suites that run only when they are named: they take long, and their set-up as well. */
const suitesOnRequest = [
  // A kernel and a systemd of the tests' own, in software emulation.
  jestSuite('vm', 'vm', minutes(30), { extra: serial }),
  // With those of the faults what `make test-openstack` runs: `openstack` and its twenty with more VMs, and with the
  // machine for what measures how long a cold one takes.
  openstackSuite('openstack-jobs', `cold-vms|${openstackCalm}`, {
    slots: places,
    firstAlone: '0-cold-vms.test.ts',
  }),
  fakeOpenstackSuite('openstack-hundred', 100),
];

// ---------------------------------------------------------------- what a suite leaves behind

const surroundings = () => ({
  'accounts in /etc/passwd': readFileSync('/etc/passwd', 'utf8'),
  mounts: readFileSync('/proc/self/mounts', 'utf8').split('\n').sort().join('\n'),
  'network namespaces': existsSync('/run/netns') ? readdirSync('/run/netns').sort().join(' ') : '',
});
let before = surroundings();

let leftBehind = 0;
function complain(names, left) {
  leftBehind += left.length;
  for (const line of left) console.log(`=== ${names.join(', ')} left behind: ${line}`);
}

/** Names the processes that a suite left, and ends them so that the next ones do not meet them. */
async function leftProcesses(name) {
  const id = runIdOf(name);
  // What is on its way out may go.
  for (let n = 0; n < 10 && processesOf(id).length > 0; n += 1) await sleep(100);
  const left = (await endProcessesOf(id)).map(({ pid, command }) => `process ${pid} ${command}`);
  complain([name], left);
}

/** Names what else of the machine has changed; only while no suite runs can that be told. */
async function leftSurroundings(names) {
  const after = surroundings();
  const changed = Object.entries(after).filter(([what, text]) => text !== before[what]);
  before = after;
  complain(
    names,
    changed.map(([what]) => `${what} changed`),
  );
}

// ---------------------------------------------------------------- run

const wanted = process.argv.slice(2);
const all = [...suites, ...suitesOnRequest];
const unknown = wanted.filter((word) => !all.some((suite) => isNamed(suite, word)));
if (unknown.length > 0) {
  console.error(`no such suite: ${unknown.join(', ')}; there are: ${all.map((s) => s.name).join(', ')}`);
  process.exit(2);
}

/** Runs it when nothing else on this machine does, another checkout's tests included, that binds the same addresses. */
async function runByItself(suite, narrow) {
  const { name, addresses = name } = suite;
  const file = join(tmpdir(), `vmpool-suite-${addresses.replaceAll(' ', '-')}.lock`);
  const say = (text) => console.log(`=== ${name}: ${text}`);
  const options = { waitMs: minutes(60), say, what: `run of ${addresses}`, signal: interrupt.signal };
  let release = () => undefined;
  try {
    release = await takeLock(file, options);
    return await suite.run(narrow);
  } catch (error) {
    return { passed: 0, failed: 1, note: `could not run: ${error.message}` };
  } finally {
    release();
  }
}

const results = [];
async function runSuite(suite, narrow) {
  const since = Date.now();
  console.log(`\n=== ${suite.name}`);
  const result = await runByItself(suite, narrow);
  const seconds = secondsSince(since);
  results.push({ name: suite.name, ...result, seconds });
  const { passed, failed, note } = result;
  console.log(`=== ${suite.name}: ${passed} passed, ${failed} failed in ${seconds.toFixed(1)} s ${note}`);
  await leftProcesses(suite.name);
}

/** In the order in which they are named: which ones run beside each other depends on it. */
const named = new Set(wanted.flatMap((word) => all.filter((suite) => isNamed(suite, word))));
const chosen = wanted.length === 0 ? suites : [...named];
await runScheduled(
  chosen.map((suite) => ({ ...suite, run: (narrow) => runSuite(suite, narrow) })),
  {
    capacity: places,
    alone: leftSurroundings,
    stopped: () => interruptedBy !== null,
  },
);
rmSync(scratch, { recursive: true, force: true });
if (interruptedBy !== null) {
  console.log(`\ninterrupted by ${interruptedBy}`);
  process.exit(128 + constants.signals[interruptedBy]);
}
results.push({
  name: 'nothing left behind',
  passed: leftBehind === 0 ? 1 : 0,
  failed: leftBehind === 0 ? 0 : 1,
  seconds: 0,
  note: leftBehind === 0 ? '' : `${leftBehind} things, named above`,
});

console.log('\nsuite                 passed  failed  seconds');
for (const { name, passed, failed, seconds, note } of results) {
  const numbers = `${String(passed).padStart(7)} ${String(failed).padStart(7)} ${seconds.toFixed(1).padStart(8)}`;
  console.log(`${name.padEnd(20)} ${numbers}  ${note}`);
}
for (const { name, failures = [] } of results) {
  for (const [what, ...reason] of failures)
    console.log(`\nfailed: ${name}: ${what}\n  ${reason.join('\n  ')}`);
}
const sum = (key) => results.reduce((n, result) => n + result[key], 0);
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed`);
process.exit(sum('failed') === 0 ? 0 : 1);
