import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readPage } from './pages.js';

/** A block of commands of a page, and what the page says one sees then. */
export interface Step {
  /** The heading above it. */
  readonly title: string;
  readonly commands: string;
  /** Lines, of which `…` stands for anything. */
  readonly seen: readonly string[];
}

/** The page by which the pool comes up on which the others' commands are run. */
export const firstPool = 'docs/tutorials/first-pool.md';

/** Pages whose commands are said to a pool that runs: a test runs each of them on the pool of the first tutorial. */
export const pagesOnThePool = [
  ...['vms', 'drain', 'lost-vm', 'new-image', 'out-of-quota', 'usage', 'restore', 'audit'].map(
    (name) => `docs/how-to/${name}.md`,
  ),
  'docs/reference/stacks.md',
  ...['torque', 'monitoring'].map((name) => `docs/tutorials/${name}.md`),
];

/** Pages whose commands are said in a checkout, to no pool. */
export const pagesInTheCheckout = [
  'docs/explanation/guarantees.md',
  ...['engine', 'embedded-cloud'].map((name) => `docs/reference/${name}.md`),
];

/** The steps of a page in their order: its `sh` blocks but for those that are marked as *By hand*. */
export function stepsOf(page: string): readonly Step[] {
  const steps: { title: string; commands: string; seen: string[] }[] = [];
  for (const { title, language, text, byHand } of readPage(page).blocks) {
    if (byHand) continue;
    if (language === 'sh') steps.push({ title, commands: text, seen: [] });
    const last = steps.at(-1);
    if (language === 'text' && last?.title === title) last.seen.push(...text.split('\n'));
  }
  return steps;
}

/** Does some line look like that? */
export function shows(output: string, wanted: string): boolean {
  const parts = wanted.split('…').map((part) => part.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^\\s*${parts.join('.*')}\\s*$`, 'm').test(output);
}

/** One shell for all the steps, as the reader's: what a step exports or starts is there for the next. */
export class Shell {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly scripts = mkdtempSync(join(tmpdir(), 'vmpool-steps-'));
  private output = '';
  private changed: () => void = () => undefined;
  private code: number | null | undefined;

  /** `inside`: a program that runs the command which follows it in surroundings of its own. */
  constructor(directory: string, env: NodeJS.ProcessEnv, inside: readonly string[]) {
    const [program = '', ...args] = [...inside, 'bash', '--norc', '-euo', 'pipefail', '-s'];
    this.child = spawn(program, args, { cwd: directory, env, detached: true });
    const take = (part: Buffer): void => {
      this.output += part.toString();
      this.changed();
    };
    this.child.stdout.on('data', take);
    this.child.stderr.on('data', take);
    this.child.once('exit', (code) => {
      this.code = code;
      this.changed();
    });
  }

  /** Runs commands to their end. @throws Error with what they said, when one of them fails or takes too long */
  async run(commands: string, limitMs: number): Promise<string> {
    if (this.code !== undefined) throw new Error('an earlier step has ended the shell');
    const mark = `done-${randomUUID()}`;
    this.output = '';
    const over = new Promise<void>((resolve) => {
      this.changed = () => {
        if (this.code !== undefined || this.output.includes(mark)) resolve();
      };
    });
    // From a file: a command that reads its standard input must not read the commands after it.
    const script = join(this.scripts, mark);
    writeFileSync(script, `${commands}\n`);
    this.child.stdin.write(`. ${script} </dev/null\necho "${mark}"\n`);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`took more than ${String(limitMs / 1000)} s`), limitMs);
    });
    const why = await Promise.race([over.then(() => null), late]);
    clearTimeout(timer);
    const said = this.output.split(mark)[0] ?? '';
    if (why !== null) throw new Error(`${why}:\n${commands}\n---\n${said}`);
    if (this.code !== undefined && !this.output.includes(mark))
      throw new Error(`ended with ${String(this.code)}:\n${commands}\n---\n${said}`);
    return said;
  }

  /** Ends the shell and everything that it started. */
  async close(): Promise<void> {
    rmSync(this.scripts, { recursive: true, force: true });
    if (this.code === undefined) {
      const gone = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.stdin.end('exit 0\n');
      const late = setTimeout(() => process.kill(-(this.child.pid ?? 0), 'SIGKILL'), 5_000);
      await gone;
      clearTimeout(late);
    }
    try {
      process.kill(-(this.child.pid ?? 0), 'SIGTERM');
    } catch {
      // Nothing of it is left.
    }
  }
}
