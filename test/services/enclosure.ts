import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Ran {
  readonly code: number | null;
  readonly words: string;
}

/** Waits for a condition; gives up, saying for what, after `ms`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  ms: number,
  found: () => string = () => '',
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end)
      throw new Error(
        `waited ${String(ms / 1000)} s in vain for ${what}${found() === '' ? '' : `; it was ${found()}`}`,
      );
    await sleep(50);
  }
}

const q = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * Namespaces of mounts, processes and, unless told otherwise, network, in which a daemon of the machine's runs on
 * directories of its own. All that is in it ends with this process, by whatever means.
 */
export class Enclosure {
  private constructor(
    readonly folder: string,
    private readonly outer: ChildProcess,
    private readonly inner: number,
  ) {}

  /**
   * @param directories of the machine's that are replaced inside, by copies of themselves or (with a `!` before it) by
   * empty ones.
   */
  static async open(directories: readonly string[], { network = true } = {}): Promise<Enclosure> {
    const folder = mkdtempSync(join(tmpdir(), 'vmpool-enclosure-'));
    const own = directories.map((name, at) => {
      const empty = name.startsWith('!');
      const path = q(empty ? name.slice(1) : name);
      const copy = q(join(folder, `copy${String(at)}`));
      // The copy is made before the mount hides what is copied. An empty one may have to be made first.
      return [
        `mkdir -p ${copy}`,
        `[ -d ${path} ] || mkdir -p ${path}`,
        `chown --reference=${path} ${copy} && chmod --reference=${path} ${copy}`,
        ...(empty ? [] : [`cp -a ${path}/. ${copy}/`]),
        `mount --bind ${copy} ${path}`,
      ].join(' && ');
    });
    const script = [
      'set -e',
      ...(network ? ['ip link set lo up'] : []),
      ...own,
      'echo open',
      'exec cat >/dev/null',
    ];
    const flags = [
      '--mount',
      '--pid',
      '--fork',
      '--mount-proc',
      '--kill-child',
      ...(network ? ['--net'] : []),
    ];
    const outer = spawn('unshare', [...flags, 'sh', '-c', script.join('\n')], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let words = '';
    outer.stdout.on('data', (text: Buffer) => (words += text.toString()));
    outer.stderr.on('data', (text: Buffer) => (words += text.toString()));
    try {
      await until(
        `the enclosure (${words})`,
        () => {
          if (outer.exitCode !== null) throw new Error(`the enclosure could not be made: ${words}`);
          return words.includes('open\n');
        },
        60_000,
      );
      const pid = String(outer.pid);
      const inner = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
      return new Enclosure(folder, outer, inner);
    } catch (error) {
      outer.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Starts a program inside; the caller's to end, or the enclosure's when it closes. */
  start(command: string): ChildProcess {
    const { args, env } = this.#inside(command);
    return spawn('nsenter', args, { stdio: ['pipe', 'pipe', 'pipe'], env });
  }

  /** Runs a shell command inside to its end. */
  run(command: string, input = ''): Promise<Ran> {
    return new Promise((resolve, reject) => {
      const child = this.start(command);
      let words = '';
      child.stdout?.on('data', (text: Buffer) => (words += text.toString()));
      child.stderr?.on('data', (text: Buffer) => (words += text.toString()));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, words }));
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(input);
    });
  }

  /** Runs it and throws unless it says yes. */
  async must(command: string): Promise<string> {
    const { code, words } = await this.run(command);
    if (code !== 0) throw new Error(`${command}: exit code ${String(code)}: ${words}`);
    return words;
  }

  #inside(command: string) {
    const args = ['-t', String(this.inner), '--mount', '--pid', '--net', 'sh', '-c', command];
    return { args, env: { ...process.env, LC_ALL: 'C' } };
  }

  async close(): Promise<void> {
    if (this.outer.exitCode === null && this.outer.signalCode === null) {
      const ended = new Promise((resolve) => this.outer.once('close', resolve));
      process.kill(this.inner, 'SIGKILL');
      await ended;
    }
    await until('the end of the enclosure', () => !existsSync(`/proc/${String(this.inner)}`), 30_000);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
