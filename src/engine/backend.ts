import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { beginFile, writeFileAtomically } from './atomic-file.js';
import {
  emptyCheckpoint,
  parseCheckpointFile,
  parseExport,
  type ParsedState,
  type VersionedDeployment,
} from './deployment.js';
import { stateCommandLimitMs } from './limits.js';
import { breakFileLocks, busyMessage, isStaleLockOfOurs, locksInMessage } from './locks.js';
import { PulumiFailed, type PulumiCli } from './pulumi-command.js';
import type { Runs } from './runs.js';
import { historyDirectory, metaPath, newestWholeCopy, statePath, takePlaceOf, type WholeCopy } from './state-copies.js';

export type StateFound =
  | { readonly kind: 'found'; readonly state: VersionedDeployment }
  | { readonly kind: 'none' }
  /** `torn`: `readOrPutBack` puts that right. */
  | { readonly kind: 'broken'; readonly message: string; readonly torn: boolean };

export type LockCheck = { readonly kind: 'free' } | { readonly kind: 'busy'; readonly message: string };

/** Updates kept in a stack's history. */
const keptUpdates = 3;

/** `file://` URL to directory; null for any other backend. */
export const directoryOfBackend = (url: string): string | null => {
  if (!url.startsWith('file://')) {
    return null;
  }
  const path = url.slice('file://'.length).replace(/\?.*$/, '');
  if (path === '~' || path.startsWith('~/')) {
    return join(homedir(), path.slice(1));
  }
  return path.startsWith('/') ? fileURLToPath(`file://${path}`) : path;
};

/**
 * The stacks' states. A `file://` backend is read directly, which saves a process of half a second for each
 * look; everything that writes goes through the CLI, which holds the stack's lock meanwhile.
 */
export class Backend {
  private readonly directory: string | null;

  constructor(
    url: string,
    private readonly cli: PulumiCli,
    private readonly runs: Runs,
    private readonly workDirectory: string,
  ) {
    this.directory = directoryOfBackend(url);
  }

  async read(stack: string, signal: AbortSignal): Promise<StateFound> {
    const text = this.directory === null ? await this.export(stack, signal) : this.readFile(stack);
    if (text === null) {
      return { kind: 'none' };
    }
    const parsed: ParsedState = this.directory === null ? parseExport(text) : parseCheckpointFile(text);
    return parsed.ok
      ? { kind: 'found', state: parsed.state }
      : {
          kind: 'broken',
          torn: parsed.torn && this.directory !== null,
          message:
            `the state of stack ${stack} cannot be read and has not been touched (${parsed.why}). ` +
            (this.directory === null
              ? `Look at it with \`pulumi stack export --stack ${stack}\``
              : `If no newer Pulumi wrote it, put the newest whole copy of ${historyDirectory(this.directory, stack)}/` +
                `*.checkpoint.json in place of ${statePath(this.directory, stack)}`),
        };
  }

  /**
   * Reads a state; a torn one (half a file after a full disk or a lost power) gives way to the newest whole copy that
   * Pulumi left beside it, or to none where there is no copy, after `before` was told which. The torn file is kept. No
   * lock is taken: with such a state no Pulumi does anything with the stack, and the caller has looked for locks.
   * `putBack` says in words what was done.
   */
  async readOrPutBack(
    stack: string,
    signal: AbortSignal,
    before: (copy: WholeCopy | null) => void = () => undefined,
  ): Promise<StateFound & { readonly putBack: string | null }> {
    const found = await this.read(stack, signal);
    if (this.directory === null || found.kind !== 'broken' || !found.torn) return { ...found, putBack: null };
    const copy = newestWholeCopy(this.directory, stack);
    before(copy);
    const aside = takePlaceOf(statePath(this.directory, stack), copy);
    const what = copy === null ? 'there was no whole copy: it begins anew' : `${copy.path} has taken its place`;
    return {
      ...(await this.read(stack, signal)),
      putBack: `the state of stack ${stack} was torn, and ${what}; the torn file is ${aside}`,
    };
  }

  /** Names of all stacks of the project, whoever made them. */
  async stacks(signal: AbortSignal): Promise<readonly string[]> {
    if (this.directory !== null) {
      const directory = dirname(statePath(this.directory, 'any'));
      return existsSync(directory)
        ? readdirSync(directory).flatMap((name) => /^(.+)\.json$/.exec(name)?.[1] ?? [])
        : [];
    }
    const { stdout } = await this.cli.run(['stack', 'ls', '--json'], {
      stack: 'all stacks',
      cwd: this.workDirectory,
      signal,
      limitMs: stateCommandLimitMs,
    });
    // Backends that know organizations put them and the project before the name.
    return z
      .array(z.looseObject({ name: z.string() }))
      .parse(JSON.parse(stdout))
      .map(({ name }) => name.slice(name.lastIndexOf('/') + 1));
  }

  /**
   * The stack's last updates as `pulumi stack history --json`, which `args` spell out, tells them, the newest first;
   * none when there is no such stack. Encrypted values stay so.
   */
  async history(stack: string, args: readonly string[], signal: AbortSignal): Promise<unknown> {
    try {
      return JSON.parse((await this.command(args, stack, signal)).stdout);
    } catch (error) {
      if (error instanceof PulumiFailed && /no stack named/.test(error.stderr)) {
        return [];
      }
      throw error;
    }
  }

  /**
   * Begins the state of a stack that has none, as `pulumi stack init` does, without its process: that is a third of a
   * second of processor and on the way of a job that waits for a new cell. False where it is for the CLI to do: in
   * other backends than `file://`, and in one that Pulumi has not laid out with projects.
   */
  begin(stack: string): boolean {
    if (this.directory === null) {
      return false;
    }
    const path = statePath(this.directory, stack);
    if (existsSync(`${path}.gz`) || !existsSync(metaPath(this.directory)) || !existsSync(dirname(path))) {
      return false;
    }
    return beginFile(path, JSON.stringify(emptyCheckpoint(stack)));
  }

  /** Replaces the state of a stack. */
  async write(stack: string, state: VersionedDeployment, signal: AbortSignal): Promise<void> {
    const path = join(this.workDirectory, `${stack}.import.json`);
    writeFileAtomically(path, JSON.stringify(state));
    try {
      await this.command(['stack', 'import', '--stack', stack, '--file', path], stack, signal);
    } finally {
      rmSync(path, { force: true });
    }
  }

  /** Breaks stale locks of our own where they can be seen beforehand. */
  breakLocks(stack: string): LockCheck {
    if (this.directory === null) {
      return { kind: 'free' };
    }
    const dead = this.runs.dead(stack);
    const left = breakFileLocks(this.directory, stack, hostname(), dead);
    if (left.length > 0) {
      return { kind: 'busy', message: busyMessage(stack, left) };
    }
    for (const run of dead) {
      this.runs.forget(run.process.pid);
    }
    return { kind: 'free' };
  }

  /**
   * After Pulumi itself found a lock: breaks it with `pulumi cancel` if every lock named is ours and stale
   * (`cancel` deletes all of them), otherwise says whose it is. Null when the failure is no lock.
   */
  async breakReportedLocks(stack: string, failure: unknown, signal: AbortSignal): Promise<LockCheck | null> {
    if (!(failure instanceof PulumiFailed)) {
      return null;
    }
    const locks = locksInMessage(`${failure.stdout}\n${failure.stderr}`);
    if (locks.length === 0) {
      return null;
    }
    const dead = this.runs.dead(stack);
    if (!locks.every((lock) => isStaleLockOfOurs(lock, hostname(), dead))) {
      return { kind: 'busy', message: busyMessage(stack, locks) };
    }
    await this.command(['cancel', '--yes', '--stack', stack], stack, signal);
    return { kind: 'free' };
  }

  /** Pulumi keeps every update of a stack with two copies of its state, for ever: all but the last few go. */
  pruneHistory(stack: string): void {
    if (this.directory === null) {
      return;
    }
    const directory = historyDirectory(this.directory, stack);
    if (!existsSync(directory)) {
      return;
    }
    const stamp = (name: string): string => /-(\d+)\.(?:checkpoint|history)\.json/.exec(name)?.[1] ?? '';
    const names = readdirSync(directory).filter((name) => stamp(name) !== '');
    const stamps = [...new Set(names.map(stamp))].sort();
    const old = new Set(stamps.slice(0, Math.max(0, stamps.length - keptUpdates)));
    for (const name of names.filter((each) => old.has(stamp(each)))) {
      rmSync(join(directory, name), { force: true });
    }
  }

  private command(args: readonly string[], stack: string, signal: AbortSignal) {
    return this.cli.run(args, { stack, cwd: this.workDirectory, signal, limitMs: stateCommandLimitMs });
  }

  private async export(stack: string, signal: AbortSignal): Promise<string | null> {
    try {
      return (await this.command(['stack', 'export', '--stack', stack], stack, signal)).stdout;
    } catch (error) {
      if (error instanceof PulumiFailed && /no stack named/.test(error.stderr)) {
        return null;
      }
      throw error;
    }
  }

  private readFile(stack: string): string | null {
    const path = this.directory === null ? null : statePath(this.directory, stack);
    return path !== null && existsSync(path) ? readFileSync(path, 'utf8') : null;
  }
}
