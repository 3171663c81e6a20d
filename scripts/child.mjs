/** Child processes that end with their parent, and things that are undone however the parent ends. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, dirname, join } from 'node:path';

const undos = new Set();
const children = new Set();
let interrupted = null;

function undoAll() {
  for (const child of children) child.kill('SIGTERM');
  for (const undo of undos) undo();
  undos.clear();
}

const exitCode = (signal) => 128 + constants.signals[signal];

/** The first signal is passed on and the end of all of them awaited, so that apt is not cut off in the middle; a second ends at once. */
function onSignal(signal) {
  if (interrupted !== null || children.size === 0) process.exit(exitCode(signal));
  interrupted = signal;
  for (const child of children) child.kill(signal);
}

let watching = false;
function watch() {
  if (watching) return;
  watching = true;
  process.on('exit', undoAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);
}

/** Runs a command to its end, or to this process's. Never rejects; `why` tells what went wrong in words, null when nothing did. */
export function runChild(command, args, options = {}) {
  watch();
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options });
    children.add(child);
    const end = (why) => {
      children.delete(child);
      if (interrupted === null) resolve({ why });
      else if (children.size === 0) process.exit(exitCode(interrupted));
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) =>
      end(code === 0 ? null : signal === null ? `exit code ${code}` : `ended by ${signal}`),
    );
  });
}

const mark = '# Written while packages are installed, removed right after.';

const entries = (folder) => (existsSync(folder) ? readdirSync(folder) : []);
/** What starts with the machine: units that some target wants, and start scripts of the levels with daemons. */
const starters = (etc) =>
  [
    ...entries(join(etc, 'systemd/system'))
      .filter((name) => name.endsWith('.wants'))
      .map((name) => join(etc, 'systemd/system', name)),
    ...[2, 3, 4, 5].map((level) => join(etc, `rc${level}.d`)),
  ].flatMap((folder) =>
    entries(folder)
      .filter((name) => folder.endsWith('.wants') || name.startsWith('S'))
      .map((name) => join(folder, name)),
  );
/** As systemctl and update-rc.d disable: a start script's link keeps its place as one that stops. */
function disable(starter) {
  const name = basename(starter);
  if (dirname(starter).endsWith('.wants')) rmSync(starter, { force: true });
  else renameSync(starter, join(dirname(starter), `K${name.slice(1)}`));
}

/**
 * While this is there, no daemon starts because its package is installed, and none of them is left to start with the
 * machine. An administrator's own file stays as it is; ours goes however this process ends, and one that a killed
 * process left is taken over. Returns the undo.
 */
export function keepDaemonsDown(path = '/usr/sbin/policy-rc.d', etc = '/etc') {
  watch();
  const ours = !existsSync(path) || readFileSync(path, 'utf8').includes(mark);
  const before = new Set(starters(etc));
  const undo = () => {
    if (ours) rmSync(path, { force: true });
    for (const starter of starters(etc)) if (!before.has(starter)) disable(starter);
  };
  undos.add(undo);
  if (ours) writeFileSync(path, `#!/bin/sh\n${mark}\nexit 101\n`, { mode: 0o755 });
  return () => {
    undos.delete(undo);
    undo();
  };
}
