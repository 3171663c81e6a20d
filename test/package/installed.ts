import { execFile, type ExecFileOptions } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pointerFile } from '../../scripts/engine/locate.mjs';
import { repoRoot } from '../../src/repo-root.js';

export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** Runs a program to its end; its output (both streams) stands in the failure when `code` is compared. */
export const ran = (
  command: string,
  args: readonly string[],
  options: ExecFileOptions = {},
): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(
      command,
      [...args],
      { timeout: 240_000, maxBuffer: 64 * 1024 * 1024, ...options, encoding: 'utf8' },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, output: `${String(stdout)}${String(stderr)}` });
      },
    );
  });

/** VM Pool as a stranger gets it: the tarball, installed below a prefix of its own, without any registry. */
export interface Installed {
  readonly directory: string;
  /** Paths in the tarball, without `package/`. */
  readonly files: readonly string[];
  /** `vmpool` of that installation. */
  readonly vmpool: string;
  readonly main: string;
  /** VMPOOL_CACHE with the engine, readable by every account, as `vmpool engine install --system` leaves it. */
  readonly engineCache: string;
  close(): void;
}

export const installPackage = async (): Promise<Installed> => {
  const directory = mkdtempSync('/var/tmp/vmpool-package-');
  const must = async (
    command: string,
    args: readonly string[],
    options?: ExecFileOptions,
  ): Promise<string> => {
    const { code, output } = await ran(command, args, options);
    if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${String(code)}:\n${output}`);
    return output;
  };
  try {
    // What stands in dist/ was built by the set-up; building it again would disturb suites beside this one.
    await must('npm', ['pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', directory], {
      cwd: repoRoot,
    });
    const tarball = readdirSync(directory).find((name) => name.endsWith('.tgz')) ?? 'none';
    const listed = await must('tar', ['-tzf', join(directory, tarball)]);
    const prefix = join(directory, 'usr', 'local');
    await must(
      'npm',
      [
        'install',
        ...['--global', '--prefix', prefix, '--offline', '--ignore-scripts', '--no-audit', '--no-fund'],
        join(directory, tarball),
      ],
      { cwd: directory, env: { ...process.env, npm_config_cache: join(directory, 'npm-cache') } },
    );
    const engineCache = join(directory, 'cache');
    const source = dirname(pointerFile());
    mkdirSync(engineCache);
    // The way into a machine without a network: copied, then the pointer written anew.
    cpSync(source, join(engineCache, 'engine'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => dirname(path) !== source || !['logs', 'lock'].includes(path.slice(source.length + 1)),
    });
    const main = join(prefix, 'lib', 'node_modules', 'vmpool', 'dist', 'src', 'cli', 'main.js');
    await must(process.execPath, [main, 'engine', 'install'], {
      env: { ...process.env, VMPOOL_CACHE: engineCache },
    });
    await must('chmod', ['-R', 'a+rX', directory]);
    return {
      directory,
      files: listed
        .trim()
        .split('\n')
        .map((line) => line.replace(/^package\//, '')),
      vmpool: join(prefix, 'bin', 'vmpool'),
      main,
      engineCache,
      close: () => {
        rmSync(directory, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
};
