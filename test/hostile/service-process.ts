import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { HttpTimeouts } from '../../src/http/server.js';

/** The service of `service.ts` as a process, so that its memory and its sockets are its own. */
export interface AttackedService {
  readonly url: string;
  readonly port: number;
  /** What it logged as a warning or an error. */
  readonly complaints: () => string;
  /** Open file descriptors. */
  readonly descriptors: () => number;
  /** Resident memory, MiB. */
  readonly memoryMiB: () => number;
  /** SIGTERM; resolves with the exit code. */
  readonly stop: () => Promise<number | null>;
}

const startLimitMs = 60_000;
const stopLimitMs = 60_000;
const root = process.cwd();

/** `times` in the place of the short limits that it has for slow clients. */
export async function startAttackedService(times: Partial<HttpTimeouts> = {}): Promise<AttackedService> {
  const stateDir = mkdtempSync(join(tmpdir(), 'vmpool-hostile-'));
  // Below the checkout, where Node finds the packages.
  const program = join(root, '.cache', `hostile-service-${process.pid}-${Date.now()}.mjs`);
  mkdirSync(join(root, '.cache'), { recursive: true });
  execFileSync(join(root, 'node_modules', '.bin', 'esbuild'), [
    join(root, 'test', 'hostile', 'service.ts'),
    ...['--bundle', '--platform=node', '--format=esm', '--packages=external', '--log-level=warning'],
    `--outfile=${program}`,
  ]);
  const child: ChildProcess = spawn(
    process.execPath,
    ['--enable-source-maps', program, stateDir, JSON.stringify(times)],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const exited = once(child, 'exit') as Promise<[number | null]>;
  let complaints = '';
  child.stderr?.on('data', (text: Buffer) => (complaints = (complaints + text.toString()).slice(-100_000)));
  const limited = async <T>(what: string, ms: number, promise: Promise<T>): Promise<T> => {
    const limit = setTimeout(() => child.kill('SIGKILL'), ms);
    try {
      return await Promise.race([
        promise,
        exited.then(() => {
          throw new Error(`the service ended while waited for: ${what}\n${complaints}`);
        }),
      ]);
    } finally {
      clearTimeout(limit);
    }
  };
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [url] = (await limited('its address', startLimitMs, once(lines, 'line'))) as [string];
  const proc = `/proc/${String(child.pid)}`;
  return {
    url,
    port: Number(new URL(url).port),
    complaints: () => complaints,
    descriptors: () => readdirSync(`${proc}/fd`).length,
    memoryMiB: () =>
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1] ?? NaN) / 1024,
    stop: async () => {
      const limit = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
      child.kill('SIGTERM');
      const [code] = await exited;
      clearTimeout(limit);
      rmSync(program, { force: true });
      rmSync(stateDir, { recursive: true, force: true });
      return code;
    },
  };
}
