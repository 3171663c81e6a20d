/**
 * Who owns what a benchmark opens: processes, directories, and whatever else has to be closed. All of it is gone when the
 * work has ended, failed or was interrupted by a signal; its processes end even if the benchmark itself is killed.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { endProcessesOf } from '../scripts/suite-processes.mjs';

/** In the environment of everything that an owner starts, so that what those start in turn is found as well. */
const ownerVariable = 'VMPOOL_BENCH_OWNER';
const stopLimitMs = 60_000;
/** From SIGKILL to the end. */
const killLimitMs = 10_000;

const open = new Set();
let ending = null;

/** Is everything being closed because of a signal? What fails then is a consequence of that. */
export const isInterrupted = () => ending !== null;

/** Closes everything that is open, the newest first, and ends this process with that exit code. */
function endAll(code) {
  ending ??= (async () => {
    for (const owner of [...open].reverse()) await owner.close();
    process.exit(code);
  })();
}

let watching = false;
function watch() {
  if (watching) return;
  watching = true;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => endAll(128 + constants.signals[signal]));
  for (const event of ['uncaughtException', 'unhandledRejection'])
    process.on(event, (error) => {
      if (!isInterrupted()) console.error(error);
      endAll(1);
    });
}

/** `promise`, or an Error that names `what` after `limitMs`. */
async function within(what, limitMs, promise) {
  const stop = new globalThis.AbortController();
  try {
    return await Promise.race([
      promise,
      sleep(limitMs, undefined, { signal: stop.signal }).then(() => {
        throw new Error(`${what}: not within ${limitMs / 1000} s`);
      }),
    ]);
  } finally {
    stop.abort();
  }
}

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // None of the group is left.
  }
}

/** A child in a session of its own: Ctrl-C reaches the benchmark alone, which then ends things in their order. */
class OwnedProcess {
  #child;
  #gone;
  #ended = null;
  #lines = [];
  #tail = [];
  #waiting = null;

  constructor(what, command, args, { env, cwd, stderr }) {
    this.what = what;
    // Ends with this process, also when that is killed.
    this.#child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', command, ...args.map(String)], {
      ...{ env, cwd, detached: true, stdio: ['ignore', 'pipe', stderr] },
    });
    this.#gone = new Promise((resolve) => {
      const end = (how) => {
        this.#ended ??= how;
        this.#waiting?.();
        resolve(this.#ended);
      };
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
    });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#tail = [...this.#tail, line].slice(-20);
      // Of one that logs all the time nobody reads more than what comes while they wait.
      if (this.#waiting === null) this.#lines = this.#lines.slice(-1_000);
      this.#waiting?.();
    });
  }

  get pid() {
    return this.#child.pid;
  }
  /** Null while it runs, else how it ended: `exit code 0`, `SIGKILL`, or why it could not be started. */
  get ended() {
    return this.#ended;
  }

  /**
   * Reads its output to the first line for which `found` says something, and resolves with that. Lines before it are
   * lost. @throws Error when it ends first, or after `limitMs`
   */
  line(found, limitMs = 120_000) {
    const look = async () => {
      for (;;) {
        for (const line of this.#lines.splice(0)) {
          const value = found(line);
          if (value !== undefined && value !== null) return value;
        }
        if (this.#ended !== null) throw new Error(`${this.what} has ended: ${this.#ended}`);
        await new Promise((resolve) => (this.#waiting = resolve));
        this.#waiting = null;
      }
    };
    return within(`the answer of ${this.what}`, limitMs, look());
  }

  signal(name) {
    this.#child.kill(name);
  }

  /** Waits for its end by itself. @throws Error when that was not with exit code 0, or after `limitMs` */
  async done(limitMs) {
    const how = await within(this.what, limitMs, this.#gone);
    if (how !== 'exit code 0') throw new Error([`${this.what}: ${how}`, ...this.#tail].join('\n'));
  }

  /** SIGTERM, after a limit SIGKILL, and SIGKILL to its whole group. Idempotent. @throws Error when it lives on */
  async stop(limitMs = stopLimitMs) {
    if (this.#ended === null) this.#child.kill('SIGTERM');
    const kill = setTimeout(() => killGroup(this.pid, 'SIGKILL'), limitMs);
    try {
      await within(`the end of ${this.what}`, limitMs + killLimitMs, this.#gone);
    } finally {
      clearTimeout(kill);
      if (this.pid !== undefined) killGroup(this.pid, 'SIGKILL');
      this.#child.stdout.destroy();
    }
  }
}

class Owner {
  #id = randomUUID();
  #undo = [];
  #closing = null;

  /** `undo()` is called at the close, in the reverse order of these calls, each after the end of the one before. */
  defer(what, undo, limitMs = 2 * stopLimitMs) {
    if (this.#closing !== null) throw new Error(`${what} came too late: everything is being closed`);
    this.#undo.push({ what, undo, limitMs });
  }

  /** A new directory, gone with all that is in it at the close. */
  directory() {
    let path = null;
    this.defer('a directory', () => {
      if (path !== null) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    });
    path = mkdtempSync('/var/tmp/vmpool-bench-');
    return path;
  }

  /** Starts a program whose standard output is read by lines. `env`: all of its environment. */
  process(what, command, args, { env = process.env, cwd, stderr = 'inherit' } = {}) {
    let child = null;
    this.defer(what, () => child?.stop());
    child = new OwnedProcess(what, command, args, {
      env: { ...env, [ownerVariable]: this.#id },
      ...{ cwd, stderr },
    });
    return child;
  }

  /** Closes what was opened; what cannot be closed is told, and the rest closed all the same. Idempotent. */
  close() {
    this.#closing ??= (async () => {
      const [directories, others] = [[], []];
      for (const one of this.#undo.reverse()) (one.what === 'a directory' ? directories : others).push(one);
      const all = async (list) => {
        for (const { what, undo, limitMs } of list)
          await within(what, limitMs, Promise.resolve().then(undo)).catch((error) =>
            console.error(`bench: ${what} was not closed: ${error.message}`),
          );
      };
      await all(others);
      for (const { pid, command } of await endProcessesOf(this.#id, ownerVariable))
        console.error(`bench: ended what was left: process ${pid} ${command.slice(0, 200)}`);
      await all(directories);
      open.delete(this);
    })();
    return this.#closing;
  }
}

/** Does `work(owner)` and closes all that it opened, however it ends. */
export async function owned(work) {
  watch();
  const owner = new Owner();
  open.add(owner);
  try {
    if (isInterrupted()) throw new Error('interrupted');
    return await work(owner);
  } finally {
    await owner.close();
  }
}
