/** Builds a part from its Go module. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { compareVersions, neededGo, sourcesDir } from './parts.mjs';

const progressMs = 15_000;
const buildTimeoutMs = 40 * 60_000;
const shownLogLines = 15;

/** Throws an Error that says what to do when there is no Go, or one that is too old. */
export function requireGo(env = process.env) {
  const wanted = neededGo();
  const advice =
    `Building the Pulumi engine needs Go ${wanted} or later. Install it (https://go.dev/dl/, or your distribution's ` +
    `package) and put it on PATH; or put Pulumi itself on PATH; or copy a finished engine: see docs/reference/engine.md.`;
  let text;
  try {
    text = execFileSync('go', ['env', 'GOVERSION'], {
      encoding: 'utf8',
      env: { ...env, GOTOOLCHAIN: 'local' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    throw new Error(`There is no working \`go\` on PATH. ${advice}`, { cause: error });
  }
  const version = /^go(\d+(?:\.\d+)*)/.exec(text.trim())?.[1];
  if (version === undefined || compareVersions(version, wanted) < 0) {
    throw new Error(`\`go\` on PATH is ${text.trim()}. ${advice}`);
  }
}

/**
 * Module and build caches are private (`goDir`): they are 5 GB that nothing needs afterwards, and they can be deleted
 * without touching what the user has. GOFLAGS=-mod=mod and the like of the user are not inherited where they could change
 * the result; GOPROXY and its relatives are.
 */
function goEnvironment(goDir, outDir) {
  const env = {
    ...process.env,
    GOMODCACHE: join(goDir, 'mod'),
    GOCACHE: join(goDir, 'build'),
    GOBIN: outDir,
    // A module cache that is not read-only can be deleted by plain means; a checkout that git distrusts must build too.
    GOFLAGS: '-modcacherw -mod=readonly -buildvcs=false',
    GOWORK: 'off',
    GOTOOLCHAIN: 'local',
    // The compilers spend a fifth of their time on collecting garbage, in heaps that are small; one that grows beyond
    // the limit collects as often as ever.
    GOGC: '400',
    GOMEMLIMIT: '1GiB',
    // No C compiler needed, and binaries that run on any distribution.
    CGO_ENABLED: '0',
  };
  delete env.GOOS;
  delete env.GOARCH;
  return env;
}

/**
 * Downloads the modules that a part is compiled from, while others are compiled. What fails here fails again in its
 * build, which says it.
 */
export async function fetchModules(part, { goDir, outDir, logFile }) {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'w');
  try {
    const args = ['list', '-deps', '-f', '{{with .Error}}{{.}}{{end}}', part.tool ? 'tool' : '.'];
    await runGo(args, { cwd: join(sourcesDir, part.name), env: goEnvironment(goDir, outDir), log });
  } finally {
    closeSync(log);
  }
}

/** Builds a part and gives the path of its binary, with a line of progress every 15 s. */
export async function build(part, { goDir, outDir, logFile, say }) {
  mkdirSync(outDir, { recursive: true });
  mkdirSync(dirname(logFile), { recursive: true });
  const binary = join(outDir, part.binary);
  const ldflags = ['-s', '-w', ...(part.stamp ? ['-X', part.stamp] : [])].join(' ');
  // The linker leaves out what debuggers want; not to make it for each package either saves a seventh of the build.
  const options = ['-trimpath', '-gcflags', 'all=-dwarf=false', '-ldflags', ldflags];
  const args = part.tool ? ['install', ...options, 'tool'] : ['build', ...options, '-o', binary, '.'];
  const env = goEnvironment(goDir, outDir);

  const started = performance.now();
  const elapsed = () => `${Math.round((performance.now() - started) / 1000)} s`;
  say(`building the ${part.label} ${part.version} from Go modules`);
  const timer = setInterval(() => say(`  still building the ${part.label}: ${elapsed()}`), progressMs);
  const log = openSync(logFile, 'w');
  try {
    const failure = await runGo(args, { cwd: join(sourcesDir, part.name), env, log });
    if (failure !== undefined) {
      const tail = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-shownLogLines).join('\n');
      throw new Error(
        `Building the ${part.label} failed (${failure}). The whole log is in ${logFile}; it ends:\n${tail}\n` +
          `Modules come from GOPROXY (${process.env.GOPROXY ?? "Go's default"}). What is built so far is kept: run again to go on.`,
      );
    }
    if (!existsSync(binary)) throw new Error(`The build of the ${part.label} left no ${binary}; see ${logFile}.`);
  } finally {
    clearInterval(timer);
    closeSync(log);
  }
  say(`built the ${part.label} in ${elapsed()}`);
  return binary;
}

/** Runs go in a group of its own, so that an interrupted set-up leaves no compiler behind. */
function runGo(args, { cwd, env, log }) {
  return new Promise((resolve) => {
    const go = spawn('go', args, { cwd, env, stdio: ['ignore', log, log], detached: true });
    const end = (signal) => {
      try {
        process.kill(-go.pid, signal);
      } catch {
        // It is gone already.
      }
    };
    const interrupted = () => end('SIGTERM');
    const timeout = setTimeout(() => end('SIGKILL'), buildTimeoutMs);
    process.once('exit', interrupted);
    const finish = (failure) => {
      clearTimeout(timeout);
      process.off('exit', interrupted);
      resolve(failure);
    };
    go.once('error', (error) => finish(error.message));
    go.once('close', (code, signal) => finish(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
  });
}
