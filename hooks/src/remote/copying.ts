import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { expandPattern, type WorkerConfig } from '../config.js';
import { endScript } from './runner.js';
import { quote } from './quote.js';
import type { Ssh } from './ssh.js';

export interface CopyPlan {
  /** Absolute paths on both sides. */
  readonly paths: readonly string[];
  readonly exclude: readonly string[];
  readonly limitBytes: number;
}
export type CopyResult = { readonly ok: true } | { readonly ok: false; readonly why: string };

interface Job {
  readonly user: string;
  readonly uid: number;
  readonly home: string;
  readonly job: string;
}

const unsuitable = (path: string): boolean =>
  !path.startsWith('/') || /[\0\n]/.test(path) || path.split('/').includes('..') || /^\/+$/.test(path);

/** What goes in before the job and what comes back after: the working directory and the configured paths. */
export function planCopies(
  config: WorkerConfig,
  job: Job,
  workDirectory: string | null,
): { readonly in: CopyPlan; readonly back: CopyPlan } {
  const base =
    workDirectory === null || config.sharedHome || unsuitable(workDirectory) ? [] : [workDirectory];
  const plan = (patterns: readonly string[]): CopyPlan => ({
    paths: config.sharedHome
      ? []
      : [...new Set([...base, ...patterns.map((path) => expandPattern(path, job))])],
    exclude: config.copyExclude,
    limitBytes: config.copyLimitBytes,
  });
  return { in: plan(config.copyIn), back: plan(config.copyBack) };
}

const relative = (path: string): string => `./${path.replace(/^\/+/, '')}`;

/** The stamp is a little apart from both neighbours, because file times have the kernel's clock tick's grain. */
const setStamp = (directory: string): string =>
  `sleep 0.05; : > ${quote(`${directory}/copied-in`)} || exit 73; sleep 0.05\n`;

/** Runs as the job's user on both sides, so nothing is read or written that is not theirs. */
export async function copyIn(
  ssh: Ssh,
  directory: string,
  plan: CopyPlan,
  limitMs: number,
): Promise<CopyResult> {
  const there: string[] = [];
  for (const path of plan.paths) {
    try {
      if (statSync(path, { throwIfNoEntry: false }) !== undefined) there.push(path);
    } catch (error) {
      // A name that is too long, links in a circle, a directory on the way that is not theirs to enter.
      return { ok: false, why: error instanceof Error ? error.message.slice(0, 500) : String(error) };
    }
  }
  const size = there.length === 0 ? 0 : await sizeOf(there);
  if (size > plan.limitBytes)
    return {
      ok: false,
      why: `${there.join(', ')} hold ${Math.round(size / 1048576)} MiB, more than copyLimitMiB in the worker's configuration; submit from a smaller directory`,
    };
  const d = quote(directory);
  const script = Buffer.from(
    `umask 077; mkdir -m 700 ${d} 2>/dev/null; [ -d ${d} ] && [ ! -L ${d} ] && [ -O ${d} ] || exit 73\n` +
      (there.length > 0 ? 'tar -C / --no-overwrite-dir -xpf - || exit 74\n' : '') +
      setStamp(directory),
  );
  const child = ssh.start(script, ['pipe', 'ignore', 'pipe']);
  const tar =
    there.length === 0
      ? null
      : spawn(
          'tar',
          [
            ...['-C', '/', '--sparse', '-cf', '-', ...plan.exclude.map((one) => `--exclude=${one}`), '--'],
            ...there.map(relative),
          ],
          { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' },
        );
  child.stdin?.on('error', () => undefined);
  child.stdin?.write(script);
  if (child.stdin && tar) tar.stdout.pipe(child.stdin);
  else child.stdin?.end();
  return settle([child, ...(tar === null ? [] : [tar])], limitMs);
}

/**
 * Brings back what has changed since it was copied in: every file below the paths whose inode changed after the
 * stamp. What the job deleted is not deleted on the worker.
 */
export async function copyBack(
  ssh: Ssh,
  directory: string,
  plan: CopyPlan,
  limitMs: number,
): Promise<CopyResult> {
  const stamp = quote(`${directory}/copied-in`);
  const excluded = plan.exclude.map((one) => `-name ${quote(one)} -prune -o`).join(' ');
  const script = Buffer.from(
    `${endScript(directory)}
[ -f ${stamp} ] || { echo "the stamp of what was copied in is gone from the VM" >&2; exit 75; }
cd / || exit 75
for p in ${plan.paths.map((path) => quote(relative(path))).join(' ')}; do
  [ -e "$p" ] || [ -L "$p" ] || continue
  find "$p" ${excluded} \\( -cnewer ${stamp} -o -newer ${stamp} \\) ! -type s -print0
done | tar --no-recursion --null -T - -cf - --sparse
s=\${PIPESTATUS[1]}; [ "$s" = 1 ] && s=0; exit "$s"
`,
  );
  const child = ssh.start(script, ['pipe', 'pipe', 'pipe']);
  const tar = spawn('tar', ['-C', '/', '--no-overwrite-dir', '-xpf', '-'], {
    stdio: ['pipe', 'ignore', 'pipe'],
    cwd: '/',
  });
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(script);
  tar.stdin.on('error', () => undefined);
  child.stdout?.pipe(tar.stdin);
  return settle([child, tar], limitMs);
}

function settle(children: readonly ReturnType<typeof spawn>[], limitMs: number): Promise<CopyResult> {
  const err: string[][] = children.map(() => []);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    for (const child of children) child.kill('SIGKILL');
  }, limitMs);
  const ends = children.map(
    (child, index) =>
      new Promise<number | null>((resolve) => {
        child.stderr?.on('data', (part: Buffer) => err[index]?.push(part.toString()));
        child.once('error', (error) => {
          err[index]?.push(error.message);
          resolve(null);
        });
        child.once('close', resolve);
      }),
  );
  return Promise.all(ends).then((codes) => {
    clearTimeout(timer);
    // 1 is tar's "a file changed while it was read": not a failure.
    if (codes.every((code, index) => code === 0 || (code === 1 && index === 1))) return { ok: true };
    // The VM's side is the first: what it says is the cause, and our own tar only complains of its end.
    const texts = err.map((parts) => parts.join('').trim()).filter((text) => text !== '');
    const said = (texts[0] ?? '').split('\n').slice(-5).join('; ');
    const why = late
      ? `not done within ${Math.round(limitMs / 1000)} s`
      : said || `ended with ${codes.join(', ')}`;
    return { ok: false, why };
  });
}

function sizeOf(paths: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn('du', ['-sk', '--', ...paths], { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.on('data', (part: Buffer) => (text += part.toString()));
    child.once('error', () => resolve(0));
    child.once('close', () =>
      resolve(text.split('\n').reduce((sum, line) => sum + Number.parseInt(line || '0', 10) * 1024, 0)),
    );
  });
}
