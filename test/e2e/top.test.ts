import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repoRoot } from '../../src/repo-root.js';
import { tokens } from '../fast/http/harness.js';
import { servePool, type ServedPool } from '../fast/http/served-pool.js';
import { eventually } from '../support/site.js';

const alternate = '\u001b[?1049h';
const main = '\u001b[?1049l';
const cursorOff = '\u001b[?25l';
const cursorOn = '\u001b[?25h';

/** `vmpool top` on a pseudo-terminal that util-linux's script makes, with a shell before and after it. */
class Screen {
  written = '';
  readonly #child: ChildProcess;
  readonly ended: Promise<void>;

  constructor(
    readonly directory: string,
    url: string,
  ) {
    writeFileSync(join(directory, 'token'), tokens.viewer, { mode: 0o600 });
    const vmpool = [process.execPath, join(repoRoot, 'dist/src/cli/main.js'), 'top', '--every', '60'];
    const session = [
      'stty cols 100 rows 30',
      'tty >tty',
      'stty -g >before',
      `bash -c 'echo $$ >pid; exec "$@"' top ${vmpool.map((word) => `'${word}'`).join(' ')}`,
      'echo $? >code',
      'stty -g >after',
    ].join('\n');
    writeFileSync(join(directory, 'session'), session);
    this.#child = spawn('script', ['-q', '-f', '-e', '-c', 'bash session', '/dev/null'], {
      cwd: directory,
      env: {
        ...process.env,
        ...{ TERM: 'xterm', VMPOOL_URL: url, VMPOOL_TOKEN_FILE: join(directory, 'token') },
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout?.on('data', (part: Buffer) => (this.written += part.toString()));
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', () => resolve());
    });
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }
  read(name: string): string {
    return readFileSync(join(this.directory, name), 'utf8').trim();
  }
  /** The lines of the newest frame. */
  lines(): readonly string[] {
    const frames = this.written.split('\u001b[H');
    // eslint-disable-next-line no-control-regex -- how terminals are painted
    const bare = (frames.at(-1) ?? '').replace(/\u001b\[[\d?]*[a-zA-Z]/g, '');
    return bare.split(/\r*\n/);
  }
  resize(columns: number, rows: number): void {
    execFileSync('stty', ['-F', this.read('tty'), 'cols', String(columns), 'rows', String(rows)]);
  }
  close(): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
  }
}

describe('vmpool top on a terminal', () => {
  let pool: ServedPool;
  let directory: string;
  let screen: Screen;
  beforeAll(async () => {
    pool = await servePool(60);
  });
  afterAll(() => pool.server.close(1_000));

  const opened = async (): Promise<void> => {
    directory = mkdtempSync(join(tmpdir(), 'vmpool-top-'));
    screen = new Screen(directory, pool.url);
    await eventually('the first look', 30_000, () => screen.written.includes('q ends'));
  };
  afterEach(() => {
    screen.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** As the shell finds it afterwards: its own screen, a cursor, echo and line editing as before. */
  const givenBack = (code: number): void => {
    expect(existsSync(join(directory, 'code'))).toBe(true);
    expect(screen.read('code')).toBe(String(code));
    expect(screen.read('after')).toBe(screen.read('before'));
    expect(screen.written.startsWith(`${alternate}${cursorOff}`)).toBe(true);
    expect(screen.written.endsWith(`${cursorOn}${main}`)).toBe(true);
  };

  it('fills it, is drawn anew at once when it gets another size, and ends on q', async () => {
    await opened();
    expect(screen.lines()).toHaveLength(30);
    expect(screen.lines()[0]).toMatch(/60 VMs/);
    screen.resize(60, 12);
    // Columns and rows are set one after the other, and what is drawn comes in pieces.
    await eventually('the next drawing', 10_000, () => {
      const lines = screen.lines();
      return lines.length === 12 && lines.at(-1) === 'q ends' && lines.every((line) => line.length <= 60);
    });
    screen.type('x');
    screen.type('q');
    await screen.ended;
    givenBack(0);
  }, 60_000);

  it('ends on Ctrl-C, which is a key there', async () => {
    await opened();
    screen.type('\u0003');
    await screen.ended;
    givenBack(0);
  }, 60_000);

  it('gives it back also when it is told to end', async () => {
    await opened();
    process.kill(Number(screen.read('pid')), 'SIGTERM');
    await screen.ended;
    givenBack(143);
  }, 60_000);
});
