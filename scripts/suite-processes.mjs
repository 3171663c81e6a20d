/** Processes of a test suite: run with a time limit, found again wherever they have gone, ended with all their children. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { clearTimeout } from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';

/** In the environment of everything that a run of the tests starts. */
export const runVariable = 'VMPOOL_TEST_RUN';

/** A file's text; empty where it cannot be read. */
export function textOf(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Gone while it was looked at, or not ours to read.
    return '';
  }
}

/** Processes of that run that live, whatever group, session or parent they have by now. `variable` names the run in their environment. */
export function processesOf(runId, variable = runVariable) {
  const wanted = `${variable}=${runId}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => textOf(`/proc/${pid}/environ`).split('\0').includes(wanted))
    .map((pid) => ({
      pid: Number(pid),
      command:
        textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() || textOf(`/proc/${pid}/comm`).trim(),
    }));
}

function kill(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // Ended by itself in the meantime.
  }
}

/** Ends every process of that run for good; returns what was there at first. */
export async function endProcessesOf(runId, variable = runVariable) {
  const found = processesOf(runId, variable);
  // Again until none is left: one may have started another while it was looked at.
  for (
    let round = 0, left = found;
    left.length > 0 && round < 40;
    round += 1, left = processesOf(runId, variable)
  ) {
    for (const { pid } of left) kill(pid, 'SIGKILL');
    await sleep(50);
  }
  return found;
}

/**
 * Runs a command in a process group of its own, at most `limitMs` long; then, or when `signal` fires, it ends with
 * its whole group and whatever else belongs to the run. Resolves with the exit code, null when it was ended;
 * `onOutput` gets what it writes, which otherwise goes to the console.
 */
export function runLimited(
  command,
  args,
  { cwd, env, runId, limitMs, signal, onOutput, quietStdout = false },
) {
  return new Promise((resolve) => {
    const out = onOutput === undefined ? 'inherit' : 'pipe';
    const child = spawn(command, args, {
      cwd,
      env: { ...env, [runVariable]: runId },
      stdio: ['ignore', quietStdout ? 'ignore' : out, out],
      detached: true,
    });
    child.stdout?.on('data', onOutput);
    child.stderr?.on('data', onOutput);
    let why = null;
    const end = (reason) => {
      why ??= reason;
      if (child.pid !== undefined) kill(-child.pid, 'SIGKILL');
    };
    const limit = setTimeout(() => end(`ended after its limit of ${limitMs / 1000} s`), limitMs);
    const stop = () => end('interrupted');
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted === true) stop();
    const over = (code, problem) => {
      clearTimeout(limit);
      signal?.removeEventListener('abort', stop);
      // What is left of its group would hold its output open.
      if (child.pid !== undefined) kill(-child.pid, 'SIGKILL');
      resolve({ code, why: why ?? problem });
    };
    child.once('error', (error) => over(null, error.message));
    child.once('exit', (code, by) => over(code, code === null ? `ended by ${by}` : null));
  });
}
