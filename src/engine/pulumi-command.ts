import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { automation } from '@pulumi/pulumi';
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { runVariable } from './environment.js';
import { stopGraceMs } from './limits.js';
import { breakFileLocks } from './locks.js';
import { endRun } from './orphans.js';
import type { Runs } from './runs.js';

/** A `pulumi` that did not end with 0. */
export class PulumiFailed extends Error {
  constructor(
    readonly args: readonly string[],
    /** Null when a signal ended it. */
    readonly exitCode: number | null,
    readonly stdout: string,
    readonly stderr: string,
    /** It was stopped because it took too long. */
    readonly atLimit = false,
  ) {
    const what = exitCode === null ? 'was killed' : `ended with ${String(exitCode)}`;
    super(`pulumi ${args.slice(0, 2).join(' ')} ${what}: ${lastLines(stderr === '' ? stdout : stderr)}`);
    this.name = 'PulumiFailed';
  }
}

const lastLines = (text: string): string => text.trim().split('\n').slice(-6).join(' | ').slice(0, 2000);

export interface PulumiOutput {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

interface RunOptions {
  readonly stack: string;
  readonly cwd: string;
  readonly signal: AbortSignal;
  /** In milliseconds; then it is asked to stop, and half a minute later killed. */
  readonly limitMs: number;
}

const keptOutput = 4 * 1024 * 1024;

/** Starts the CLI, one process a call, and keeps record of it. `backendDirectory`: of a `file://` backend. */
export class PulumiCli {
  constructor(
    readonly bin: string,
    private readonly environment: Readonly<Record<string, string>>,
    private readonly runs: Runs,
    private readonly backendDirectory: string | null = null,
  ) {}

  /** Throws `PulumiFailed`. Aborting asks it to stop as Ctrl-C would: what is under way is finished. */
  async run(args: readonly string[], options: RunOptions, extra: Record<string, string> = {}): Promise<PulumiOutput> {
    options.signal.throwIfAborted();
    const all = args.includes('--non-interactive') ? [...args] : [...args, '--non-interactive'];
    const run = randomUUID();
    const child = spawn(this.bin, all, {
      cwd: options.cwd,
      env: { ...this.environment, ...extra, [runVariable]: run },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { pid } = child;
    if (pid !== undefined) {
      this.runs.began(options.stack, pid);
    }
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    child.once('exit', (code) => {
      if (code === null) {
        endRun(run);
      }
    });
    let killTimer: NodeJS.Timeout | undefined;
    const stop = (): void => {
      child.kill('SIGINT');
      killTimer ??= setTimeout(() => child.kill('SIGKILL'), stopGraceMs);
    };
    options.signal.addEventListener('abort', stop, { once: true });
    let atLimit = false;
    const limit = setTimeout(() => {
      atLimit = true;
      stop();
    }, options.limitMs);
    try {
      const [code] = (await once(child, 'close')) as [number | null];
      if (pid !== undefined && code !== null) {
        if (code !== 0) {
          this.releaseLeft(options.stack, pid);
        }
        this.runs.forget(pid);
      }
      if (code !== 0) {
        throw new PulumiFailed(args, code, stdout(), stderr(), atLimit);
      }
      return { stdout: stdout(), stderr: stderr(), code };
    } finally {
      clearTimeout(limit);
      clearTimeout(killTimer);
      options.signal.removeEventListener('abort', stop);
    }
  }

  /** One that fails on a full disk, say, may end without taking its lock away, and nobody else would. */
  private releaseLeft(stack: string, pid: number): void {
    if (this.backendDirectory !== null) {
      const own = this.runs.all().filter((run) => run.process.pid === pid);
      breakFileLocks(this.backendDirectory, stack, hostname(), own);
    }
  }
}

const collect = (stream: NodeJS.ReadableStream): (() => string) => {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (part: string) => {
    text = (text + part).slice(-keptOutput);
  });
  return () => text;
};

/**
 * The CLI as the Automation API wants it, for one stack. `Stack.up` would start three more processes to read
 * outputs and history that nobody here asks for (each costs 0.4 s of a core), and selecting a stack another:
 * those are answered here.
 */
export const automationCommand = (
  cli: PulumiCli,
  version: automation.PulumiCommand['version'],
  options: RunOptions,
): automation.PulumiCommand => {
  const command = {
    command: cli.bin,
    version,
    run: (args: string[], _cwd: string, environment: Record<string, string>): Promise<PulumiOutput> => {
      const answer = answered(args);
      return answer === null
        ? cli.run(args, options, environment)
        : Promise.resolve({ stdout: answer, stderr: '', code: 0 });
    },
  };
  return command;
};

const answered = (args: readonly string[]): string | null => {
  if (args[0] !== 'stack') {
    return null;
  }
  switch (args[1]) {
    case 'output':
      return '{}';
    case 'history':
      return '[]';
    case 'select':
      return '';
    default:
      return null;
  }
};
