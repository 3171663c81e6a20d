import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface ProcessOptions {
  /** What it is, for messages: `the service`. */
  readonly what: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Everything it says is added to it. */
  readonly logFile: string;
  readonly onLine?: (line: string) => void;
  /** A SIGTERM is followed by SIGKILL after so many milliseconds. */
  readonly stopLimitMs: number;
}

/** From the end of a process to that of its output. */
const lastWordsMs = 5_000;

/**
 * A Node program that lives no longer than the demo: the kernel sends it SIGTERM when the demo dies, however it
 * dies. In a session of its own, so that Ctrl-C reaches the demo alone, which then ends things in their order.
 */
export class OwnedProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  #how: string | null = null;

  constructor(private readonly options: ProcessOptions) {
    const log = createWriteStream(options.logFile, { flags: 'a', mode: 0o600 });
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', process.execPath, ...options.args], {
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      cwd: '/',
    });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      log.write(`${line}\n`);
      options.onLine?.(line);
    });
    child.stderr.pipe(log, { end: false });
    this.#ended = new Promise((resolve) => {
      const settle = (how: string): void => {
        this.#how ??= how;
        log.end(() => resolve(how));
      };
      child.once('error', (error) => settle(error.message));
      // Whoever inherited its output may keep that open for ever.
      child.once('exit', () => {
        setTimeout(() => {
          child.stdout.destroy();
          child.stderr.destroy();
        }, lastWordsMs).unref();
      });
      child.once('close', (code, signal) =>
        settle(signal === null ? `exit code ${String(code)}` : `signal ${signal}`),
      );
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }
  /** Null while it runs, else how it ended. */
  get how(): string | null {
    return this.#how;
  }

  /** Rejects when the process ends, with its last words: to race whatever waits for it. */
  async mustLive(): Promise<never> {
    const how = await this.#ended;
    const words = readFileSync(this.options.logFile, 'utf8').trim().split('\n').slice(-5).join('\n');
    throw new Error(`${this.options.what} ended (${how}):\n${words}`);
  }

  /** SIGTERM, and SIGKILL when that takes too long. Resolves with how it ended. Idempotent. */
  async stop(): Promise<string> {
    if (this.#how !== null) return this.#how;
    this.#child.kill('SIGTERM');
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), this.options.stopLimitMs);
    const how = await this.#ended;
    clearTimeout(kill);
    return how;
  }
}
